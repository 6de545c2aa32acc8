"""Workers in the process of the test, ended with the block they are started in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

from offloop.kinds.catalogue import Catalogue
from offloop.redis.connection import connect, connect_blocking
from offloop_workers.engine.execution import Perform
from offloop_workers.engine.worker import Worker, new_owner


class Begin(Protocol):
    """Starts a worker with real children."""

    async def __call__(
        self, *, url: str | None = None, slots: int = 2, queues: tuple[str, ...] = ("default", "other")
    ) -> Worker:
        """Answer the worker, which serves until the end of the test."""


@asynccontextmanager
async def serving(
    kinds: Catalogue, perform: Perform, url: str, *, queues: Sequence[str] = ("default",), slots: int = 2
) -> AsyncIterator[Worker]:
    """A worker that serves while the block is open; at its end it drains, within a moment."""
    redis, subscriptions = connect(url), connect_blocking(url)
    options: dict[str, Any] = {"queues": queues, "slots": slots, "retention_seconds": 60}
    worker = Worker(kinds, perform, redis, subscriptions, owner=new_owner(), **options)
    life = asyncio.create_task(worker.main(), name=worker.owner)
    try:
        yield worker
    finally:
        await worker.drain(0.1)
        life.cancel()
        await asyncio.wait([life])
        await worker.close()
        for connections in (subscriptions, redis):
            await connections.aclose(close_connection_pool=True)
