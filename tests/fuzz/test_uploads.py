"""Bytes of HTTP clients: forms, headers, ranges, and requests as a connection brings them."""

from __future__ import annotations

import asyncio
import hashlib
import io
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from starlette.datastructures import Headers
from uvicorn.config import Config
from uvicorn.server import ServerState

from offloop.errors import BadInput, LimitExceeded
from offloop_server.web.auth import Principals, _authorization
from offloop_server.web.files import _span
from offloop_server.web.forms import FormSink, sink
from offloop_server.web.http_protocol import MAX_HEAD, HttpProtocol
from offloop_server.web.uploads import ANY_TYPE, checked_type
from support.fuzzing import costly

MOST = 4000

_form_tokens = st.sampled_from(
    [b"--b", b"--b--", b"\r\n", b"\n", b"\r", b"--", b"Content-Disposition: form-data", b'; name="f"',
     b'; filename="a"',
     b"; filename*=utf-8''%ff", b"Content-Type: image/png", b": ", b"\r\n\r\n", b"x" * 50, b"\0", b"\xff",
     b'; filename=""',
     b'; filename="\\"a"', b"; =", b";;", b"; filename"]
)  # fmt: skip
_forms = st.one_of(st.lists(_form_tokens, max_size=14).map(b"".join), st.binary(max_size=80))
_PART = b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'


def _fed(into: FormSink, body: bytes, size: int) -> str:
    for start in range(0, len(body), size):
        into.feed(body[start : start + size])
    return into.end()


@given(_forms, st.integers(1, 40), st.sampled_from([b"b", b"", b"--", b"x" * 80, b"\r\n", b"\xff"]))
def test_a_form_is_one_file_or_is_refused(body: bytes, size: int, boundary: bytes) -> None:
    file = io.BytesIO()
    try:
        into = FormSink(file, MOST, boundary)
        digest = _fed(into, body, size)
    except (BadInput, LimitExceeded):
        return
    assert digest == hashlib.sha256(file.getvalue()).hexdigest()
    assert into.size == len(file.getvalue()) > 0


@given(st.binary(min_size=1, max_size=200).filter(lambda content: b"\r\n--b" not in content), st.integers(1, 300))
def test_a_file_in_a_form_arrives_whole(content: bytes, size: int) -> None:
    file = io.BytesIO()
    into = FormSink(file, MOST, b"b")
    _fed(into, _PART + content + b"\r\n--b--\r\n", size)
    assert (file.getvalue(), into.name, into.mime_type) == (content, "a.png", "image/png")


_header = st.one_of(st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=60))


@given(
    st.one_of(
        _header,
        st.lists(
            st.sampled_from(["multipart/form-data", ";", "boundary", "=", '"', "b", "\\", "*", "utf-8''", "%"]),
            max_size=8,
        ).map("".join),
    ),
    _header,
)
@example("multipart/form-data; boundary*=utf-8''%ff", "")
@example("multipart/form-data; boundary*=nonsense''%ff", "%ff%00")
@example("multipart/form-data; boundary*0*=x", "a")
def test_any_content_type_makes_a_sink_or_is_refused(content_type: str, name: str) -> None:
    headers = Headers(raw=[(b"content-type", content_type.encode("latin-1")), (b"x-file-name", name.encode("latin-1"))])
    try:
        into, most = sink(headers, io.BytesIO(), MOST)
    except BadInput:
        return
    assert most >= MOST
    assert into.mime_type == checked_type(content_type) or isinstance(into, FormSink)


@given(_header)
@example("text/plain\n")
def test_a_checked_type_can_be_a_header(header: str) -> None:
    found = checked_type(header)
    assert found == ANY_TYPE or (found.isascii() and found.isprintable() and found.count("/") == 1)


@given(st.one_of(_header, st.from_regex(r"bytes=[0-9]{0,20}-[0-9]{0,20}", fullmatch=True)), st.integers(0, 10**12))
@example("bytes=²-", 5)
@example("bytes=-0", 5)
@example("bytes=0-0", 0)
def test_a_range_lies_within_its_file(header: str, size: int) -> None:
    found = _span(header, size)
    if isinstance(found, tuple):
        start, end = found
        assert 0 <= start < end <= size
    else:
        assert found in (None, "unsatisfiable")


_KEYS = {"alice": "a" * 20, "bob": "ß" * 20}


