"""The HTTP client against hosts that answer well or badly, word for word from a socket."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_network
from pathlib import Path

import aiohttp
import pytest
from aiohttp import http_parser

from offloop.errors import Refused, SettingsError
from offloop.outbound import transport
from offloop.outbound.client import ConnectError, OutboundClient, ReadTimeoutError, TransportError
from offloop.outbound.policy import Policy
from offloop.outbound.redirects import OutboundRequest
from offloop.outbound.transport import MAX_HEAD, BadResponseError, Connection
from support.certificates import certificate
from support.waiting import eventually

pytestmark = pytest.mark.anyio

LOCAL = "127.0.0.1"
HERE = Policy(("*",), (ip_network("127.0.0.0/8"),))
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
ALSO_HTTP = {"GET": (EVIL, b"HTTP/1.1 2"), "HEAD": (b"HTTP/1.1 2",)}
"""Bytes that may follow a response without a break and not spoil it; the response to HEAD has no body."""

Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Host:
    """Scripted host: one response or action for each request.

    Attributes:
        url: its address.
        accepted: connections.
        open: connections that are open now.
        heads: heads of the requests, in order.
        serving: one task for each connection.
    """

    def __init__(self, *answers: bytes | Speak) -> None:
        self.url = ""
        self.accepted = 0
        self.open = 0
        self.heads: list[bytes] = []
        self.serving: set[asyncio.Task[None] | None] = set()
        self._answers = list(answers)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.accepted += 1
        self.open += 1
        self.serving.add(asyncio.current_task())
        try:
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                answer = self._answers.pop(0)
                if isinstance(answer, bytes):
                    writer.write(answer)
                    await writer.drain()
                else:
                    await answer(reader, writer)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def keeps(self, number: int) -> None:
        """Wait until so many connections are open."""

        async def kept() -> bool:
            return self.open == number

        await eventually(kept, f"{number} connections are open")


@asynccontextmanager
async def host(*answers: bytes | Speak, keep: int = 64) -> AsyncIterator[tuple[Host, OutboundClient]]:
    """A host, and a client that may ask it."""
    made = Host(*answers)
    server = await asyncio.start_server(made.serve, LOCAL, 0)
    made.url = f"http://{LOCAL}:{server.sockets[0].getsockname()[1]}/"
    async with server:
        try:
            async with OutboundClient(HERE, keep=keep) as client:
                yield made, client
        finally:
            server.close()
            if serving := set(filter(None, made.serving)):
                assert not (await asyncio.wait(serving, timeout=30))[1], "a connection is still served"


@asynccontextmanager
async def begin(
    client: OutboundClient, url: str, method: str = "GET", *, content: bytes = b"", seconds: float = 5
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Ask, and wait for the head."""
    request = OutboundRequest(url, method, content=content)
    async with client.send(HERE.check(url), request, connect=seconds, read=seconds) as response:
        yield response


async def ask(
    client: OutboundClient, url: str, method: str = "GET", *, content: bytes = b"", seconds: float = 5
) -> tuple[aiohttp.ClientResponse, bytes]:
    """Ask, and read the answer to its end."""
    async with begin(client, url, method, content=content, seconds=seconds) as response:
        return response, b"".join([piece async for piece in response.content.iter_any()])


async def leave(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close the connection without a word."""
    writer.close()


def then_leave(words: bytes) -> Speak:
    """Say something, and close the connection."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(words)
        await leave(reader, writer)

    return speak


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, b""),
        (CHUNKED + b"3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\nX: y\r\n\r\n", 200, b"hello"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + HELLO, 200, b"hello"),
        (HELLO, 200, b"hello"),
        (HELLO.replace(b"\r", b""), 200, b"hello"),
    ],
)
async def test_a_whole_answer_leaves_the_connection_for_the_next_request(
    answer: bytes, status: int, body: bytes
) -> None:
    async with host(answer, HELLO) as (there, client):
        response, read = await ask(client, there.url)
        assert (response.status, read) == (status, body)
        assert "link" not in response.headers
        assert "x" not in response.headers
        await there.keeps(1)
        assert (await ask(client, there.url))[1] == b"hello"
        assert there.accepted == 1


