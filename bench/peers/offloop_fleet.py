"""Many workers of ours on one event loop, each with one slot and no children; see `bench.measures.growth.fleet`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from bench.peers.offloop import Offloop
from offloop.kinds import catalogue
from offloop.queue.record import Done, Progress
from offloop.redis.connection import connect, connect_blocking
from offloop_workers.engine.claiming import Claim
from offloop_workers.engine.worker import Worker, new_owner


class Fleet(Offloop):
    """As many workers as there are slots."""

    async def work(self, redis_url: str, slots: int) -> None:
        kinds = catalogue.load(("bench.jobs",))

        def worker() -> Worker:
            options: dict[str, Any] = {"queues": ["default"], "slots": 1, "retention_seconds": 3600}
            return Worker(kinds, _done, connect(redis_url), connect_blocking(redis_url), owner=new_owner(), **options)

        await asyncio.gather(*(worker().main() for _ in range(slots)))


async def _done(_claim: Claim, _on_progress: Callable[[Progress], None]) -> Done:
    return Done({})


def peer(name: str) -> Fleet:
    """The stack of that name."""
    return Fleet(name)
