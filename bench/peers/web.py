"""Common part of the MCP peers: three tools, and the callers' side."""

from __future__ import annotations

from typing import Any

from bench.documents import invoice, ten_pages
from bench.http import connect
from bench.peer import Peer


class WebPeer(Peer):
    """Tools ``noop`` and ``render`` do their work elsewhere, ``light`` is answered by the server itself."""

    async def open(self, target: str) -> None:
        """Wait for the server."""
        self._mcp = await connect(target, "light")

    async def close(self) -> None:
        await self._mcp.close()

    async def noop(self) -> None:
        """Call the tool."""
        await self._mcp.call("noop", {})

    async def act(self, action: str, arguments: dict[str, Any]) -> Any:
        """A PDF, or the light tool."""
        match action:
            case "invoice" | "invoice-fork" | "invoice-reuse":
                await self._mcp.call("render", {"html": invoice()})
            case "ten" | "ten-fork" | "ten-reuse":
                await self._mcp.call("render", {"html": ten_pages()})
            case "light":
                await self._mcp.call("light", {})
            case _:
                await super().act(action, arguments)
