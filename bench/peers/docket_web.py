"""FastMCP whose tools submit the work to Docket workers and await the result; they render with the same WeasyPrint."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from docket import Docket, Worker  # type: ignore[import-not-found, unused-ignore]
from fastmcp import FastMCP  # type: ignore[import-not-found, unused-ignore]

from bench import rendering
from bench.peers.docket_stack import CHECK
from bench.peers.web import WebPeer


async def noop() -> None:
    """Do nothing."""


async def render(html: str) -> int:
    """Render in a thread, which keeps the worker's loop alive."""
    return await asyncio.to_thread(rendering.weasyprint_alone, html)


class DocketWeb(WebPeer):
    """Stateless HTTP, as the others."""

    async def work(self, redis_url: str, slots: int) -> None:  # noqa: ARG002 -- one render a worker, see below
        """Run Docket's worker, one task at a time: two renders in one process only wait for each other."""
        rendering.weasyprint_alone("<p>warm</p>")
        async with Docket(name="bench", url=redis_url) as docket:
            docket.register(noop)
            docket.register(render)
            options = {"minimum_check_interval": CHECK, "scheduling_resolution": CHECK}
            async with Worker(docket, concurrency=1, **options) as worker:
                await worker.run_forever()

    async def serve(self, redis_url: str, port: int) -> None:
        async with Docket(name="bench", url=redis_url) as docket:
            server: Any = FastMCP("peer")

            @server.tool(name="noop")  # type: ignore[untyped-decorator, unused-ignore]
            async def _noop() -> None:
                execution = await docket.add(noop)()
                await execution.get_result(timeout=timedelta(seconds=60))

            @server.tool(name="render")  # type: ignore[untyped-decorator, unused-ignore]
            async def _render(html: str) -> int:
                execution = await docket.add(render)(html)
                size: int = await execution.get_result(timeout=timedelta(seconds=60))
                return size

            @server.tool(name="light")  # type: ignore[untyped-decorator, unused-ignore]
            async def _light() -> str:
                return "here"

            await server.run_async(
                transport="http", port=port, stateless_http=True, show_banner=False, log_level="warning"
            )


def peer(name: str) -> DocketWeb:
    """The stack of that name."""
    return DocketWeb(name)
