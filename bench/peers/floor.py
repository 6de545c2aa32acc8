"""Lower bound: two processes and two lists; push, blocking pop, push, blocking pop. No queue in Redis can be faster."""

from __future__ import annotations

from typing import Any

from redis.asyncio import ConnectionPool, Redis

from bench.peer import Peer


class Floor(Peer):
    """One request and its answer, nothing else."""

    async def work(self, redis_url: str, slots: int) -> None:  # noqa: ARG002 -- it does one thing at a time
        """Answer each request."""
        redis: Any = Redis(connection_pool=ConnectionPool.from_url(redis_url))
        while True:
            _, message = await redis.blpop(["ping"])
            await redis.rpush("pong", message)

    async def open(self, target: str) -> None:
        self._redis: Any = Redis(connection_pool=ConnectionPool.from_url(target))

    async def noop(self) -> None:
        """There and back."""
        await self._redis.rpush("ping", b"x")
        await self._redis.blpop(["pong"])


def peer(name: str) -> Peer:
    """The stack of that name."""
    return Floor(name)
