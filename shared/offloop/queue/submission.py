"""Submissions: the answer of the scripts to a submit, as a record or as an error that its caller understands."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from offloop.errors import Busy, Conflict, NotFound
from offloop.queue.record import Record

if TYPE_CHECKING:
    from offloop.queue.subscription import WebhookSubscription


@dataclass(frozen=True, slots=True)
class Submission:
    """Accepted request: the record of its job, and whether that existed before."""

    record: Record
    joined: bool


def submitted(
    answer: list[Any], *, queue: str, key: str | None, subscription: WebhookSubscription | None
) -> Submission:
    """Convert the answer of a submit script.

    Raises:
        BadInput: the subscription's URL has answered 410 Gone, or the job has as many subscriptions as it may have.
        Busy: the queue is full, or too many deliveries wait for the URL's host; nothing was queued.
        Conflict: the key was used for a different request.
    """
    match answer:
        case [b"busy", waiting, pace, whose]:
            raise _busy(queue, waiting, pace / 1000, mine=whose == b"principal")
        case [b"conflict", other]:
            message = (
                f"idempotency_key {str(key)[:80]!r} already names job {other.decode()} with other arguments: send "
                "the same arguments to join it, or a new key."
            )
            raise Conflict(message)
        case [status, name, snapshot]:
            job_id = name.decode()
            return Submission(found(job_id, snapshot), joined=status == b"joined")
        case [reason, *_] if subscription:
            raise subscription.declined(reason.decode())
    raise RuntimeError(answer)


def _busy(queue: str, waiting: int, pace: float, *, mine: bool) -> Busy:
    seconds = math.ceil(min(60.0, max(1.0, pace)))
    whose = "of your jobs" if mine else "jobs"
    message = (
        f"The queue {queue!r} is full ({waiting} {whose} wait in it); nothing was queued. "
        f"Try again in {seconds} seconds, or wait for a job of yours to end."
    )
    return Busy(message, retry_after=seconds)


def found(job_id: str, snapshot: list[Any] | None) -> Record:
    """The record of a snapshot.

    Raises:
        NotFound: there is no such job.
    """
    record = Record.from_redis(job_id, *snapshot) if snapshot else None
    if record is None:
        raise NotFound.job(job_id)
    return record
