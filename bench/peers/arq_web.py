"""Naive MCP server: a tool that enqueues into stock arq and awaits the result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker, func

from bench import rendering
from bench.peers.pool_web import serve
from bench.peers.web import WebPeer

if TYPE_CHECKING:
    from arq.typing import WorkerCoroutine


async def noop(_context: dict[str, Any]) -> None:
    """Do nothing."""


async def render(_context: dict[str, Any], html: str) -> int:
    """Render on the worker's event loop, as arq's own examples do."""
    return rendering.render(html)


class ArqWeb(WebPeer):
    """arq's defaults on both sides."""

    async def work(self, redis_url: str, slots: int) -> None:  # noqa: ARG002 -- arq's default is ten
        """Run arq's worker."""
        rendering.warm()
        worker = Worker(
            [func(cast("WorkerCoroutine", work), name=work.__name__) for work in (noop, render)],
            redis_settings=RedisSettings.from_dsn(redis_url),
            handle_signals=False,
        )
        await worker.async_run()

    async def serve(self, redis_url: str, port: int) -> None:
        pool = await create_pool(RedisSettings.from_dsn(redis_url))

        async def run(name: str, arguments: dict[str, Any]) -> Any:
            job = await pool.enqueue_job(name, **arguments)
            if job is None:
                raise RuntimeError
            return await job.result()

        await serve(run, port)


def peer(name: str) -> ArqWeb:
    """The stack of that name."""
    return ArqWeb(name)
