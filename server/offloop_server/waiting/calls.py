"""The wait budget: a call is answered with the result where it comes in time, else with the job, which goes on.

The budget ends the *wait*, never the work. A client that leaves in the middle is different: where nobody else can reach
the job (its id was not told, no idempotency key names it, no URL is to be told of its end), the work is stopped, as the
protocol wants it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, Literal

from offloop import logs
from offloop.errors import NotFound, Unavailable
from offloop.queue.client import JobQueue, Submission, new_id
from offloop.queue.record import Record

if TYPE_CHECKING:
    from offloop.kinds.kind import Kind, Model
    from offloop.queue.record import Progress
    from offloop.queue.subscription import WebhookSubscription
    from offloop_server.runtime.background import Background
    from offloop_server.waiting.inbox import Inbox, Watch

DISCLOSE_TRIES: Final = 60
"""How often, a second apart, a job whose id was told is made known as such to a Redis that does not answer."""

log = logs.get(__name__)

Relay = Callable[["Progress"], Awaitable[None]]
Submit = Callable[[str], Awaitable[Submission]]


class Calls:
    """What the tools do with jobs; one per front end."""

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
        notice: WebhookSubscription | None = None,
    ) -> Record:
        """Submit a job and wait for it.

        Args:
            kind: what to do.
            value: its validated input.
            principal: who asks.
            wait: seconds to wait at most; 0 answers with the queued job.
            key: the caller's idempotency key.
            relay: is awaited with each new progress.
            notice: whom to tell of the job's end.

        Raises:
            BadInput: nobody can be told so.
            Busy: the queue is full.
            Conflict: the key was used for a different request.
            Unavailable: Redis does not answer.
        """

        async def submit(job_id: str) -> Submission:
            return await self._queue.submit(
                kind, value, principal=principal, job_id=job_id, key=key, wait_seconds=wait, notice=notice
            )

        reachable = key is not None or notice is not None
        return await self.follow(submit, principal=principal, wait=wait, relay=relay, reachable=reachable)

    async def follow(self, submit: Submit, *, principal: str, wait: float, relay: Relay, reachable: bool) -> Record:
        """Submit under a new id, and wait for what comes of it.

        Args:
            submit: does so under the id it is given; that is watched before, so that no push is missed.
            principal: who asks.
            wait: seconds to wait at most; 0 answers with what was accepted.
            relay: is awaited with each new progress.
            reachable: the caller, or somebody else, finds the job without having been told its id.

        Raises:
            OffloopError: what `submit` raises.
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
                if not record.state.terminal and wait > 0:
                    await self._disclose(job_id)
                    record = await self._latest(record)
            except asyncio.CancelledError:
                if not reachable and not self._inbox.stopping:
                    self._background.hand_over(self._abandon(shared_id, job_id), name=f"abandon {shared_id}")
                raise
        return record

    async def status(self, job_id: str, *, principal: str, wait: float, relay: Relay) -> Record:
        """Read a job; with `wait`, answer when it ends, or after that many seconds with how it is then.

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
        """Wait until any or all of the jobs have ended, or for that many seconds; answers all of them, in order.

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
        """Ask for a job to stop, and wait that many seconds for it to be gone.

        Returns:
            The job, and how many other requests share it; while there are any, it goes on.

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
        """The job as it is now: nobody is told that a job has begun, so one that goes on is read once more."""
        if record.state.terminal:
            return record
        try:
            return await self._queue.get(record.job_id, principal=record.principal)
        except Unavailable:  # the caller learns the id all the same, with what was known last
            return record

    async def _disclose(self, job_id: str) -> None:
        """Have the job run however long it waits, now that the caller is told of it; later, where Redis is away."""
        try:
            await self._queue.disclose(job_id)
        except Unavailable:
            self._background.hand_over(self._disclose_later(job_id), name=f"disclose {job_id}")

    async def _disclose_later(self, job_id: str) -> None:
        for _ in range(DISCLOSE_TRIES):
            await asyncio.sleep(1)
            with contextlib.suppress(Unavailable):
                return await self._queue.disclose(job_id)
        log.warning("the job may be dropped unless it is begun soon", job_id=job_id)
        return None

    async def _abandon(self, job_id: str, request_id: str) -> None:
        with contextlib.suppress(Unavailable):
            await self._queue.leave(job_id, request_id)


async def _ignore(_progress: Progress) -> None:
    """Relay nothing."""


async def _until_ended(watch: Watch, wait: float, relay: Relay) -> Record:
    told: Progress | None = None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(max(wait, 0)):
            while not _over(watch):
                await watch.change()
                progress = watch.record.progress if watch.record else None
                if progress and not _ended(watch) and (told is None or progress.done > told.done):
                    told = progress
                    await relay(progress)
    return _seen(watch)


async def _first_change(watches: list[Watch]) -> None:
    changed = asyncio.Event()

    async def look(watch: Watch) -> None:
        await watch.change()
        changed.set()

    async with asyncio.TaskGroup() as group:
        looking = [group.create_task(look(watch), name="look") for watch in watches if not _over(watch)]
        await changed.wait()
        for task in looking:
            task.cancel()


def _ended(watch: Watch) -> bool:
    return watch.record is not None and watch.record.state.terminal


def _over(watch: Watch) -> bool:
    return watch.settled or watch.over


def _seen(watch: Watch) -> Record:
    if watch.record is None or (watch.lost and not watch.record.state.terminal):
        raise NotFound.job(watch.record.job_id if watch.record else "")
    return watch.record
