"""Batches: many inputs for one kind as one job, accepted as a whole, and the outcome of each item.

An item is a job like any other. The batch is a record without an execution: the scripts move it when
its items end, and everything that knows jobs (status, wait, list, cancel, webhooks) knows it by its id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgpack

from offloop.errors import BadInput, Busy, JobError
from offloop.queue.client import Bounds, new_id
from offloop.queue.record import EXPIRED, Cancelled, Done, Failed, Outcome, Record, State, pack_outcome
from offloop.queue.request import Request, fingerprint
from offloop.queue.submission import Submission, submitted
from offloop.redis import codec, schema, scripts
from offloop.redis.outage import answering
from offloop.redis.schema import SNAPSHOT_FIELDS

if TYPE_CHECKING:
    from offloop.kinds.kind import Kind, Model
    from offloop.queue.subscription import WebhookSubscription
    from offloop.redis import RedisClient

KIND: Final = "run_batch"
"""The kind of the record of a batch; no job may be named so."""

MAX_ITEMS: Final = 500
"""Items of one batch: all are accepted, and cancelled, in one step of Redis, which takes up to 20 ms for so many."""

PAGE: Final = 50
"""Items in one answer."""

PAGE_BYTES: Final = 262_144
"""Bytes of all outcomes in one answer; a client may refuse a megabyte, and a model cannot use so much."""

MAX_FAILURES: Final = 20
"""Failed items named in every answer, whatever its page."""


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a batch.

    Attributes:
        index: position in the batch, from 0.
        job_id: the job that does it; equal items may share one.
        state: of that job.
        outcome: its outcome, if it has ended and is not `omitted`.
        omitted: its outcome is too large for this answer.
    """

    index: int
    job_id: str
    state: State
    outcome: Outcome | None = None
    omitted: bool = False


@dataclass(frozen=True, slots=True)
class BatchPage:
    """A batch as it is now, with some of its items.

    Attributes:
        total: number of items.
        succeeded: items that succeeded so far.
        failed: items that failed so far.
        cancelled: items cancelled so far, including detached items that other requests share.
        items: a page of items, in their order.
        failures: the first failed items, on this page or not.
        after: index of the first item of the next page; None at the end.
    """

    total: int
    succeeded: int
    failed: int
    cancelled: int
    items: list[Item]
    failures: list[Item]
    after: int | None


class Batches:
    """Accepts batches; one per process.

    Args:
        redis: commands go here.
        bounds: how much, and how long.
        front_end: the name of this process's reply channel.
    """

    def __init__(self, redis: RedisClient, bounds: Bounds, *, front_end: str = "") -> None:
        self._bounds = bounds
        self._front_end = front_end
        self._submit = scripts.load(redis, scripts.SUBMIT_BATCH)

    async def submit(  # noqa: PLR0913 -- all named, each with its meaning below
        self,
        kind: Kind[Any, Any],
        values: Sequence[Model],
        *,
        principal: str,
        job_id: str,
        key: str | None = None,
        wait: bool = False,
        subscription: WebhookSubscription | None = None,
        stop_on_error: bool = False,
    ) -> Submission:
        """Accept a batch with all its items or none; or join the batch that its idempotency key names.

        Args:
            kind: what to do with each item.
            values: the items' validated inputs, 1 to `MAX_ITEMS`.
            principal: the caller's principal.
            job_id: of the batch, from `offloop.queue.client.new_id`.
            key: the caller's idempotency key.
            wait: the batch's changes are pushed to this process.
            subscription: a URL that gets a delivery of the batch's end.
            stop_on_error: the first failed item cancels the remaining ones; the batch fails, even if none remained.

        Raises:
            BadInput: more items than may ever wait; or the subscription's URL has answered 410 Gone.
            Busy: the queue has no room for all; nothing was queued.
            Conflict: the key was used for a different request.
            Unavailable: Redis does not answer. Sending the same again is safe.
        """
        self._check(len(values))
        # In a thread: serializing hundreds of inputs takes milliseconds, which would block the loop.
        requests = await asyncio.to_thread(
            lambda: [Request.of(kind, value, principal, compared=True) for value in values]
        )
        batch = self._batch(kind, principal, _mark(kind, requests, stop_on_error=stop_on_error), key)
        batch |= {"stop": "1" if stop_on_error else "", "whole": self._whole(kind, job_id, len(values))}
        if subscription:
            batch["notify"] = subscription.to_wire(principal, KIND, keyed=bool(key), keep_ms=schema.BATCH_KEPT_MS)
        waiter = self._front_end if wait else ""
        args: list[Any] = [job_id, waiter, codec.pack_for_lua(batch), self._items(kind, requests)]
        async with answering():
            answer = await self._submit(args=args)
        try:
            return submitted(answer, queue=kind.queue, key=key, subscription=subscription)
        except Busy as error:
            message = f"There is no room for all {len(values)} items. {error.message}"
            raise Busy(message, retry_after=error.retry_after) from None

    def _check(self, count: int) -> None:
        most = min(MAX_ITEMS, self._bounds.max_queued, self._bounds.max_queued_per_principal)
        if not 1 <= count <= most:
            message = (
                f"items: a batch has 1 to {most} items, {count} were sent: send several batches. Nothing was queued."
            )
            raise BadInput(message)

    def _batch(self, kind: Kind[Any, Any], principal: str, mark: str, key: str | None) -> dict[str, Any]:
        """The record of the batch, as the script writes it."""
        return {
            "principal": principal,
            "kind": KIND,
            "queue": kind.queue,
            "level": "batch",
            "key": schema.idempotency_key(principal, key) if key else "",
            "index": schema.index_key(principal),
            "fingerprint": mark,
            "fresh": 0,
            "max_queued": self._bounds.max_queued,
            "max_queued_per_principal": self._bounds.max_queued_per_principal,
            "keep": self._bounds.pending_ms,
            "allowed": 1,
        }

    def _whole(self, kind: Kind[Any, Any], job_id: str, count: int) -> dict[str, Any]:
        """The outcomes the batch may end with."""
        none = f"None of the {count} items of {kind.name} succeeded"
        endings: dict[str, Outcome] = {
            "completed": Done({"kind": kind.name}),
            "failed": Failed(JobError(f"{none}; each item tells why.", code="batch_failed")),
            "stopped": Failed(JobError("An item failed: stop_on_error ends the others.", code="batch_stopped")),
            "cancelled": Cancelled(),
        }
        packed = {
            name: pack_outcome(outcome, job_id=job_id, kind=KIND, queue=kind.queue, attempt=1)
            for name, outcome in endings.items()
        }
        return {"retention": self._bounds.retention_seconds * 1000, **packed}

    def _items(self, kind: Kind[Any, Any], requests: Sequence[Request]) -> bytes:
        """The jobs and the indices they stand for; equal items of a pure kind share one job."""
        numbers: dict[object, int] = {}
        jobs: list[list[Any]] = []
        indices: list[int] = []
        for request in requests:
            number = numbers.setdefault(request.fingerprint if kind.pure else len(indices), len(jobs) + 1)
            indices.append(number)
            if number > len(jobs):
                jobs.append([new_id(), request.payload, request.key, request.fingerprint, request.references])
        each = {"kind": kind.name, "allowed": kind.retries + 1, "keep": self._bounds.pending_ms, "level": "batch"}
        return codec.pack_for_lua({"each": each, "jobs": jobs, "indices": indices, "fresh": self._bounds.fresh_ms})


