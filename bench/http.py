"""A lean MCP client over HTTP, so that what is timed is the server: kept-alive connections, one POST a call."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any, Final

VERSION: Final = "2026-07-28"
_META: Final = {
    "io.modelcontextprotocol/protocolVersion": VERSION,
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


class ToolError(RuntimeError):
    """The tool, or the server, refused."""


class Mcp:
    """Calls tools of one server; as many connections as there are calls at once."""

    def __init__(self, address: str) -> None:
        """Keep the address, ``host:port``."""
        self._host, _, self._port = address.partition(":")
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._ids = itertools.count(1)

    async def ready(self, tool: str, arguments: dict[str, Any]) -> None:
        """Call until the server answers; it may have only just been started."""
        async with asyncio.timeout(60):
            while True:
                try:
                    await self.call(tool, arguments)
                except (OSError, asyncio.IncompleteReadError):
                    await asyncio.sleep(0.05)
                else:
                    return

    async def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Call a tool and return its result.

        Raises:
            ToolError: it answered with an error.
        """
        params = {"name": tool, "arguments": arguments, "_meta": _META}
        body = json.dumps({"jsonrpc": "2.0", "id": next(self._ids), "method": "tools/call", "params": params}).encode()
        head = (
            f"POST /mcp HTTP/1.1\r\nHost: {self._host}:{self._port}\r\nAccept: application/json, text/event-stream\r\n"
            f"Content-Type: application/json\r\nMcp-Protocol-Version: {VERSION}\r\nMcp-Method: tools/call\r\n"
            f"Mcp-Name: {tool}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        reader, writer = await self._connection()
        writer.write(head.encode() + body)
        answer = json.loads(await _message(reader))
        self._free.append((reader, writer))
        result: dict[str, Any] = answer.get("result") or {"isError": True, "error": answer.get("error")}
        if result.get("isError"):
            raise ToolError(str(result)[:500])
        return result

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A free connection that the server has not closed (uvicorn does after five idle seconds), or a new one."""
        while self._free:
            reader, writer = self._free.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return await asyncio.open_connection(self._host, int(self._port))

    async def close(self) -> None:
        """Close the connections."""
        for _, writer in self._free:
            writer.close()


async def _message(reader: asyncio.StreamReader) -> bytes:
    """The JSON of a response: its body, or the last event of its stream."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status = head.split(b" ", 2)[1]
    headers = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    if b"content-length" in headers:
        body = await reader.readexactly(int(headers[b"content-length"]))
    else:
        body = b"".join([chunk async for chunk in _chunks(reader)])
    if status != b"200":
        message = f"{status.decode()} {body[:300]!r}"
        raise ToolError(message)
    if headers.get(b"content-type", b"").startswith(b"text/event-stream"):
        return [line[6:] for line in body.splitlines() if line.startswith(b"data: ")][-1]
    return body


async def _chunks(reader: asyncio.StreamReader) -> Any:
    while size := int((await reader.readline()).strip(), 16):
        yield (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
