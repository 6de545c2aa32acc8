"""offloop as it is deployed: the front end of ``offloop serve``, workers of ``offloop worker``, MCP over HTTP."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from typing import Any

from bench.documents import invoice, ten_pages
from bench.http import ToolError, connect
from bench.peers.offloop import Offloop
from offloop import logs, settings


class OffloopWeb(Offloop):
    """The worker is that of the engine's own stack; callers go through MCP."""

    def run(self, role: str, main: Coroutine[Any, Any, None]) -> None:
        """Run front end and workers on the product's own loop; the callers have the one that all peers' have."""
        if role == "client":
            asyncio.run(main)
        else:
            super().run(role, main)

    async def serve(self, redis_url: str, port: int) -> None:
        """Run the front end as the command does."""
        from offloop_server.server import run  # noqa: PLC0415 -- a caller's process does without

        configured = settings.load({**os.environ, "OFFLOOP_REDIS_URL": redis_url, "OFFLOOP_PORT": str(port)})
        logs.configure(configured, role="server")
        await run(configured)

    async def open(self, target: str) -> None:
        """Wait for the server."""
        self._mcp = await connect(target, "list_jobs")

    async def close(self) -> None:
        await self._mcp.close()

    async def noop(self) -> None:
        """Call the tool, which waits for its job."""
        await self._completed("noop", {})

    async def act(self, action: str, arguments: dict[str, Any]) -> Any:
        """The same PDFs as the others', or a tool that the front end answers by itself."""
        match action:
            case "invoice" | "invoice-fork":
                await self._completed("render_fork", {"html": invoice(), "wait_seconds": 50})
            case "invoice-reuse":
                await self._completed("render_reuse", {"html": invoice(), "wait_seconds": 50})
            case "ten":
                await self._completed("render_fork", {"html": ten_pages(), "wait_seconds": 50})
            case "light":
                await self._mcp.call("light", {})
            case _:
                await super().act(action, arguments)

    async def _completed(self, tool: str, arguments: dict[str, Any]) -> None:
        answer = (await self._mcp.call(tool, arguments))["structuredContent"]
        if answer["state"] != "completed":
            raise ToolError(str(answer)[:500])


def peer(name: str) -> OffloopWeb:
    """The stack of that name."""
    return OffloopWeb(name)
