"""Inbox of pushed job records: one subscription per front end resolves every waiting call.

The scripts push a job's record whenever it changes. No push is load-bearing: after a broken subscription every awaited
job is read again, and a job that has been awaited for more than a second is polled once a second.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from offloop.errors import NotFound
from offloop.queue.client import JobQueue, read_push
from offloop.redis import schema
from offloop.redis.outage import AWAY, forever
from offloop.redis.subscriber import Subscriber

if TYPE_CHECKING:
    from offloop.queue.record import Record
    from offloop.redis import RedisClient
    from offloop_server.runtime.background import Background

POLL_SECONDS: Final = 1.0


@dataclass(eq=False, slots=True)
class Watch:
    """One call's view of one job.

    Attributes:
        record: the newest record, None before the first.
        lost: the job no longer exists.
        over: the front end stops, so the wait ends with the last known record.
    """

    principal: str
    record: Record | None = None
    lost: bool = False
    waited: bool = False
    over: bool = False
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def settled(self) -> bool:
        """Whether the job can no longer change."""
        return self.lost or (self.record is not None and self.record.state.terminal)

    def see(self, record: Record) -> None:
        """Accept a record, unless it is older than or equal to the known one."""
        known = self.record
        if known is None or not (known.state.terminal or record.attempt < known.attempt or record == known):
            self.record = record
            self._changed.set()

    def mark_lost(self) -> None:
        """Mark the job as no longer existing."""
        self.lost = True
        self._changed.set()

    def end(self) -> None:
        """End the wait, since the front end stops."""
        self.over = True
        self._changed.set()

    async def change(self) -> None:
        """Wait for a change since the last return of this method."""
        await self._changed.wait()
        self._changed.clear()


class Watching:
    """Registers a watch while its block runs; a context manager made of a generator takes three times as long."""

    def __init__(self, all_: dict[str, set[Watch]], job_id: str, watch: Watch) -> None:
        self._all, self._job_id, self._watch = all_, job_id, watch

    async def __aenter__(self) -> Watch:
        self._all.setdefault(self._job_id, set()).add(self._watch)
        return self._watch

    async def __aexit__(self, *_: object) -> None:
        watches = self._all[self._job_id]
        watches.discard(self._watch)
        if not watches:
            del self._all[self._job_id]


class Inbox:
    """The waiting calls of one front end: an async context manager.

    Args:
        listening: opens the connection of the subscription.
        queue: reads jobs whose pushes may have been lost.
        front_end: the name of this front end's channel.
        background: runs the two loops.
    """

    def __init__(self, listening: RedisClient, queue: JobQueue, front_end: str, background: Background) -> None:
        self._listening = listening
        self._queue = queue
        self._channel = Subscriber(listening, schema.REPLY_CHANNEL + front_end, self._receive, self._resubscribed)
        self._background = background
        self._watches: dict[str, set[Watch]] = {}
        self._subscribed = asyncio.Event()
        self._loops: list[asyncio.Task[Any]] = []
        self._stopping = False

    async def __aenter__(self) -> Self:
        """Subscribe. If Redis does not answer, this returns after a second and the loops retry."""
        self._loops = [
            self._background.start(forever(self._channel.listen), name="inbox"),
            self._background.start(forever(self._poll), name="inbox-poll"),
        ]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await self._subscribed.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the loops and close the subscription's connection. Safe to call twice."""
        left = set(self._loops)
        while left:  # redis-py loses a cancellation that arrives while it connects, so repeat it
            for loop in left:
                loop.cancel()
            left = (await asyncio.wait(left, timeout=0.2))[1]
        with contextlib.suppress(*AWAY):
            await self._listening.aclose(close_connection_pool=True)

    def watch(self, job_id: str, principal: str, changed: asyncio.Event | None = None) -> Watching:
        """Receive the pushes of a job while the block runs. Enter before requesting pushes, so that none is missed.

        Args:
            job_id: the job.
            principal: its owner.
            changed: is set with each change; several watches may share it.
        """
        watch = Watch(principal, over=self._stopping, _changed=changed or asyncio.Event())
        return Watching(self._watches, job_id, watch)

    @property
    def stopping(self) -> bool:
        """Whether the front end is about to stop."""
        return self._stopping

    def stop_waiting(self) -> None:
        """End all waits: open calls are answered with the current state of their jobs, before the front end stops."""
        self._stopping = True
        for watches in self._watches.values():
            for watch in watches:
                watch.end()

    def _resubscribed(self) -> None:
        self._subscribed.set()
        self._background.spawn(self._read(list(self._watches)), name="inbox-subscribed")

    def _receive(self, data: bytes) -> None:
        job_id, record = read_push(data)
        if record is None:
            self._background.spawn(self._read([job_id]), name=f"read {job_id}")
            return
        for watch in self._watches.get(job_id, ()):
            watch.see(record)

    async def _poll(self) -> None:
        await asyncio.sleep(POLL_SECONDS)
        stale = [job_id for job_id, watches in self._watches.items() if any(watch.waited for watch in watches)]
        for watches in self._watches.values():
            for watch in watches:
                watch.waited = True
        await self._read(stale)

    async def _read(self, job_ids: list[str]) -> None:
        """Read jobs again, concurrently: they share one connection, so a thousand cost little more than one."""
        wanted = {
            (job_id, watch.principal)
            for job_id in job_ids
            for watch in self._watches.get(job_id, ())
            if not watch.settled
        }
        await asyncio.gather(*(self._refresh(job_id, principal) for job_id, principal in wanted))

    async def _refresh(self, job_id: str, principal: str) -> None:
        try:
            record = await self._queue.get(job_id, principal=principal, wait=True)
        except NotFound:
            record = None
        for watch in self._watches.get(job_id, ()):
            if watch.principal != principal:
                continue
            if record:
                watch.see(record)
            elif watch.record is not None:
                watch.mark_lost()
