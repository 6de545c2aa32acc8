"""Workers in the process of the test, ended with the block they are begun in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from offloop.kinds.catalogue import Catalogue
from offloop.queue.record import Outcome, Progress
from offloop_workers.engine.attempt import Again, Claim
from offloop_workers.engine.worker import Worker

Perform = Callable[[Claim, Callable[[Progress], None]], Awaitable[Outcome | Again]]


class Begin(Protocol):
    """Starts a worker with real children."""

    async def __call__(
        self, *, url: str | None = None, slots: int = 2, queues: tuple[str, ...] = ("default", "other")
    ) -> Worker:
        """Answers the worker, which serves until the end of the test."""


@asynccontextmanager
async def serving(
    kinds: Catalogue, perform: Perform, url: str, *, queues: Sequence[str] = ("default",), slots: int = 2
) -> AsyncIterator[Worker]:
    """A worker that serves while the block is open; at its end it drains, within a moment."""
    worker = Worker(kinds, perform, queues=queues, slots=slots, redis_url=url, retention_seconds=60)
    life = asyncio.create_task(worker.main(), name=worker.owner)
    try:
        yield worker
    finally:
        await worker.drain(0.1)
        life.cancel()
        await asyncio.wait([life])
        await worker.close()
