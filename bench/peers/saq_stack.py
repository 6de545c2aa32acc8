"""saq: its faster way of waiting, ``Job.refresh(until_complete=…)``, which listens; ``Queue.apply`` polls."""

from __future__ import annotations

from typing import Any

from saq import Queue, Worker  # type: ignore[import-not-found, unused-ignore]

from bench.peer import Peer

SLOTS = 64


async def noop(_context: dict[str, Any]) -> None:
    """Do nothing."""


class SaqStack(Peer):
    """`Queue.enqueue`, `Job.refresh`."""

    async def work(self, redis_url: str, slots: int) -> None:  # noqa: ARG002 -- it needs many, they cost it nothing
        """Run its worker."""
        queue = Queue.from_url(redis_url)
        await queue.connect()
        await Worker(queue, functions=[("noop", noop)], concurrency=SLOTS).start()

    async def open(self, target: str) -> None:
        self._queue = Queue.from_url(target)
        await self._queue.connect()

    async def close(self) -> None:
        await self._queue.disconnect()

    async def noop(self) -> None:
        """Enqueue and listen; it loses a wake-up now and then, so ask again after a second."""
        job = await self._queue.enqueue("noop")
        while not job.completed:
            try:
                await job.refresh(until_complete=1)
            except TimeoutError:
                self.lost = getattr(self, "lost", 0) + 1


def peer(name: str) -> Peer:
    """The stack of that name."""
    return SaqStack(name)
