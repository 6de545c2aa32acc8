"""HTTP as a front end reads it: a request that does not get on, and one that does, however it is cut."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from offloop_server.web.http_protocol import MAX_HEAD, MAX_PIPELINED
from support.hosts.asgi import served
from support.waiting import eventually

pytestmark = pytest.mark.anyio

PIECE = b"x" * 4096
LINE = b"POST / HTTP/1.1\r\nHost: here\r\n"


class Echo:
    """An application that answers how long the body was, once `gate` is open."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.left = asyncio.Event()
        self.asked = 0

    async def was_asked(self) -> bool:
        """Whether anything was, since `asked` was 0."""
        return self.asked > 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        length, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            length, more = length + len(message["body"]), message["more_body"]
        if (b"wait", b"for-end") in scope["headers"]:
            assert (await receive())["type"] == "http.disconnect"
            self.left.set()
            return
        await self.gate.wait()
        answer = f"{scope['method']} {length}".encode()
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(answer))]}
        )
        await send({"type": "http.response.body", "body": answer})


@pytest.fixture
def echo() -> Echo:
    """The served application."""
    return Echo()


@pytest.fixture
async def port(echo: Echo) -> AsyncIterator[int]:
    """The port of the server."""
    async with served(echo) as port:
        yield port


class Client:
    """Bytes to and from the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def flood(self, piece: bytes, most: int) -> int:
        """Send the same again and again until the server has had enough; answers how many bytes it let be sent."""
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < most:
                self.writer.write(piece)
                await self.writer.drain()
                sent += len(piece)
                await asyncio.sleep(0)
        return sent

    async def answer(self) -> bytes:
        """Status line and body of the next answer."""
        async with asyncio.timeout(30):
            head = await self.reader.readuntil(b"\r\n\r\n")
            lines = head.split(b"\r\n")
            length = next(int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length"))
            return lines[0] + b" " + await self.reader.readexactly(length)

    async def end(self) -> bytes:
        """All bytes until the server closes or resets the connection."""
        received = b""
        async with asyncio.timeout(30):
            with contextlib.suppress(ConnectionError):
                while piece := await self.reader.read(65536):
                    received += piece
        return received


@pytest.fixture
async def client(port: int) -> AsyncIterator[Client]:
    """A connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    yield Client(reader, writer)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


ENDLESS = {
    "a target": (b"GET /", PIECE),
    "the name of a header": (LINE, PIECE),
    "the value of a header": (LINE + b"a: ", PIECE),
    "headers": (LINE, b"a: b\r\n" * 500),
    "the extension of a chunk": (LINE + b"Transfer-Encoding: chunked\r\n\r\n5;", PIECE),
    "trailers": (LINE + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", b"a: b\r\n" * 500),
}


@pytest.mark.parametrize("what", ENDLESS)
async def test_an_endless_head_is_refused(client: Client, what: str) -> None:
    begin, piece = ENDLESS[what]
    client.writer.write(begin)
    sent = await client.flood(piece, 64 << 20)
    assert sent < 16 << 20  # the rest may lie in the buffers of the two sockets
    received = await client.end()
    assert received == b"" or received.startswith(b"HTTP/1.1 400")


async def test_a_refusal_names_the_limit(client: Client) -> None:
    client.writer.write(LINE + b"a: " + b"x" * MAX_HEAD)
    assert await client.answer() == b"HTTP/1.1 400 Bad Request The head of a request may have 65536 bytes."
    assert await client.end() == b""


async def test_a_head_that_is_long_but_ends_is_a_request(client: Client) -> None:
    for _ in range(2):
        for piece in (LINE, b"a: " + b"x" * (MAX_HEAD // 2), b"\r\nContent-Length: 3\r\n\r\n", b"abc"):
            client.writer.write(piece)
            await client.writer.drain()
        assert await client.answer() == b"HTTP/1.1 200 OK POST 3"


@pytest.mark.parametrize("size", [1, 300_000])
async def test_a_body_in_many_chunks_is_not_a_head(client: Client, size: int) -> None:
    client.writer.write(LINE + b"Transfer-Encoding: chunked\r\n\r\n")
    count = 40_000 if size == 1 else 20
    for _ in range(count):
        client.writer.write(b"%x\r\n" % size + b"x" * size + b"\r\n")
        await client.writer.drain()
    client.writer.write(b"0\r\n\r\n")
    assert await client.answer() == b"HTTP/1.1 200 OK POST %d" % (count * size)


async def test_few_requests_may_wait_on_one_connection(client: Client, echo: Echo) -> None:
    echo.gate.clear()
    client.writer.write(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n" * MAX_PIPELINED)
    await client.writer.drain()
    echo.gate.set()
    for _ in range(MAX_PIPELINED):
        assert await client.answer() == b"HTTP/1.1 200 OK GET 0"
    echo.gate.clear()
    client.writer.write(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n" * (MAX_PIPELINED * 20))
    await client.writer.drain()
    assert b"400 Bad Request" in await client.end()
    assert echo.asked <= MAX_PIPELINED + 1
    echo.gate.set()


SMUGGLED = {
    "two lengths": b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "a length and chunks": b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an unknown coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a folded header": b"a: b\r\n c\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a name with a space": b"Content-Length : 3\r\n\r\nabc",
    "a bare line feed": b"a: b\nc: d\r\n\r\n",
    "a length with a sign": b"Content-Length: +3\r\n\r\nabc",
    "a chunk that is too long": b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("what", SMUGGLED)
async def test_a_request_that_two_servers_could_read_in_two_ways_is_refused(client: Client, what: str) -> None:
    client.writer.write(LINE + SMUGGLED[what])
    assert (await client.end()).startswith(b"HTTP/1.1 400")


OFFER = (
    LINE
    + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\nContent-Length: 34\r\n\r\n"
)
INNER = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"[:34]


@pytest.mark.parametrize("pieces", [1, 2], ids=["whole", "head and body"])
async def test_a_request_that_offers_another_protocol_keeps_its_body(client: Client, echo: Echo, pieces: int) -> None:
    """As Java's client does at first; its body must not be read as a request."""
    assert len(INNER) == 34
    client.writer.write(LINE + b"Content-Length: 1\r\n\r\nx")
    assert await client.answer() == b"HTTP/1.1 200 OK POST 1"
    echo.asked = 0
    client.writer.write(OFFER if pieces == 2 else OFFER + INNER)
    await client.writer.drain()
    if pieces == 2:
        await eventually(echo.was_asked)
        client.writer.write(INNER)
    assert await client.answer() == b"HTTP/1.1 200 OK POST 34"
    client.writer.write(LINE + b"Content-Length: 2\r\n\r\nxy")
    assert await client.answer() == b"HTTP/1.1 200 OK POST 2"
    assert echo.asked == 2


async def test_an_offer_behind_a_request_that_runs_is_refused(client: Client, echo: Echo) -> None:
    echo.gate.clear()
    client.writer.write(LINE + b"Content-Length: 1\r\n\r\nx" + OFFER + INNER)
    assert b"400 Bad Request" in await client.end()
    assert echo.asked == 1
    echo.gate.set()


async def test_a_client_that_leaves_is_noticed_by_the_first_of_its_requests(client: Client, echo: Echo) -> None:
    echo.left.clear()
    client.writer.write(LINE + b"Content-Length: 1\r\nwait: for-end\r\n\r\nx" + b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
    await eventually(echo.was_asked)
    client.writer.close()
    await asyncio.wait_for(echo.left.wait(), 30)
