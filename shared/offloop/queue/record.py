"""Job record: states, progress, outcome.

::

    queued ──claim──▶ running ──finish──▶ completed | failed | cancelled
      ▲                  │                     (terminal: never changes again)
      └──── release ─────┘   lost worker, retry, drain
      └──── cancel ──────────────────────▶ cancelled

A job that is assigned to a worker begins as running. The record is one Redis hash, changed only by the scripts in
`offloop.redis.scripts`; the outcome is arq's own result key, written in the same call. Times are milliseconds since
1970 by Redis's clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from arq.jobs import deserialize_result, serialize_result

from offloop.errors import JobError
from offloop.redis import schema
from offloop.redis.codec import pack, unpack


class State(StrEnum):
    """State of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether the job has ended; a terminal state is final."""
        return self not in (State.QUEUED, State.RUNNING)


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a job; `total` is None if unknown."""

    done: float
    total: float | None
    message: str

    def pack(self) -> bytes:
        """The form in which the record stores it."""
        return pack([self.done, self.total, self.message])


@dataclass(frozen=True, slots=True)
class Done:
    """The job succeeded.

    Attributes:
        output: the kind's output model, as plain data.
        artifacts: plain data of each artifact (see `offloop.artifacts.store.Artifact`).
        warnings: what was dropped or replaced, in words.
    """

    output: dict[str, Any]
    artifacts: tuple[dict[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()

    state = State.COMPLETED


@dataclass(frozen=True, slots=True)
class Failed:
    """The job ended without a result, for the reason given."""

    error: JobError

    state = State.FAILED


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The job was cancelled, and has stopped."""

    state = State.CANCELLED


Outcome = Done | Failed | Cancelled

EXPIRED: Final = JobError("the job waited longer than it is kept; submit it again", code="expired", retryable=True)


def pack_outcome(outcome: Outcome, *, job_id: str, kind: str, queue: str, attempt: int = 0) -> bytes:
    """The outcome in arq's own result envelope, which `Job.result()` of stock arq reads as well."""
    result: object
    match outcome:
        case Done(output, artifacts, warnings):
            result = {"output": output, "artifacts": artifacts, "warnings": warnings}
        case Failed(error):
            result = error
        case Cancelled():
            result = asyncio.CancelledError()
    packed = serialize_result(
        kind,
        (),
        {},
        attempt,
        0,
        isinstance(outcome, Done),
        result,
        0,
        0,
        f"{job_id}:{kind}",
        queue,
        job_id,
        serializer=pack,
    )
    if packed is None:  # arq answers None where its serializer fails twice
        message = f"the outcome of {kind} cannot be stored: {outcome!r}"[:500]
        raise TypeError(message)
    return packed


def sweep_args(queue: str, *, lock_ms: int, keep_ms: int, retention_ms: int) -> list[str | bytes | float]:
    """The arguments of `offloop.redis.scripts.SWEEP` for a queue.

    Args:
        queue: the queue.
        lock_ms: how long the lock keeps other processes from sweeping it.
        keep_ms: how long a job that stock arq enqueued may wait.
        retention_ms: how long the outcomes of jobs that the sweep ends are kept.
    """
    aborted = pack_outcome(Cancelled(), job_id="", kind="", queue=queue)
    expired = pack_outcome(Failed(EXPIRED), job_id="", kind="", queue=queue)
    return [queue, lock_ms, schema.LEASE_MS, keep_ms, retention_ms, aborted, expired]


def unpack_outcome(data: bytes) -> Outcome:
    """Decode the envelope of `pack_outcome`."""
    found = deserialize_result(data, deserializer=unpack)
    match found.result:
        case dict() as result if found.success:
            return Done(result["output"], tuple(result["artifacts"]), tuple(result["warnings"]))
        case asyncio.CancelledError():
            return Cancelled()
        case JobError() as error:
            return Failed(error)
    return Failed(JobError(f"the outcome of {found.function} could not be read"))


@dataclass(frozen=True, slots=True)
class Record:
    """One job, as front ends and workers read it.

    Attributes:
        job_id: 128 random bits, url-safe.
        principal: the caller's principal.
        kind: name of the kind.
        queue: name of the queue.
        state: the current state.
        attempt: number of the current or last execution; 0 before the first. It only grows.
        progress: the last reported progress, if any.
        created: when it was accepted, in ms.
        started: when the current attempt began, in ms, if one did.
        finished: when it ended, in ms, if it has.
        expires: until when the record is kept at least, in ms.
        outcome: how it ended, if it has.
    """

    job_id: str
    principal: str
    kind: str
    queue: str
    state: State
    attempt: int
    progress: Progress | None
    created: int
    started: int | None
    finished: int | None
    expires: int
    outcome: Outcome | None

    @classmethod
    def from_redis(cls, job_id: str, fields: Sequence[Any], result: bytes | None) -> Record | None:
        """Read the fields of `SNAPSHOT_FIELDS`, and arq's result key; None where there is no such job."""
        principal, kind, queue, state, attempt, progress, created, started, finished, expires = fields
        if not state:  # None from a reply, False from a message of Lua's
            return None
        now = _STATES[state]
        return cls(
            job_id=job_id,
            principal=_text(principal),
            kind=_text(kind),
            queue=_text(queue),
            state=now,
            attempt=int(attempt or 0),
            progress=Progress(*unpack(progress)) if progress else None,
            created=int(created or 0),
            started=int(started) if started else None,
            finished=int(finished) if finished else None,
            expires=int(expires or 0),
            outcome=unpack_outcome(result) if now.terminal and result else None,
        )


_STATES: Final = {state.value.encode(): state for state in State}


def _text(value: bytes | None) -> str:
    return value.decode() if value else ""
