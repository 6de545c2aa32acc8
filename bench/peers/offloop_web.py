"""offloop as it is deployed: ``offloop serve``, workers of ``offloop worker``, MCP over HTTP.

Nothing here is imported from the product, so another checkout can be measured as well (`bench.venvs.before`).
"""

from __future__ import annotations

from typing import Any

from bench.documents import invoice, ten_pages
from bench.http import ToolError, connect
from bench.peer import Peer
from bench.peers.commands import become

_WAIT = 50


class OffloopWeb(Peer):
    """Tools of `bench.jobs` and of the product itself, through MCP."""

    async def work(self, redis_url: str, slots: int) -> None:
        """Become a worker."""
        become("worker", "--slots", str(slots), OFFLOOP_REDIS_URL=redis_url)

    async def serve(self, redis_url: str, port: int) -> None:
        """Become a front end."""
        become("serve", "--port", str(port), OFFLOOP_REDIS_URL=redis_url)

    async def open(self, target: str) -> None:
        """Wait for the server."""
        self._mcp = await connect(target, "list_jobs")

    async def close(self) -> None:
        await self._mcp.close()

    async def noop(self) -> None:
        """Call the tool, which waits for its job."""
        await self._completed("noop", {})

    async def act(self, action: str, arguments: dict[str, Any]) -> Any:
        """The same PDFs as the others', a hash, or a tool that the front end answers by itself."""
        match action:
            case "invoice" | "invoice-fork":
                await self._completed("render_fork", {"html": invoice(), "wait_seconds": _WAIT})
            case "invoice-reuse":
                await self._completed("render_reuse", {"html": invoice(), "wait_seconds": _WAIT})
            case "ten" | "ten-fork":
                await self._completed("render_fork", {"html": ten_pages(), "wait_seconds": _WAIT})
            case "ten-reuse":
                await self._completed("render_reuse", {"html": ten_pages(), "wait_seconds": _WAIT})
            case "hash":
                await self._completed("hash_file", {"file": f"data:,{invoice()}", "wait_seconds": _WAIT})
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
