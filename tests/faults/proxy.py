"""TCP proxy in front of a Unix socket, with network faults on demand."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from enum import Enum
from pathlib import Path
from typing import Self

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of zero seconds: closing sends RST
_PIECE = 256
"""Bytes of one write of a trickling proxy."""


class Mode(Enum):
    """Behaviour of the proxy."""

    CALM = "forwards everything"
    REFUSE = "down: connections are reset, new ones refused"
    FREEZE = "accepts connections and data, and forwards nothing until the mode changes"
    RESET = "resets every open connection once, and accepts new ones"
    DELAY = "delays everything by 100 ms in each direction"
    TRICKLE = "forwards a few bytes at a time"
    HALF_OPEN = "drops all data of the open connections, which stay open; accepts new ones"


class Proxy:
    """The proxy, as an async context manager; listens on a free loopback port.

    Args:
        upstream: Unix socket to forward to.
    """

    def __init__(self, upstream: Path) -> None:
        self._upstream = upstream
        self._server: asyncio.Server | None = None
        self._links: dict[asyncio.Task[None], _Link] = {}
        self._flows = asyncio.Event()
        self._mode = Mode.CALM
        self.port = 0

    @property
    def url(self) -> str:
        """URL of Redis through the proxy."""
        return f"redis://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self.set(Mode.CALM)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.set(Mode.REFUSE)

    async def set(self, mode: Mode) -> None:
        """Change the mode."""
        self._mode = mode
        (self._flows.clear if mode is Mode.FREEZE else self._flows.set)()
        if mode in (Mode.REFUSE, Mode.RESET):
            if self._server and mode is Mode.REFUSE:
                self._server.close()
                self._server = None
            for link in self._links.values():
                link.cut()
            await asyncio.gather(*self._links, return_exceptions=True)
        elif mode is Mode.HALF_OPEN:
            for link in self._links.values():
                link.silent = True
        if self._server is None and mode is not Mode.REFUSE:
            self._server = await asyncio.start_server(self._link, "127.0.0.1", self.port, reuse_address=True)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        link = _Link(writer)
        self._links[task] = link
        try:
            upstream_reader, upstream_writer = await asyncio.open_unix_connection(self._upstream)
            link.ends.append(upstream_writer)
            async with asyncio.TaskGroup() as directions:
                for source, sink in ((reader, upstream_writer), (upstream_reader, writer)):
                    directions.create_task(self._forward(source, sink, link))
        except (OSError, ExceptionGroup, asyncio.CancelledError):
            pass  # broken connections are expected
        finally:
            del self._links[task]
            for end in link.ends:
                end.close()

    async def _forward(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, link: _Link) -> None:
        while data := await source.read(1 << 16):
            await self._flows.wait()
            if link.silent:
                await asyncio.Event().wait()  # until the task is cancelled
            if self._mode is Mode.DELAY:
                await asyncio.sleep(0.1)
            step = _PIECE if self._mode is Mode.TRICKLE else len(data)
            for start in range(0, len(data), step):
                sink.write(data[start : start + step])
                await sink.drain()
                if step < len(data):
                    await asyncio.sleep(0.002)
        raise ConnectionResetError  # ends the other direction as well


class _Link:
    """A client connection and its upstream connection."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.ends = [writer]
        self.silent = False
        self._task = asyncio.current_task()

    def cut(self) -> None:
        for end in self.ends:
            sock: socket.socket | None = end.get_extra_info("socket")
            with contextlib.suppress(OSError):
                if sock and sock.family is not socket.AF_UNIX:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            end.transport.abort()
        if self._task:
            self._task.cancel()
