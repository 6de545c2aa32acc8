"""taskiq-redis: the stream broker its documentation recommends; results can only be polled, here every 2 ms."""

from __future__ import annotations

from typing import Any

from taskiq.api import run_receiver_task  # type: ignore[import-not-found, unused-ignore]
from taskiq_redis import (  # type: ignore[import-not-found, unused-ignore]
    RedisAsyncResultBackend,
    RedisStreamBroker,
)

from bench.peer import Peer

POLL = 0.002


def _broker(url: str) -> tuple[Any, Any]:
    broker = RedisStreamBroker(url=url).with_result_backend(RedisAsyncResultBackend(redis_url=url, result_ex_time=3600))

    @broker.task(task_name="noop")  # type: ignore[untyped-decorator, unused-ignore]
    async def noop() -> None:
        """Do nothing."""

    return broker, noop


class TaskiqStack(Peer):
    """`kiq`, `wait_result`."""

    async def work(self, redis_url: str, slots: int) -> None:  # noqa: ARG002 -- it needs many, they cost it nothing
        """Run its receiver."""
        broker, _ = _broker(redis_url)
        broker.is_worker_process = True
        await run_receiver_task(broker, run_startup=True)

    async def open(self, target: str) -> None:
        self._broker, self._noop = _broker(target)
        await self._broker.startup()

    async def close(self) -> None:
        await self._broker.shutdown()

    async def noop(self) -> None:
        """Kick it, and poll."""
        task = await self._noop.kiq()
        await task.wait_result(check_interval=POLL, timeout=30)


def peer(name: str) -> Peer:
    """The stack of that name."""
    return TaskiqStack(name)
