"""Queue client: submit, read, list and cancel jobs; and which queues have living workers.

Every method answers within the connection's own bounds and raises `Unavailable` where Redis does not answer, so callers
need not know about Redis. Waiting for changes is left to the owner of the reply channel (the server's inbox).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from offloop.queue.record import Cancelled, Record, State, pack_outcome
from offloop.queue.request import Request
from offloop.queue.submission import Submission, found, submitted
from offloop.redis import codec, schema, scripts
from offloop.redis.outage import answering
from offloop.redis.paging import Index, decode_cursor
from offloop.redis.schema import SNAPSHOT_FIELDS

if TYPE_CHECKING:
    from offloop.kinds.kind import Kind, Model
    from offloop.queue.subscription import WebhookSubscription
    from offloop.redis import RedisClient

PENDING_SECONDS = 24 * 3600
"""Lifetime of the record of a queued job; renewed while the job runs."""

PATIENCE_SECONDS = 60
"""Grace period after the wait budget; a job that is still queued then, and was not disclosed, is abandoned.

A front end whose call ends while Redis is away answers the id and marks the job as disclosed when Redis is back. An
outage up to this long must not cost the job: workers may claim before front ends mark.
"""


def new_id() -> str:
    """A job id: 128 random bits, url-safe."""
    return secrets.token_urlsafe(16)


@dataclass(frozen=True, slots=True)
class JobPage:
    """A page of a principal's jobs, newest first, and the cursor of the next page (None at the end)."""

    records: list[Record]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of the queue and of retention.

    Attributes:
        retention_seconds: how long an ended job can be read.
        max_queued: jobs that may wait in one queue.
        max_queued_per_principal: jobs of one principal that may wait in one queue.
    """

    retention_seconds: int
    max_queued: int
    max_queued_per_principal: int

    @property
    def pending_ms(self) -> int:
        """Longest time in the queue, in ms."""
        return max(PENDING_SECONDS, self.retention_seconds) * 1000

    @property
    def fresh_ms(self) -> int:
        """Least remaining retention, in ms, of a result that a request of equal input may join."""
        return self.retention_seconds * 500


class JobQueue:
    """Jobs as a front end handles them; one per process.

    Args:
        redis: commands go here.
        bounds: how much, and how long.
        front_end: the name of this process's reply channel; ``""`` for one that never waits.
    """

    def __init__(self, redis: RedisClient, bounds: Bounds, *, front_end: str = "") -> None:
        self._redis = redis
        self._bounds = bounds
        self._front_end = front_end
        self._keep_ms = bounds.retention_seconds * 1000
        self._pending_ms = bounds.pending_ms
        self._submit = scripts.load(redis, scripts.SUBMIT)
        self._read = scripts.load(redis, scripts.READ)
        self._mark_disclosed = scripts.load(redis, scripts.MARK_DISCLOSED)
        self._cancel = scripts.load(redis, scripts.CANCEL)
        self._abandon = scripts.load(redis, scripts.ABANDON)

    async def submit(  # noqa: PLR0913 -- all named, each with its meaning below
        self,
        kind: Kind[Any, Any],
        value: Model,
        *,
        principal: str,
        job_id: str,
        key: str | None = None,
        wait_seconds: float = 0,
        subscription: WebhookSubscription | None = None,
    ) -> Submission:
        """Accept a job, or join one: that of the same idempotency key, or of the same input where the kind is pure.

        Args:
            kind: what to do.
            value: its validated input.
            principal: the caller's principal.
            job_id: from `new_id`; the caller creates it, to subscribe before it submits.
            key: the caller's idempotency key.
            wait_seconds: how long the caller waits. Above 0 the job is interactive and its changes are pushed to this
                process. If it is still queued `PATIENCE_SECONDS` after the wait, and was not disclosed and has no key,
                it is dropped.
            subscription: a URL that gets a delivery of the job's end; with one, the job is never dropped.

        Raises:
            BadInput: the subscription's URL has answered 410 Gone, or the job has as many subscriptions as it may have.
            Busy: the queue is full, or too many deliveries wait for the URL's host; nothing was queued.
            Conflict: the key was used for a different request.
            Unavailable: Redis does not answer. Sending the same again is safe.
        """
        request = Request.of(kind, value, principal, key)
        job: dict[str, Any] = {
            "principal": principal,
            "kind": kind.name,
            "queue": kind.queue,
            "level": "interactive" if wait_seconds > 0 else "batch",
            "key": request.key,
            "index": schema.index_key(principal),
            "fingerprint": request.fingerprint,
            "references": request.references,
            "fresh": 0 if key else self._bounds.fresh_ms,
            "max_queued": self._bounds.max_queued,
            "max_queued_per_principal": self._bounds.max_queued_per_principal,
            "keep": self._pending_ms,
            "allowed": kind.retries + 1,
        }
        if wait_seconds > 0 and not (key or subscription):  # either makes the job reachable without its id
            job["patience"] = int((wait_seconds + PATIENCE_SECONDS) * 1000)
        if subscription:
            job["notify"] = subscription.to_wire(principal, kind.name, keyed=bool(key), keep_ms=self._pending_ms)
        async with answering():
            answer = await self._submit(
                args=[job_id, request.payload, self._front_end if wait_seconds > 0 else "", codec.pack_for_lua(job)]
            )
        return submitted(answer, queue=kind.queue, key=key, subscription=subscription)

    async def mark_disclosed(self, job_id: str) -> None:
        """Mark a job as disclosed, before the caller gets its id: from now on it runs however long it waits.

        Raises:
            Unavailable: Redis does not answer.
        """
        async with answering():
            await self._mark_disclosed(args=[job_id])

    async def get(self, job_id: str, *, principal: str, wait: bool = False, begin: bool = False) -> Record:
        """Read a job; `wait` subscribes this process to its progress and end, `begin` to its start as well.

        Raises:
            NotFound: the principal has no such job.
            Unavailable: Redis does not answer.
        """
        async with answering():
            snapshot = await self._read(args=[job_id, principal, self._front_end if wait else "", int(begin)])
        return found(job_id, snapshot)

    async def cancel(self, job_id: str, *, principal: str) -> tuple[Record, int]:
        """Cancel a job. A queued one ends now; a running one is ``cancelled`` when its child has exited.

        Returns:
            The job, and the number of other requests that share it; with any, it continues.

        Raises:
            NotFound: the principal has no such job.
            Unavailable: Redis does not answer.
        """
        async with answering():
            answer = await self._cancel(args=[job_id, principal, new_id(), _cancelled(job_id), self._keep_ms])
        snapshot, left = answer or (None, 0)
        return found(job_id, snapshot), left

    async def abandon(self, job_id: str, request_id: str) -> bool:
        """Detach a request whose caller never got the job's id; returns whether it was the last, which ends the job."""
        async with answering():
            return bool(await self._abandon(args=[job_id, request_id, _cancelled(job_id), self._keep_ms]))

    async def jobs(
        self,
        *,
        principal: str,
        state: State | None = None,
        kind: str | None = None,
        limit: int = 20,
        cursor: str | None = None,
    ) -> JobPage:
        """A principal's jobs, newest first.

        Args:
            principal: the owner.
            state: only jobs in this state.
            kind: only jobs of this kind.
            limit: most jobs in the answer.
            cursor: the cursor of the page before.

        Raises:
            BadInput: the cursor is not one of ours.
            Unavailable: Redis does not answer.
        """
        start = decode_cursor(cursor, "list_jobs")

        def matches(record: Record) -> bool:
            return state in (None, record.state) and kind in (None, record.kind)

        filtered = matches if state or kind else None
        async with answering():
            index = Index(self._redis, schema.index_key(principal), self._records)
            page = await index.page(filtered, start=start, limit=limit)
        return JobPage(page.items, page.cursor)

    async def _records(self, names: list[str]) -> list[Record | None]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hmget(schema.RECORD + name, SNAPSHOT_FIELDS)
                pipe.get(schema.RESULT + name)
            found = await pipe.execute()
        return [
            Record.from_redis(name, fields, result)
            for name, fields, result in zip(names, found[::2], found[1::2], strict=True)
        ]


async def live_queues(redis: RedisClient, queues: Iterable[str] | None = None) -> set[str]:
    """Those of the queues (default: all that ever had a worker) that a living worker serves now.

    Raises:
        Unavailable: Redis does not answer.
    """
    async with answering():
        if queues is None:
            prefix = schema.heartbeats_key("")
            queues = [key.decode().removeprefix(prefix) async for key in redis.scan_iter(prefix + "*")]
        names = list(queues)
        seconds, micros = await redis.time()
        async with redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.zcount(schema.heartbeats_key(name), seconds * 1000 + micros // 1000, "+inf")
            counts = await pipe.execute()
    return {name for name, count in zip(names, counts, strict=True) if count}


def _cancelled(job_id: str) -> bytes:
    return pack_outcome(Cancelled(), job_id=job_id, kind="", queue="")


def read_push(message: bytes) -> tuple[str, Record | None]:
    """Decode a push to a front end: the job's id, and its record unless it was too large to push."""
    job_id, snapshot = codec.unpack_push(message)
    return job_id, Record.from_redis(job_id, *snapshot) if snapshot else None