async def read(redis: RedisClient, job_id: str, *, start: int = 0) -> BatchPage | None:
    """A batch with a page of its items, without a check of its owner; None if it has expired.

    Raises:
        Unavailable: Redis does not answer.
    """
    async with answering():
        async with redis.pipeline(transaction=True) as pipe:
            pipe.get(schema.BATCH + job_id)
            pipe.hmget(schema.RECORD + job_id, ["total", "succeeded", "failed", "cancelled"])
            packed, counts = await pipe.execute()
        if packed is None or None in counts:
            return None
        ids = [name.decode() for name in msgpack.unpackb(packed, raw=True)[b"items"]]
        total, succeeded, failed, cancelled = map(int, counts)
        items = await _items(redis, list(enumerate(ids))[start : start + PAGE], PAGE_BYTES)
        failures = await _failures(redis, ids) if failed else []
    end = start + len(items)
    return BatchPage(total, succeeded, failed, cancelled, items, failures, end if items and end < len(ids) else None)


async def _items(redis: RedisClient, numbered: list[tuple[int, str]], budget: int) -> list[Item]:
    """Items with their outcomes; an outcome beyond the budget of bytes is omitted."""
    async with redis.pipeline(transaction=False) as pipe:
        for _, job_id in numbered:
            pipe.hmget(schema.RECORD + job_id, SNAPSHOT_FIELDS)
            pipe.strlen(schema.RESULT + job_id)
        found = await pipe.execute()
    fit: list[str] = []
    for (_, job_id), size in zip(numbered, found[1::2], strict=True):
        if size <= budget:
            budget -= size
            fit.append(job_id)
    results = await redis.mget([schema.RESULT + job_id for job_id in fit]) if fit else []
    outcomes: dict[str, bytes | None] = dict(zip(fit, results, strict=True))
    return [
        _item(index, job_id, Record.from_redis(job_id, fields, outcomes.get(job_id)), omitted=job_id not in outcomes)
        for (index, job_id), fields in zip(numbered, found[::2], strict=True)
    ]


def _item(index: int, job_id: str, record: Record | None, *, omitted: bool) -> Item:
    if record is None:
        return Item(index, job_id, State.FAILED, Failed(EXPIRED))
    return Item(index, job_id, record.state, record.outcome, omitted and record.state.terminal)


async def _failures(redis: RedisClient, ids: list[str]) -> list[Item]:
    async with redis.pipeline(transaction=False) as pipe:
        for job_id in ids:
            pipe.hget(schema.RECORD + job_id, "state")
        states = await pipe.execute()
    failed = [
        each for each, state in zip(enumerate(ids), states, strict=True) if state in (None, State.FAILED.encode())
    ]
    return await _items(redis, failed[:MAX_FAILURES], PAGE_BYTES)


def _mark(kind: Kind[Any, Any], requests: Sequence[Request], *, stop_on_error: bool) -> str:
    marks = [request.fingerprint for request in requests]
    return fingerprint(KIND, {"kind": kind.name, "items": marks, "stop_on_error": stop_on_error})