@given(st.one_of(st.binary(max_size=60), st.binary(max_size=40).map(b"Bearer ".__add__)))
@example(b"Bearer " + b"a" * 19)
@example(b"bearer \xa0" + b"a" * 20)
def test_only_a_key_finds_a_principal(header: bytes) -> None:
    found = Principals(_KEYS).find(_authorization({"headers": [(b"authorization", header)]}))
    if found:
        assert _KEYS[found] in (header[7:].decode("utf-8", "replace").strip(), header[7:].decode("latin-1").strip())


class Connection(asyncio.Transport):
    """A transport that keeps what is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed or data
        self.sent += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else default

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.protocol


_http_tokens = st.sampled_from(
    [b"GET ", b"POST ", b"/ ", b"/%ff%00?x#y ", b"HTTP/1.1\r\n", b"HTTP/1.0\r\n", b"HTTP/9.9\r\n", b"Host: a\r\n",
     b"\r\n",
     b"Content-Length: 3\r\n", b"Content-Length: 99999999999999999999\r\n", b"Transfer-Encoding: chunked\r\n", b"abc",
     b"3\r\nabc\r\n", b"0\r\n\r\n", b"Upgrade: h2c\r\nConnection: Upgrade\r\n", b"Expect: 100-continue\r\n", b"\0",
     b"\xff",
     b"Connection: close\r\n", b": x\r\n", b"X" * 70, b"http://[::1 ", b"CONNECT a:1 ",
     b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
)  # fmt: skip


async def _served(data: bytes, size: int) -> tuple[Connection, list[tuple[str, int]]]:
    """Bring data to one connection; returns it, and method and length of body of each request."""
    asked: list[tuple[str, int]] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        length, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            length, more = length + len(message["body"]), message["more_body"]
        asked.append((scope["method"], length))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    config = Config(application, log_config=None, lifespan="off", ws="none", proxy_headers=False)
    config.load()
    connection = Connection()
    protocol = HttpProtocol(config, ServerState(), {})
    connection.set_protocol(protocol)
    protocol.connection_made(connection)
    for start in range(0, len(data), size):
        if not connection.closed:
            connection.get_protocol().data_received(data[start : start + size])  # type: ignore[attr-defined]
        await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)
    connection.closed = True
    connection.get_protocol().connection_lost(None)
    for _ in range(5):
        await asyncio.sleep(0)
    return connection, asked


@costly(0.5)
@given(st.one_of(st.lists(_http_tokens, max_size=14).map(b"".join), st.binary(max_size=60)), st.integers(1, 60))
@example(b"GET http://[::1 HTTP/1.1\r\nHost: a\r\n\r\n", 60)
@example(b"POST / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 3\r\n\r\nabc", 9)
def test_any_bytes_are_answered_or_end_the_connection(data: bytes, size: int) -> None:
    connection, asked = asyncio.run(_served(data, size))
    assert connection.sent.count(b"HTTP/1.1 200") == len(asked)


@costly(0.5)
@given(st.lists(st.binary(max_size=30), min_size=1, max_size=4), st.integers(1, 60), st.booleans())
def test_requests_arrive_as_they_were_sent_however_they_are_cut(
    bodies: list[bytes],
    size: int,
    chunked: bool,  # noqa: FBT001 -- drawn
) -> None:
    def request(body: bytes) -> bytes:
        head = b"POST / HTTP/1.1\r\nHost: a\r\n"
        if chunked:
            return (
                head
                + b"Transfer-Encoding: chunked\r\n\r\n"
                + (b"%x\r\n%s\r\n" % (len(body), body) if body else b"")
                + b"0\r\n\r\n"
            )
        return head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)

    _, asked = asyncio.run(_served(b"".join(map(request, bodies)), size))
    assert asked == [("POST", len(body)) for body in bodies]


@costly(0.2)
@given(st.sampled_from([b"X: " + b"x" * 900 + b"\r\n", b"x" * 900]), st.integers(100, 5000))
def test_no_head_is_longer_than_its_limit(piece: bytes, size: int) -> None:
    connection, asked = asyncio.run(_served(b"GET /" + b" HTTP/1.1\r\n" + piece * 90, size))
    assert connection.sent.startswith(b"HTTP/1.1 400")
    assert len(piece * 90) > MAX_HEAD
    assert not asked
