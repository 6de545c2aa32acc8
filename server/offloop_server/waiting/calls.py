"""The wait budget: the answer to a call is the result if it arrives in time, else the job, which continues.

The budget ends the *wait*, never the work. A client that disconnects is different. If the job is unreachable then (its
id was not disclosed, and it has neither an idempotency key nor a webhook subscription), it is abandoned, as the
protocol demands.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, Literal

from offloop import logs
from offloop.errors import NotFound, Unavailable
from offloop.queue.client import PATIENCE_SECONDS, JobQueue, new_id
from offloop.queue.record import Record
from offloop.queue.submission import Submission

if TYPE_CHECKING:
    from offloop.kinds.kind import Kind, Model
    from offloop.queue.record import Progress
    from offloop.queue.subscription import WebhookSubscription
    from offloop_server.runtime.background import Background
    from offloop_server.waiting.inbox import Inbox, Watch

DISCLOSE_TRIES: Final = PATIENCE_SECONDS
"""Attempts, one second apart, to mark a job as disclosed while Redis does not answer; later ones come too late."""

log = logs.get(__name__)

Relay = Callable[["Progress"], Awaitable[None]]
Submit = Callable[[str], Awaitable[Submission]]


class Calls:
    """Submits jobs, waits for them and cancels them, for the tools of one front end."""

    def __init__(self, queue: JobQueue, inbox: Inbox, background: Background) -> None:
        self._queue = queue
        self._inbox = inbox
        self._background = background

    async def run(  # noqa: PLR0913 -- all named
        self,
        kind: Kind[Any, Any],
        value: Model,
        *,
        principal: str,
        wait: float,
        key: str | None,
        relay: Relay,
        subscription: WebhookSubscription | None = None,
    ) -> Record:
        """Submit a job and wait for it.

        Args:
            kind: the kind of the job.
            value: its validated input.
            principal: the owner of the job.
            wait: the longest wait in seconds; 0 answers with the queued job.
            key: the caller's idempotency key.
            relay: is awaited with each new progress.
            subscription: the webhook to send at the end of the job.

        Raises:
            BadInput: webhooks cannot be sent, since no worker does.
            Busy: the queue is full.
            Conflict: the key was used for a different request.
            Unavailable: Redis does not answer.
        """

        async def submit(job_id: str) -> Submission:
            return await self._queue.submit(
                kind, value, principal=principal, job_id=job_id, key=key, wait_seconds=wait, subscription=subscription
            )

        reachable = key is not None or subscription is not None
        return await self.follow(submit, principal=principal, wait=wait, relay=relay, reachable=reachable)

    async def follow(self, submit: Submit, *, principal: str, wait: float, relay: Relay, reachable: bool) -> Record:
        """Submit a job or batch under a new id, and wait for it.

        Args:
            submit: submits under the given id, which is watched before, so that no push is missed.
            principal: the owner of the job.
            wait: the longest wait in seconds; 0 answers with the accepted job.
            relay: is awaited with each new progress.
            reachable: the job can be reached without its id, by an idempotency key or a subscription.

        Raises:
            OffloopError: raised by `submit`.
            Unavailable: Redis does not answer.
        """
        job_id = shared_id = new_id()
        async with self._inbox.watch(job_id, principal) as watch:
            try:
                submission = await submit(job_id)
                if submission.joined:
                    shared_id = submission.record.job_id
                    return await self.status(shared_id, principal=principal, wait=wait, relay=relay)
                watch.see(submission.record)
                record = await _until_ended(watch, wait, relay)
                # While Redis is away each question takes seconds, and the caller needs no more than the id.
                if not record.state.terminal and wait > 0 and await self._disclose(job_id):
                    record = await self._latest(record)
            except asyncio.CancelledError:
                if not reachable and not self._inbox.stopping:
                    self._background.spawn(self._abandon(shared_id, job_id), name=f"abandon {shared_id}")
                raise
        return record

    async def status(self, job_id: str, *, principal: str, wait: float, relay: Relay) -> Record:
        """Read a job; with `wait`, answer when it ends, or after that many seconds with its state then.

        Raises:
            NotFound: the principal has no such job.
            Unavailable: Redis does not answer.
        """
        if wait <= 0:
            return await self._queue.get(job_id, principal=principal)
        async with self._inbox.watch(job_id, principal) as watch:
            watch.see(await self._queue.get(job_id, principal=principal, wait=True))
            record = await _until_ended(watch, wait, relay)
        return await self._latest(record)

    async def wait_for(
        self, job_ids: list[str], *, principal: str, wait: float, until: Literal["any", "all"]
    ) -> list[Record]:
        """Wait until any or all of the jobs have ended, at most `wait` seconds; returns all of them, in order.

        Raises:
            NotFound: the principal has no such job.
            Unavailable: Redis does not answer.
        """
        async with AsyncExitStack() as stack:
            watches = [await stack.enter_async_context(self._inbox.watch(job_id, principal)) for job_id in job_ids]
            for job_id, watch in zip(job_ids, watches, strict=True):
                watch.see(await self._queue.get(job_id, principal=principal, wait=wait > 0))
            enough = any if until == "any" else all
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    while not enough(map(_over, watches)):
                        await _first_change(watches)
            seen = [_seen(watch) for watch in watches]
        return [await self._latest(record) for record in seen] if wait else seen

    async def cancel(self, job_id: str, *, principal: str, wait: float) -> tuple[Record, int]:
        """Cancel a job, and wait up to `wait` seconds for its end.

        Returns:
            The job, and the number of other requests that share it; with any, the job continues.

        Raises:
            NotFound: the principal has no such job.
            Unavailable: Redis does not answer.
        """
        async with self._inbox.watch(job_id, principal) as watch:
            watch.see(await self._queue.get(job_id, principal=principal, wait=True))
            record, shared = await self._queue.cancel(job_id, principal=principal)
            watch.see(record)
            return (record if shared else await _until_ended(watch, wait, _ignore)), shared

    async def _latest(self, record: Record) -> Record:
        """The current job: the start of a job is not pushed, so a job that continues is read again."""
        if record.state.terminal:
            return record
        try:
            return await self._queue.get(record.job_id, principal=record.principal)
        except Unavailable:  # the caller must learn the id; the last known state is good enough
            return record

    async def _disclose(self, job_id: str) -> bool:
        """Mark the job as disclosed, so that it runs however long it waits; without an answer of Redis, do it later."""
        try:
            await self._queue.mark_disclosed(job_id)
        except Unavailable:
            self._background.spawn(self._disclose_later(job_id), name=f"disclose {job_id}")
            return False
        return True

    async def _disclose_later(self, job_id: str) -> None:
        for _ in range(DISCLOSE_TRIES):
            await asyncio.sleep(1)
            with contextlib.suppress(Unavailable):
                return await self._queue.mark_disclosed(job_id)
        log.warning("job not marked as disclosed; it is dropped unless it starts soon", job_id=job_id)
        return None

    async def _abandon(self, job_id: str, request_id: str) -> None:
        with contextlib.suppress(Unavailable):
            await self._queue.abandon(job_id, request_id)


async def _ignore(_progress: Progress) -> None:
    """Drop the progress."""


async def _until_ended(watch: Watch, wait: float, relay: Relay) -> Record:
    relayed: Progress | None = None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(max(wait, 0)):
            while not _over(watch):
                await watch.change()
                progress = watch.record.progress if watch.record else None
                if progress and not _ended(watch) and (relayed is None or progress.done > relayed.done):
                    relayed = progress
                    await relay(progress)
    return _seen(watch)


async def _first_change(watches: list[Watch]) -> None:
    changed = asyncio.Event()

    async def signal(watch: Watch) -> None:
        await watch.change()
        changed.set()

    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(signal(watch), name="wait for a change") for watch in watches if not _over(watch)]
        await changed.wait()
        for task in waiting:
            task.cancel()


def _ended(watch: Watch) -> bool:
    return watch.record is not None and watch.record.state.terminal


def _over(watch: Watch) -> bool:
    return watch.settled or watch.over


def _seen(watch: Watch) -> Record:
    if watch.record is None or (watch.lost and not watch.record.state.terminal):
        raise NotFound.job(watch.record.job_id if watch.record else "")
    return watch.record
