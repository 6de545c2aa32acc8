"""Clients of an MCP server: the official SDK's, as agents use it, or a lean one that costs little beside the server."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
from contextlib import AsyncExitStack
from typing import Any, Final, Protocol

from mcp import Client

VERSION: Final = "2026-07-28"
_META: Final = {
    "io.modelcontextprotocol/protocolVersion": VERSION,
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


class ToolError(RuntimeError):
    """Refusal by the tool or the server."""


class Caller(Protocol):
    """Calls tools of one server."""

    async def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Call a tool and return its result, as it is on the wire.

        Raises:
            ToolError: it answered with an error.
        """

    async def close(self) -> None:
        pass


CLIENT: Final = "BENCH_MCP_CLIENT"
"""Environment variable that selects the client: ``lean``, or else the SDK's."""


async def connect(address: str, tool: str) -> Caller:
    """A caller of the server at ``host:port``, once it answers that tool; it may have only just been started."""
    lean = Mcp(address)
    await lean.ready(tool, {})
    if os.environ.get(CLIENT) == "lean":
        return lean
    await lean.close()
    client = Sdk(address)
    await client.open()
    return client


class Sdk:
    """The official client, with the newest revision of the protocol that both sides know."""

    def __init__(self, address: str) -> None:
        self._client = Client(f"http://{address}/mcp")
        self._stack = AsyncExitStack()

    async def open(self) -> None:
        await self._stack.enter_async_context(self._client)

    async def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Call a tool and return its result.

        Raises:
            ToolError: it answered with an error.
        """
        result = await self._client.call_tool(tool, arguments)
        if result.is_error:
            raise ToolError(str(result)[:500])
        return {"structuredContent": result.structured_content}

    async def close(self) -> None:
        await self._stack.aclose()


class Mcp:
    """A lean client: kept-alive connections, as many as there are concurrent calls, one POST a call."""

    def __init__(self, address: str) -> None:
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
        while True:
            reused = bool(self._free)
            reader, writer = await self._connection()
            writer.write(head.encode() + body)
            try:
                answer = json.loads(await _message(reader))
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()
                if not reused:  # else the server closed it for idleness this very moment
                    raise
            else:
                break
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
