"""MySQL: a connection's socket is closed at every step of its life, whatever the server does."""

from __future__ import annotations

import asyncio
import os
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
from pymysql.constants import CLIENT
from pymysql.err import MySQLError

from offloop_server.io.sql.mysql.address import Address
from offloop_server.io.sql.mysql.session import Session, connect
from support.certificates import certificate
from support.waiting import eventually

pytestmark = pytest.mark.anyio

STEPS: Final = ("connected", "greeted", "encrypting", "encrypted", "logged in")
_OK: Final = b"\7\0\0\3" + b"\0\0\0\2\0\0\0"
_DENIED: Final = b"\x0b\0\0\3" + b"\xff\x15\x04#28000no"
_SECONDS: Final = 15
"""Far less than the 30 seconds that asyncio waits for a server's end of TLS."""


class SilentServer:
    """A server that speaks TLS up to a step, and then only reads.

    Args:
        folder: for its certificate.
        last: its last step, one of `STEPS`.
        answer: of the login.
    """

    def __init__(self, folder: Path, last: str, answer: bytes = _OK) -> None:
        self._last = last
        self._answer = answer
        self.certificate, key = certificate(folder, "localhost")
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.certificate, key)
        self.silent = asyncio.Event()
        self.left = asyncio.Event()
        """The client has closed its socket."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until the client leaves."""
        try:
            await self._up_to_last_step(reader, writer)
            self.silent.set()
            while await reader.read(1 << 16):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.left.set()
            writer.transport.abort()

    async def _up_to_last_step(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._last == "connected":
            return
        writer.write(_greeting())
        await reader.readexactly(36)  # the request of TLS
        if self._last == "greeted":
            return
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self._context.wrap_bio(incoming, outgoing, server_side=True)
        login = False
        while not login:
            data = await reader.read(1 << 16)
            if not data:
                raise ConnectionResetError
            if self._last == "encrypting":
                return
            incoming.write(data)
            try:
                tls.do_handshake()
                login = bool(tls.read())
            except ssl.SSLWantReadError:
                pass
            writer.write(outgoing.read())
        if self._last == "logged in":
            tls.write(self._answer)
            writer.write(outgoing.read())


def _greeting() -> bytes:
    offered = CLIENT.CAPABILITIES | CLIENT.CONNECT_WITH_DB | CLIENT.SSL
    start = b"\x0a8.0.36\0" + struct.pack("<I", 7) + b"a" * 8 + b"\0"
    middle = struct.pack("<HBHHB", offered & 0xFFFF, 45, 2, offered >> 16, 21)
    payload = start + middle + b"\0" * 10 + b"b" * 12 + b"\0mysql_native_password\0"
    return len(payload).to_bytes(3, "little") + b"\0" + payload


def _descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- compares names only


@asynccontextmanager
async def serving(server: SilentServer, options: str = "ssl-mode=REQUIRED") -> AsyncIterator[Address]:
    """The server's address; checks that the client closes its socket, and that no descriptor stays open."""
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        before = _descriptors()
        port = listening.sockets[0].getsockname()[1]
        yield Address.of(f"mysql://reader:secret@127.0.0.1:{port}/x?{options}")
        async with asyncio.timeout(_SECONDS):
            await server.left.wait()

        async def none_new() -> bool:
            return _descriptors() <= before

        await eventually(none_new, "every descriptor is closed")


@pytest.mark.parametrize("step", STEPS[:-1])
async def test_a_connection_cancelled_at_any_step_is_closed(tmp_path: Path, step: str) -> None:
    server = SilentServer(tmp_path, step)
    async with serving(server) as address:
        task = asyncio.ensure_future(connect(address))
        await server.silent.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


@pytest.mark.parametrize("end", [Session.quit, Session.abandon, Session.close])
async def test_closing_a_connection_waits_for_no_answer(tmp_path: Path, end: type) -> None:
    server = SilentServer(tmp_path, "logged in")
    async with serving(server) as address:
        session = await connect(address)
        end(session)
        assert session.closed


async def test_a_connection_whose_login_is_denied_is_closed(tmp_path: Path) -> None:
    server = SilentServer(tmp_path, "logged in", _DENIED)
    async with serving(server) as address:
        with pytest.raises(MySQLError, match="1045"):
            await connect(address)


async def test_a_connection_whose_certificate_is_refused_is_closed(tmp_path: Path) -> None:
    server = SilentServer(tmp_path, "logged in")
    async with serving(server, f"ssl-mode=VERIFY_IDENTITY&ssl-ca={server.certificate}") as address:
        with pytest.raises(MySQLError):
            await connect(address)


async def test_a_call_cancelled_as_its_connection_opens_is_cancelled(tmp_path: Path) -> None:
    """`asyncio.wait_for` of Python 3.11 would return the connection instead: the call would outlive its time."""
    server = SilentServer(tmp_path, "connected")
    loop = asyncio.get_running_loop()
    create, task = loop.create_connection, None

    async with serving(server) as address:
        task = asyncio.ensure_future(connect(address))

        async def created_and_cancelled(*args: object, **options: object) -> object:
            made = await create(*args, **options)  # type: ignore[call-overload]
            task.cancel()
            return made

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop, "create_connection", created_and_cancelled)
            await asyncio.wait([task], timeout=_SECONDS)
        assert task.cancelled()
