"""arq as it comes; ``arq-10ms`` polls every 10 ms on both sides instead of every half second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from arq import create_pool
from arq.connections import ArqRedis, RedisSettings
from arq.worker import Worker, func

from bench.peer import Peer

if TYPE_CHECKING:
    from arq.typing import WorkerCoroutine

SLOTS = 64
"""Concurrent jobs of one worker; they run on its event loop."""


async def noop(_context: dict[Any, Any]) -> None:
    """Do nothing."""


class StockArq(Peer):
    """`Worker`, `enqueue_job`, `Job.result`."""

    @property
    def _poll(self) -> float:
        return 0.01 if self.name.endswith("10ms") else 0.5

    async def work(self, redis_url: str, slots: int) -> None:  # noqa: ARG002 -- it needs many, they cost it nothing
        """Run arq's worker."""
        settings = RedisSettings.from_dsn(redis_url)
        worker = Worker(
            [func(cast("WorkerCoroutine", noop), name="noop")],
            redis_settings=settings,
            poll_delay=self._poll,
            max_jobs=SLOTS,
            handle_signals=False,
        )
        await worker.async_run()

    async def open(self, target: str) -> None:
        self._arq: ArqRedis = await create_pool(RedisSettings.from_dsn(target))

    async def noop(self) -> None:
        """Enqueue, and poll for the result."""
        job = await self._arq.enqueue_job("noop")
        if job is None:
            raise RuntimeError
        await job.result(poll_delay=self._poll)


def peer(name: str) -> Peer:
    """The stack of that name."""
    return StockArq(name)
