"""Redis servers on TCP ports: Valkey, sentinels, and a TLS terminator.

The Valkey of the tests is built without TLS; a TLS terminator in front of it looks the same to a client.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from offloop.processes.embedded_redis import find_binary
from support.processes import Process
from support.waiting import until

LOCAL = "127.0.0.1"


class Node:
    """A Valkey or a sentinel on its own port; the constructor starts it.

    Args:
        folder: folder to create for its data and log.
        options: more lines of its configuration.
        sentinel: whether to start a sentinel.
    """

    def __init__(self, folder: Path, *options: str, sentinel: bool = False) -> None:
        folder.mkdir(parents=True)
        self.port = _free_port()
        lines = [f"port {self.port}", f"bind {LOCAL}", f"dir {folder}", 'save ""', *options]
        (folder / "its.conf").write_text("\n".join(lines))
        command = [str(find_binary()), str(folder / "its.conf"), *(["--sentinel"] if sentinel else [])]
        self._process = Process(folder.name, command, os.environ, folder / "log")
        self.url = f"redis://{LOCAL}:{self.port}"
        until(self._answers, f"{folder.name} answers")

    def ask(self, *words: str) -> object:
        """Send one command."""
        with Redis.from_url(self.url, socket_timeout=5) as redis:
            return redis.execute_command(*words)

    def kill(self) -> None:
        """Send SIGKILL. Idempotent."""
        self._process.kill()

    def _answers(self) -> bool:
        try:
            return bool(self.ask("PING"))
        except (OSError, RedisError):
            return False


def _free_port() -> int:
    """A free port; these servers cannot choose and report one themselves."""
    with socket.create_server((LOCAL, 0)) as found:
        port: int = found.getsockname()[1]
    return port


@asynccontextmanager
async def tls_in_front_of(port: int, certificate: Path, key: Path) -> AsyncIterator[int]:
    """A TLS terminator in front of a port; yields its own port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    passing: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(LOCAL, port)
        for source, sink in ((reader, back), (there, writer)):
            passing.add(asyncio.create_task(_pass_on(source, sink)))

    server = await asyncio.start_server(serve, LOCAL, 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)


async def _pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        with contextlib.suppress(OSError):
            while data := await source.read(1 << 16):
                sink.write(data)
                await sink.drain()
    finally:
        sink.close()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await asyncio.wait_for(sink.wait_closed(), 2)
