"""A TCP proxy in front of a Unix socket, that misbehaves on demand."""

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
"""Bytes that a trickling proxy passes on at once."""


class Mode(Enum):
    """What the proxy does with connections."""

    CALM = "passes everything on"
    REFUSE = "is not there: connections are cut and new ones refused"
    FREEZE = "takes connections and data, and passes nothing on until it thaws"
    RESET = "cuts every connection once with RST, and takes new ones"
    DELAY = "holds everything back for 100 ms, each way"
    TRICKLE = "passes on a few bytes at a time"
    HALF_OPEN = "never passes anything on again for the connections there are, without a word; takes new ones"


class Proxy:
    """An async context manager; it listens on a free port of the loopback address.

    Args:
        upstream: the Unix socket that connections are passed on to.
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
        """How to connect to Redis through it."""
        return f"redis://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self.set(Mode.CALM)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.set(Mode.REFUSE)

    async def set(self, mode: Mode) -> None:
        """Behave so from now on; see `Mode`."""
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
            behind, ahead = await asyncio.open_unix_connection(self._upstream)
            link.ends.append(ahead)
            async with asyncio.TaskGroup() as ways:
                for source, sink in ((reader, ahead), (behind, writer)):
                    ways.create_task(self._pass_on(source, sink, link))
        except (OSError, ExceptionGroup, asyncio.CancelledError):
            pass  # a broken connection is what this proxy is for
        finally:
            del self._links[task]
            for end in link.ends:
                end.close()

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, link: _Link) -> None:
        while data := await source.read(1 << 16):
            await self._flows.wait()
            if link.silent:
                await asyncio.Event().wait()  # until it is cut
            if self._mode is Mode.DELAY:
                await asyncio.sleep(0.1)
            step = _PIECE if self._mode is Mode.TRICKLE else len(data)
            for start in range(0, len(data), step):
                sink.write(data[start : start + step])
                await sink.drain()
                if step < len(data):
                    await asyncio.sleep(0.002)
        raise ConnectionResetError  # ends the other way as well


class _Link:
    """One connection and the one behind it."""

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
