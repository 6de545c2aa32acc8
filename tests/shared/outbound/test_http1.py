"""One HTTP/1.1 connection: answers as hosts send them, well or badly, word for word from a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network

import httpx2
import pytest

from offloop.outbound.http1_response import MAX_HEAD
from offloop.outbound.policy import Policy
from offloop.outbound.transport import GuardedTransport

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

LOCAL = "127.0.0.1"
HERE = Policy(("*",), (ip_network("127.0.0.0/8"),))
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Host:
    """A host that says, or does, what it is told to: one thing for each request.

    Attributes:
        url: where it is.
        accepted: connections.
        heads: of the requests, as they came.
        serving: one task for each connection.
    """

    def __init__(self, *answers: bytes | Speak) -> None:
        self.url = ""
        self.accepted = 0
        self.heads: list[bytes] = []
        self.serving: set[asyncio.Task[None] | None] = set()
        self._answers = list(answers)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
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
            writer.close()


@asynccontextmanager
async def host(*answers: bytes | Speak) -> AsyncIterator[tuple[Host, GuardedTransport]]:
    """A host, and a way to it."""
    made, transport = Host(*answers), GuardedTransport(HERE)
    server = await asyncio.start_server(made.serve, LOCAL, 0)
    made.url = f"http://{LOCAL}:{server.sockets[0].getsockname()[1]}/"
    async with server:
        try:
            yield made, transport
        finally:
            await transport.aclose()
            server.close()
            if serving := set(filter(None, made.serving)):
                assert not (await asyncio.wait(serving, timeout=10))[1], "a connection is still served"


async def ask(
    transport: GuardedTransport, url: str, method: str = "GET", *, content: bytes = b"", seconds: float = 5
) -> tuple[httpx2.Response, bytes]:
    """Ask, and read the answer to its end."""
    response = await begin(transport, url, method, content=content, seconds=seconds)
    try:
        return response, b"".join([piece async for piece in response.aiter_raw()])
    finally:
        await response.aclose()


async def begin(
    transport: GuardedTransport, url: str, method: str = "GET", *, content: bytes = b"", seconds: float = 5
) -> httpx2.Response:
    """Ask, and wait for the head."""
    timeout = httpx2.Timeout(seconds).as_dict()
    request = httpx2.Request(method, url, content=content, extensions={"timeout": timeout})
    return await transport.handle_async_request(request)


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
    async with host(answer, HELLO) as (there, transport):
        response, read = await ask(transport, there.url)
        assert (response.status_code, read) == (status, body)
        assert "link" not in response.headers
        assert "x" not in response.headers
        assert (transport.connections.idle, transport.connections.busy) == (1, 0)
        assert (await ask(transport, there.url))[1] == b"hello"
        assert there.accepted == 1


async def test_the_answer_to_head_has_no_body_whatever_its_headers_say() -> None:
    async with host(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", HELLO) as (there, transport):
        response, read = await ask(transport, there.url, "HEAD")
        assert (response.headers["content-length"], read) == ("5", b"")
        assert (await ask(transport, there.url))[1] == b"hello"
        assert there.accepted == 1
        assert there.heads[0].startswith(b"HEAD / HTTP/1.1\r\n")


async def test_a_body_without_a_length_ends_with_the_connection() -> None:
    async with host(then_leave(b"HTTP/1.1 200 OK\r\n\r\nhello"), HELLO) as (there, transport):
        assert (await ask(transport, there.url))[1] == b"hello"
        assert transport.connections.idle == 0
        assert (await ask(transport, there.url))[1] == b"hello"


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
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * (MAX_HEAD + 1), "its head has more than"),
        (b"HTTP/1.1 102 Processing\r\n\r\n" * (MAX_HEAD // 20), "its head has more than"),
        (CHUNKED + b"5;" + b"x" * 400_000, "its head has more than"),
    ],
)
async def test_what_is_no_answer_is_an_error_and_ends_the_connection(words: bytes, why: str) -> None:
    async with host(then_leave(words)) as (there, transport):
        with pytest.raises(httpx2.RemoteProtocolError, match=why):
            await ask(transport, there.url)
        assert (transport.connections.idle, transport.connections.busy) == (0, 0)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "smuggled", [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"HTTP/1.1 2", b"evil", b"\0"]
)
async def test_more_than_was_asked_for_is_nobodys_answer(method: str, smuggled: bytes) -> None:
    """Else whoever comes next could be answered with what the host has made up beforehand."""
    async with host(HELLO + smuggled, HELLO) as (there, transport):
        assert (await ask(transport, there.url, method))[0].status_code == 200
        assert (await ask(transport, there.url))[1] == b"hello"
        assert there.accepted == 2


@pytest.mark.parametrize("words", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"])
async def test_a_connection_whose_host_does_something_while_it_waits_is_not_used_again(words: bytes) -> None:
    told = asyncio.Event()
    done = asyncio.Event()

    async def later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HELLO)
        await told.wait()
        writer.write(words)
        await leave(reader, writer)
        done.set()

    async with host(later, HELLO) as (there, transport):
        await ask(transport, there.url)
        (waiting,) = transport.connections._idle
        before = waiting.usable
        told.set()
        await done.wait()
        assert before > waiting.usable, "the socket tells, even where the event loop has not looked yet"
        assert (await ask(transport, there.url))[1] == b"hello"
        assert there.accepted == 2


async def test_a_host_that_says_nothing_or_takes_nothing_is_left_in_time() -> None:
    over = asyncio.Event()

    async def wait(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await over.wait()

    async def stop_in_the_middle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HELLO[:-1])
        await wait(reader, writer)

    async with host(wait, stop_in_the_middle, wait) as (there, transport):
        for _ in range(2):
            with pytest.raises(httpx2.ReadTimeout):
                await ask(transport, there.url, seconds=0.1)
        with pytest.raises(httpx2.WriteTimeout):
            await ask(transport, there.url, "POST", content=bytes(32 << 20), seconds=0.1)
        assert transport.connections.busy == 0
        over.set()


async def test_a_large_request_is_taken_bit_by_bit() -> None:
    size = 8 << 20
    taken = 0

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        while taken < size:
            taken += len(await reader.read(1 << 16))
        writer.write(HELLO)

    async with host(take) as (there, transport):
        assert (await ask(transport, there.url, "POST", content=bytes(size)))[1] == b"hello"
        assert taken == size


async def test_a_body_that_nobody_takes_is_not_read() -> None:
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

    async with host(flood, HELLO) as (there, transport):
        response = await begin(transport, there.url)
        await asyncio.wait_for(stuck.wait(), 10)
        assert sent < size // 2, "what is on the way fits into buffers"
        read = 0
        async for piece in response.aiter_raw():
            read += len(piece)
        assert read == size
        await response.aclose()
        assert (await ask(transport, there.url))[1] == b"hello"
        assert there.accepted == 1


async def test_an_answer_that_is_left_halfway_takes_its_connection_with_it() -> None:
    async with host(HELLO[:-1], HELLO) as (there, transport):
        await (await begin(transport, there.url)).aclose()
        assert (transport.connections.idle, transport.connections.busy) == (0, 0)
        assert (await ask(transport, there.url))[1] == b"hello"


@pytest.mark.parametrize(
    ("name", "value"), [("X", "a\r\nY: b"), ("X", "a\nb"), ("X", "a\rb"), ("X\r\nY", "b"), ("X", "\0")]
)
async def test_a_head_that_would_have_another_line_is_not_sent(name: str, value: str) -> None:
    async with host(HELLO) as (there, transport):
        request = httpx2.Request("GET", there.url, headers={name: value})
        with pytest.raises(httpx2.LocalProtocolError, match="another line"):
            await transport.handle_async_request(request)
        with pytest.raises(httpx2.LocalProtocolError, match="another line"):
            await ask(transport, there.url, "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET")
        assert there.heads == []


async def test_idle_connections_are_few_and_do_not_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    async with host(*[HELLO] * 6) as (there, transport):
        transport.connections._keep = 2
        responses = [await begin(transport, there.url) for _ in range(4)]
        assert transport.connections.busy == 4
        for response in responses:
            assert b"".join([piece async for piece in response.aiter_raw()]) == b"hello"
        assert (transport.connections.idle, transport.connections.busy) == (2, 0)
        monkeypatch.setattr("offloop.outbound.pool.KEEP_SECONDS", -1)
        await ask(transport, there.url)
        assert there.accepted == 5
