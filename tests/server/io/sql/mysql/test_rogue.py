"""MySQL: servers that are none, and attackers on the way to one, get no password, no file and no memory."""

from __future__ import annotations

import asyncio
import resource
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from pymysql.constants import CLIENT

from offloop.errors import BadInput, LimitExceeded, OffloopError, Unavailable
from offloop_server.io.deadline import Deadline
from offloop_server.io.results.rows import Rows
from offloop_server.io.sql.driver import Query
from offloop_server.io.sql.mysql.database import MySQL

pytestmark = pytest.mark.anyio

PASSWORD = "the-very-secret-password"  # noqa: S105 -- of no server
OFFERED = CLIENT.CAPABILITIES | CLIENT.CONNECT_WITH_DB
OK = b"\0\0\0\2\0\0\0"
END = b"\xfe\0\0\2\0"

Act = Callable[["Conversation"], Awaitable[None]]


class Conversation:
    """The server's side of one connection, packet by packet."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.received = b""
        self.number = 0

    async def greet(self, plugin: str = "mysql_native_password", offered: int = OFFERED) -> None:
        """Send the greeting of a server that offers this."""
        low, high = offered & 0xFFFF, offered >> 16
        salt = b"a" * 8, b"b" * 12
        start = b"\x0a" + b"8.0.36\0" + struct.pack("<I", 7) + salt[0] + b"\0"
        middle = struct.pack("<HBHHB", low, 45, 2, high, 21)
        await self.send(start + middle + b"\0" * 10 + salt[1] + b"\0" + plugin.encode() + b"\0")

    async def send(self, payload: bytes) -> None:
        """Send a packet."""
        await self.send_raw(len(payload).to_bytes(3, "little") + bytes([self.number]) + payload)
        self.number += 1

    async def send_raw(self, data: bytes) -> None:
        """Send bytes."""
        self._writer.write(data)
        await self._writer.drain()

    async def receive(self) -> bytes:
        """The next packet of the client."""
        header = await self._reader.readexactly(4)
        payload = await self._reader.readexactly(int.from_bytes(header[:3], "little"))
        self.number = header[3] + 1
        self.received += header + payload
        return payload

    async def answer_logins_and_commands(self, until: bytes, then: bytes) -> None:
        """Be a server whose commands succeed, up to the command that begins with `until`, which gets `then`."""
        await self.greet()
        await self.receive()
        await self.send(OK)
        while not (command := await self.receive()).startswith(until):
            if command[:1] == b"\x16":  # a statement is prepared: one column
                await self.send(b"\0" + struct.pack("<IHH", 1, 1, 0) + b"\0\0\0")
                await self.send(COLUMN)
                await self.send(END)
            elif command[:1] == b"\x17":  # and executed: no row
                await self.send(b"\1")
                await self.send(COLUMN)
                await self.send(END)
                await self.send(END)
            else:
                await self.send(OK)
        await self.send(then)
        while then == OK:
            await self.receive()
            await self.send(OK)
        await self._reader.read()

    async def rest(self) -> None:
        """Read until the client leaves."""
        self.received += await self._reader.read()


COLUMN = b"\3def\0\0\0\1a\0\x0c" + struct.pack("<HIBHBxx", 45, 100, 253, 0, 0)
EXECUTE = b"\x17"
SELECT = b"\x16SELECT 1"
SET = b"\x03SET"
RESET = b"\x1f"


async def outcome(
    act: Act, options: str = "ssl-mode=DISABLED", seconds: float = 5
) -> tuple[OffloopError | None, bytes]:
    """The error of a query on a server that acts like this, and the bytes that the server got."""
    conversations: list[Conversation] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = Conversation(reader, writer)
        conversations.append(conversation)
        try:
            await act(conversation)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        database = MySQL("shop", f"mysql://reader:{PASSWORD}@127.0.0.1:{port}/x?{options}")
        error = None
        try:
            await database.run(Query("SELECT 1"), Rows(10, 1000), Deadline(seconds))
        except OffloopError as refused:
            error = refused
        await database.close()
    return error, b"".join(one.received for one in conversations)


async def test_the_server_of_these_tests_is_taken_for_one() -> None:
    error, received = await outcome(lambda peer: peer.answer_logins_and_commands(b"\x01", b""))
    assert error is None
    assert b"SET NAMES utf8mb4" in received


async def test_a_server_that_denies_tls_gets_nothing_where_tls_is_required() -> None:
    """As does an attacker on the way, who removes the offer."""

    async def act(peer: Conversation) -> None:
        await peer.greet()
        await peer.rest()

    for mode in ("REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"):
        error, received = await outcome(act, f"ssl-mode={mode}")
        assert isinstance(error, Unavailable)
        assert "2026" in error.message
        assert received == b""


@pytest.mark.parametrize("plugin", ["mysql_clear_password", "mysql_old_password", "dialog", "sha256_password"])
async def test_no_server_gets_the_password_in_clear(plugin: str) -> None:
    async def at_first(peer: Conversation) -> None:
        await peer.greet(plugin)
        await peer.rest()

    async def after_a_switch(peer: Conversation) -> None:
        await peer.greet()
        await peer.receive()
        await peer.send(b"\xfe" + plugin.encode() + b"\0" + b"c" * 20 + b"\0")
        await peer.rest()

    for act in (at_first, after_a_switch):
        error, received = await outcome(act, seconds=0.5)
        assert error is not None
        assert PASSWORD.encode() not in received


@pytest.mark.parametrize("plugin", ["caching_sha2_password", "sha256_password"])
async def test_no_server_gets_the_password_encrypted_with_a_key_of_its_own(plugin: str) -> None:
    """Without TLS it could be the key of an attacker."""

    async def act(peer: Conversation) -> None:
        await peer.greet(plugin)
        await peer.receive()
        await peer.send(b"\1\4" if plugin.startswith("caching") else b"\1-----BEGIN PUBLIC KEY-----")
        peer.received = b""
        await peer.rest()

    error, received = await outcome(act)
    assert isinstance(error, Unavailable)
    assert "2061" in error.message
    assert received == b""


@pytest.mark.parametrize("command", [SET, SELECT, EXECUTE])
async def test_no_server_gets_a_file(command: bytes, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("of the front end")
    error, received = await outcome(lambda peer: peer.answer_logins_and_commands(command, b"\xfb" + bytes(file)))
    assert isinstance(error, Unavailable)
    assert b"of the front end" not in received


@pytest.mark.parametrize("command", [None, SET, SELECT, EXECUTE])
async def test_a_packet_without_end_takes_no_memory(command: bytes | None) -> None:
    async def flood(peer: Conversation) -> None:
        if command is None:
            number = 0
        else:
            with_number = asyncio.create_task(peer.answer_logins_and_commands(command, b""))
            await asyncio.wait([with_number], timeout=0.3)
            number = peer.number
        for part in range(30):
            await peer.send_raw(b"\xff\xff\xff" + bytes([(number + part) % 256]) + b"x" * 0xFFFFFF)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    error, _ = await outcome(flood)
    assert isinstance(error, (Unavailable, LimitExceeded))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 128 << 10


@pytest.mark.parametrize(
    "payload", [b"", b"\0", b"\1", b"\xff", b"\xfe", b"\x0a8.0", b"garbage" * 100, b"\xfc\xff\xff"]
)
@pytest.mark.parametrize("command", [None, SET, SELECT, EXECUTE])
async def test_garbage_is_no_answer(command: bytes | None, payload: bytes) -> None:
    async def act(peer: Conversation) -> None:
        if command is None:
            await peer.send(payload)
        else:
            await peer.answer_logins_and_commands(command, payload)

    error, _ = await outcome(act, seconds=0.5)
    assert error is not None, "at the latest, its time is over"
    assert PASSWORD not in error.message


async def test_a_refusal_without_a_text_is_a_refusal() -> None:
    refusal = b"\xff" + struct.pack("<H", 1146) + b"#42S02"
    error, _ = await outcome(lambda peer: peer.answer_logins_and_commands(SELECT, refusal))
    assert isinstance(error, BadInput)
    assert error.message == "MySQL refuses the statement: it gives no reason (1146)."


async def test_a_statement_that_the_server_does_not_prepare_is_not_run() -> None:
    """MySQL 9.7 answers so to SET GLOBAL of a user without the right to it."""
    error, received = await outcome(lambda peer: peer.answer_logins_and_commands(SELECT, OK), seconds=1)
    assert isinstance(error, BadInput)
    assert received.endswith(SELECT + b"\1\0\0\0" + RESET)