@pytest.mark.parametrize(
    "parts",
    [
        (CHUNKED + b"3\r\nhel\r\n", b"2\r\nlo\r\n", b"0\r\n\r\n"),
        (CHUNKED + b"5\r\nhello\r\n0\r\n", b"\r\n"),
        (HELLO[:-3], b"ll", b"o"),
    ],
)
@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 2"])
async def test_a_body_that_comes_in_parts_leaves_the_connection_unless_more_has_begun(
    parts: tuple[bytes, ...], begun: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """The pool has it back in the middle of parsing the last part."""
    taken = asyncio.Event()

    async def speak(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(parts[0])
        await taken.wait()
        for part in parts[1:-1]:
            writer.write(part)
            await asyncio.sleep(0.01)  # likely another packet; nothing depends on it
        writer.write(parts[-1] + begun)

    async with host(speak, HELLO) as (there, client):
        async with begin(client, there.url) as response:
            body = await response.content.readany()
            taken.set()
            assert body + await response.content.read() == b"hello"
        assert (await ask(client, there.url))[1] == b"hello"
        assert there.accepted == (2 if begun else 1)
    assert not caplog.records


async def test_the_answer_to_head_has_no_body_whatever_its_headers_say() -> None:
    async with host(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", HELLO) as (there, client):
        response, read = await ask(client, there.url, "HEAD")
        assert (response.headers["content-length"], read) == ("5", b"")
        assert (await ask(client, there.url))[1] == b"hello"
        assert there.accepted == 1
        assert there.heads[0].startswith(b"HEAD / HTTP/1.1\r\n")


async def test_a_body_without_a_length_ends_with_the_connection() -> None:
    async with host(then_leave(b"HTTP/1.1 200 OK\r\n\r\nhello"), HELLO) as (there, client):
        assert (await ask(client, there.url))[1] == b"hello"
        await there.keeps(0)
        assert (await ask(client, there.url))[1] == b"hello"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (b"", "without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", "in the middle"),
        (CHUNKED + b"5\r\nhello\r\n", "in the middle"),
        (b"hello\r\n\r\n", "not HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", "not HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "not HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "not HTTP/1.1"),
        (CHUNKED + b"xyz\r\n", "not HTTP/1.1"),
        (b"HTTP/1.1 101 Over\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "protocol that was not asked for"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * (MAX_HEAD + 1), "Got more than"),
        (b"HTTP/1.1 102 Processing\r\n\r\n" * (MAX_HEAD // 20), "its head has more than"),
        (CHUNKED + b"5;" + b"x" * 400_000, "its head has more than"),
    ],
)
async def test_an_invalid_response_is_an_error_and_ends_the_connection(words: bytes, why: str) -> None:
    async with host(then_leave(words)) as (there, client):
        with pytest.raises(TransportError, match=why):
            await ask(client, there.url)
        await there.keeps(0)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize("smuggled", [EVIL, b"HTTP/1.1 2", b"evil", b"\0"])
async def test_surplus_bytes_never_answer_another_request(method: str, smuggled: bytes, *, apart: bool) -> None:
    """Else the next caller could be answered with a response that the host prepared beforehand.

    Bytes that are not HTTP and arrive in one piece with a response spoil that response, too.
    """
    answer = HELLO if method == "GET" else HELLO.removesuffix(b"hello")

    async def speak(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer if apart else answer + smuggled)
        if apart:
            await first.wait()
            writer.write(smuggled)
            await writer.drain()
            more.set()

    first, more = asyncio.Event(), asyncio.Event()
    async with host(speak, HELLO) as (there, client):
        if apart or smuggled in ALSO_HTTP[method]:
            assert (await ask(client, there.url, method))[0].status == 200
        else:
            with pytest.raises(TransportError, match=r"not HTTP/1\.1"):
                await ask(client, there.url, method)
        first.set()
        if apart:
            await more.wait()
        assert (await ask(client, there.url))[1] == b"hello"
        assert there.accepted == 2


@pytest.mark.parametrize("words", [b"", EVIL])
async def test_a_connection_whose_host_does_something_while_it_waits_is_not_used_again(words: bytes) -> None:
    go = asyncio.Event()
    done = asyncio.Event()

    async def later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HELLO)
        await go.wait()
        writer.write(words)
        await leave(reader, writer)
        done.set()

    async with host(later, HELLO) as (there, client):
        await ask(client, there.url)
        (waiting,) = idle(client)
        before = waiting.is_connected()
        go.set()
        await done.wait()
        assert before > waiting.is_connected(), "the socket is checked, even if the event loop has not read it yet"
        assert (await ask(client, there.url))[1] == b"hello"
        assert there.accepted == 2


async def test_a_host_that_says_nothing_or_takes_nothing_is_left_in_time() -> None:
    over = asyncio.Event()

    async def wait(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await over.wait()

    async def stop_in_the_middle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HELLO[:-1])
        await wait(reader, writer)

    async with host(wait, stop_in_the_middle, wait) as (there, client):
        for _ in range(2):
            with pytest.raises(ReadTimeoutError):
                await ask(client, there.url, seconds=0.1)
        with pytest.raises(ReadTimeoutError):
            await ask(client, there.url, "POST", content=bytes(32 << 20), seconds=0.1)
        assert not idle(client)
        over.set()
        await there.keeps(0)


async def test_a_large_request_is_taken_bit_by_bit() -> None:
    size = 8 << 20
    taken = 0

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        while taken < size:
            taken += len(await reader.read(1 << 16))
        writer.write(HELLO)

    async with host(take) as (there, client):
        assert (await ask(client, there.url, "POST", content=bytes(size)))[1] == b"hello"
        assert taken == size


async def test_an_unconsumed_body_is_not_read() -> None:
    size, sent = 64 << 20, 0
    stuck = asyncio.Event()

    async def flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        while sent < size:
            writer.write(bytes(1 << 16))
            sent += 1 << 16
            waiting = asyncio.ensure_future(writer.drain())
            if not (await asyncio.wait([waiting], timeout=0.3))[0]:
                stuck.set()
            await waiting

    async with host(flood, HELLO) as (there, client):
        async with begin(client, there.url) as response:
            await asyncio.wait_for(stuck.wait(), 30)
            assert sent < size // 2, "what is on the way fits into buffers"
            read = 0
            async for piece in response.content.iter_any():
                read += len(piece)
            assert read == size
        assert (await ask(client, there.url))[1] == b"hello"
        assert there.accepted == 1


async def test_an_answer_that_is_left_halfway_takes_its_connection_with_it() -> None:
    async with host(HELLO[:-1], HELLO) as (there, client):
        async with begin(client, there.url) as response:
            assert response.status == 200
        assert not idle(client)
        assert (await ask(client, there.url))[1] == b"hello"
        assert there.accepted == 2


@pytest.mark.parametrize(
    ("name", "value"), [("X", "a\r\nY: b"), ("X", "a\nb"), ("X", "a\rb"), ("X\r\nY", "b"), ("X", "\0")]
)
async def test_a_head_that_would_have_another_line_is_not_sent(name: str, value: str) -> None:
    async with host(HELLO) as (there, client):
        for request in (
            OutboundRequest(there.url, headers={name: value}),
            OutboundRequest(there.url, "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET"),
        ):
            with pytest.raises(ValueError, match=r"header injection|non-token"):
                async with client.send(HERE.check(there.url), request, connect=5, read=5):
                    pass
        assert there.heads == []


async def test_a_host_that_sends_many_answers_over_one_connection_is_not_taken_for_one_without_end() -> None:
    """The bound on what comes without content begins anew with each request, and with each piece of content."""
    head = b"HTTP/1.1 200 OK\r\nX: " + b"x" * (MAX_HEAD // 4)
    large = head + b"\r\nContent-Length: %d\r\n\r\n" % (4 << 20) + bytes(4 << 20)
    small = head + b"\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000)
    empty = head + b"\r\nContent-Length: 0\r\n\r\n"
    pieces = CHUNKED + b"".join(b"1;%b\r\nx\r\n" % (b"x" * (MAX_HEAD // 2)) for _ in range(20)) + b"0\r\n\r\n"
    answers = [large, small, *[empty] * 8, pieces, HELLO]
    async with host(*answers) as (there, client):
        sizes = [len((await ask(client, there.url))[1]) for _ in answers]
        assert sizes == [4 << 20, 300_000, *[0] * 8, 20, 5]
        assert there.accepted == 1


async def test_a_connection_that_breaks_is_the_callers_to_ask_again() -> None:
    """Repeating is counted and bounded by the caller, and POST is not repeated at all."""
    for method in ("GET", "PUT", "POST"):
        async with host(HELLO, leave, HELLO) as (there, client):
            await ask(client, there.url)
            with pytest.raises(TransportError, match="without an answer"):
                await ask(client, there.url, method)
            assert len(there.heads) == 2


async def test_a_body_without_a_length_that_is_broken_off_is_not_whole() -> None:
    async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await writer.drain()
        await begun.wait()
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    begun = asyncio.Event()
    async with host(reset) as (there, client), AsyncExitStack() as stack:
        response = await stack.enter_async_context(begin(client, there.url))
        assert await response.content.readany() == b"hello"
        begun.set()
        with pytest.raises(BadResponseError, match="it broke the connection"):
            await response.content.readany()


async def test_cookies_and_packings_are_left_alone() -> None:
    cookie = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello"
    async with host(cookie, HELLO) as (there, client):
        assert (await ask(client, there.url))[1] == b"hello"
        await ask(client, there.url, "POST", content=b"x")
        first, second = [head.lower() for head in there.heads]
        assert b"cookie" not in second
        for name in (b"user-agent", b"accept", b"accept-encoding", b"content-type"):
            assert name not in first + second, "the caller says what is sent"


async def test_an_address_is_checked_where_it_is_dialled_even_if_nothing_was_resolved() -> None:
    """Aiohttp does not resolve an address that stands in a URL."""
    strict = Policy(("*",))
    async with host(HELLO) as (there, _), OutboundClient(strict) as client:
        with pytest.raises(Refused, match="not public"):
            async with client.send(HERE.check(there.url), OutboundRequest(there.url), connect=5, read=5):
                pass
        assert there.accepted == 0


async def test_without_the_strict_parser_nothing_is_requested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_parser, "HttpResponseParser", http_parser.HttpResponseParserPy)
    with pytest.raises(SettingsError, match="AIOHTTP_NO_EXTENSIONS"):
        OutboundClient(HERE)
    async with OutboundClient(Policy()) as client:
        assert not client.policy.enabled


async def test_a_certificate_that_is_not_trusted_is_no_connection(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(tmp_path, LOCAL))
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), LOCAL, 0, ssl=context)
    async with server, OutboundClient(HERE) as client:
        url = f"https://{LOCAL}:{server.sockets[0].getsockname()[1]}/"
        with pytest.raises(ConnectError, match="certificate verify failed"):
            await ask(client, url)


@pytest.mark.slow
async def test_idle_connections_are_few_and_do_not_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest goes first."""
    over = asyncio.Event()

    async def hold(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HELLO[:-1])
        await over.wait()
        writer.write(HELLO[-1:])

    monkeypatch.setattr(transport, "KEEP_SECONDS", 0.5)
    async with host(*[hold] * 4, HELLO, HELLO, keep=2) as (there, client):
        answers = asyncio.gather(*(ask(client, there.url) for _ in range(4)))
        await there.keeps(4)
        assert not idle(client)
        over.set()
        assert [body for _, body in await answers] == [b"hello"] * 4
        assert len(idle(client)) == 2
        await there.keeps(2)
        await ask(client, there.url)
        assert there.accepted == 4
        await there.keeps(0)
        await ask(client, there.url)
        assert there.accepted == 5


def idle(client: OutboundClient) -> list[Connection]:
    """The connections that wait for the next request."""
    session = client._session
    assert session
    assert isinstance(session.connector, transport.Connector)
    return list(session.connector._idle)
