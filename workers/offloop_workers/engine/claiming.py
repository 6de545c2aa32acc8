"""Claims: the jobs that Redis gives a worker, and the order in which it looks for them.

A claim leases a job to one attempt. Every script that may return claims is called through `Claimer`, which says how
many jobs the worker may hold and which lane is first.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from offloop.queue.client import PENDING_SECONDS
from offloop.queue.record import Cancelled, pack_outcome
from offloop.redis import codec, schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    from offloop.redis.lua import Script

BATCH_EVERY: Final = 8
"""One rotation step in so many looks for batch jobs first."""

_ABANDONED: Final = pack_outcome(Cancelled(), job_id="", kind="", queue="")


@dataclass(frozen=True, slots=True)
class Claim:
    """One job, leased to one attempt.

    Attributes:
        job_id: the job.
        kind: the kind's name, ``""`` where stock arq enqueued the job.
        queue: the queue it came from.
        token: the fence of this attempt.
        payload: arq's serialized job, empty where it has expired; None where it is too long to be sent along.
        tries: counted executions, this one included.
        allowed: counted executions there may be.
        attempt: number of this execution; unlike `tries` it counts those that a drain cut short.
        principal: the caller's principal.
        references: the artifacts and URLs that the input names; None where they can only be read from the payload, as
            for a job of stock arq.
        assigned: the job was pushed to this worker's free slot; see `Execution` for when such a job counts.
    """

    job_id: str
    kind: str
    queue: str
    token: str
    payload: bytes | None
    tries: int
    allowed: int
    attempt: int
    principal: str
    references: list[str] | None = None
    assigned: bool = False

    @classmethod
    def read(cls, row: bytes, *, assigned: bool = False) -> Claim:
        """The claim that a script returned as a row."""
        fields = codec.unpack_row(row, binary=("payload", "references"))
        if packed := fields.pop("references", None):
            fields["references"] = codec.unpack(packed)
        return cls(payload=fields.pop("payload", None), assigned=assigned, **fields)


class Claimer:
    """Calls the scripts that may give one worker jobs; see `worker_args` in `offloop.redis.scripts`.

    Args:
        owner: the worker's name.
        queues: the queues it serves.
        slots: jobs it may hold.
        retention_seconds: how long outcomes are kept.

    Attributes:
        paused: nothing is claimed and no free slot is advertised.
        due: set where the worker should look for jobs before its next heartbeat.
    """

    def __init__(self, owner: str, queues: Sequence[str], slots: int, retention_seconds: int) -> None:
        self.owner = owner
        self.queues = list(queues)
        self.retention_ms = retention_seconds * 1000
        self.pending_ms = max(PENDING_SECONDS, retention_seconds) * 1000
        self.paused = False
        self.due = asyncio.Event()
        self._slots = slots
        self._pool = schema.pool_name(queues)
        self._step = 1
        self._looks: dict[int, tuple[list[str], bytes]] = {}

    async def __call__(self, script: Script, *args: Any) -> Any:
        """Run a script whose last answer is a list of claims."""
        step = self._step % (BATCH_EVERY * len(self.queues))
        if step not in self._looks:
            self._looks[step] = self._look()
        rotations, terms = self._looks[step]
        slots = 0 if self.paused else self._slots
        return await script(rotations, [self.owner, self._pool, slots, self.pending_ms, terms, *args])

    def read(self, rows: list[bytes]) -> list[Claim]:
        """The claims of an answer. An empty one does not advance the rotation."""
        self._step += bool(rows)
        return [Claim.read(row) for row in rows]

    def _look(self) -> tuple[list[str], bytes]:
        """The keys that say whether anything waits, and what the scripts need to claim it."""
        lanes = self._lanes()
        terms = {
            "queues": self.queues,
            "lease": schema.LEASE_MS,
            "abandoned": _ABANDONED,
            "retention": self.retention_ms,
            "lanes": lanes,
        }
        return [schema.rotation_key(*lane) for lane in lanes], codec.pack_for_lua(terms)

    def _lanes(self) -> list[tuple[str, str]]:
        """All (queue, level) pairs by priority: jobs come from the first that has one.

        Interactive lanes are first, but batch lanes are on every `BATCH_EVERY`-th step, so that none starves; within a
        level the queues rotate.
        """
        batches, rest = divmod(self._step, BATCH_EVERY)
        # Each level counts its own steps: with one count for both, eight queues would always find the same one first.
        first = (self._step - batches if rest else batches) % len(self.queues)
        queues = self.queues[first:] + self.queues[:first]
        levels = ("interactive", "batch") if rest else ("batch", "interactive")
        return [(queue, level) for level in levels for queue in queues]
