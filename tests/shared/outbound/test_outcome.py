"""The rule of what a file is, against a server that sends each status, and bodies that end too early, byte for byte."""

from __future__ import annotations

import asyncio
import gzip
import io
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network

import pytest

from offloop.errors import FetchFailed, Refused
from offloop.outbound.client import OutboundClient
from offloop.outbound.fetch import FetchLimits, OutboundResponse, fetch_to
from offloop.outbound.heads import declared_type
from offloop.outbound.outcome import MAX_REDIRECTS
from offloop.outbound.policy import Policy
from offloop.outbound.redirects import OutboundRequest
from support.hosts.outside import LOCAL

pytestmark = pytest.mark.anyio

HERE = Policy(hosts=("*",), networks=(ip_network("127.0.0.0/8"),))
TEXT = b"Content-Type: text/plain\r\n"


@asynccontextmanager
async def sending(*answers: bytes) -> AsyncIterator[str]:
    """A server that sends the answers in turn, the last one again and again, and closes each connection."""
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(left.pop(0) if len(left) > 1 else left[0])
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, LOCAL, 0)
    async with server:
        yield f"http://{LOCAL}:{server.sockets[0].getsockname()[1]}/file"


def answer(status: int, body: bytes = b"the body", head: bytes = TEXT) -> bytes:
    return b"HTTP/1.1 %d X\r\n%sContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, head, len(body), body)


async def got(*answers: bytes, **asked: object) -> tuple[OutboundResponse, bytes]:
    into = io.BytesIO()
    async with sending(*answers) as url, OutboundClient(HERE) as client:
        request = OutboundRequest(url, **asked)  # type: ignore[arg-type]
        response = await fetch_to(client, request, into, FetchLimits(connect=30, read=30))
    return response, into.getvalue()


ETAG = {"If-None-Match": '"v1"'}
RANGE = {"Range": "bytes=0-3"}
STATUSES: list[tuple[int, bytes, dict[str, str], bool, bool, str]] = [
    # status, head, headers of the request, success, file, words of the refusal
    (200, TEXT, {}, True, True, ""),
    (201, TEXT, {}, True, True, ""),
    (203, TEXT, {}, True, True, ""),
    (226, TEXT, {}, True, True, ""),
    (202, TEXT, {}, True, False, "not there yet"),
    (206, TEXT, {}, True, False, "only a part"),
    (206, TEXT + b"Content-Range: bytes 0-7/99\r\n", {}, True, False, "only a part"),
    (206, TEXT + b"Content-Range: bytes 0-7/8\r\n", {}, True, True, ""),
    (206, TEXT + b"Content-Range: bytes 0-3/99\r\n", RANGE, True, True, ""),
    (300, TEXT, {}, False, False, "several versions"),
    (301, TEXT, {}, False, False, "does not say where"),
    (302, TEXT, {}, False, False, "does not say where"),
    (303, TEXT, {}, False, False, "does not say where"),
    (307, TEXT, {}, False, False, "does not say where"),
    (308, TEXT, {}, False, False, "does not say where"),
    (301, TEXT + b"Location:\r\n", {}, False, False, "does not say where"),
    (302, TEXT + b"Location: \r\n", {}, False, False, "does not say where"),
    (305, TEXT + b"Location: http://127.0.0.1:1/\r\n", {}, False, False, "names a proxy"),
    (306, TEXT, {}, False, False, "the body"),
    (399, TEXT, {}, False, False, "the body"),
    (400, TEXT, {}, False, False, "HTTP 400 from 127.0.0.1"),
    (401, TEXT, {}, False, False, "the body"),
    (404, TEXT, {}, False, False, "the body"),
    (404, b"Content-Type: text/html\r\n", {}, False, False, "the body"),
    (410, TEXT, {}, False, False, "the body"),
    (418, TEXT, {}, False, False, "the body"),
    (429, TEXT + b"Retry-After: 7\r\n", {}, False, False, "Retry-After 7"),
    (451, TEXT, {}, False, False, "the body"),
    (500, TEXT, {}, False, False, "the body"),
    (503, TEXT, {}, False, False, "the body"),
    (599, TEXT, {}, False, False, "the body"),
    (999, TEXT, {}, False, False, "the body"),
]


@pytest.mark.parametrize(("status", "head", "asked", "success", "is_file", "words"), STATUSES)
async def test_a_status_is_a_success_and_a_file_by_one_rule(  # noqa: PLR0913, PLR0917 -- a row of the table
    status: int,
    head: bytes,
    asked: dict[str, str],
    success: bool,  # noqa: FBT001
    is_file: bool,  # noqa: FBT001
    words: str,
) -> None:
    response, _ = await got(answer(status, head=head), headers=asked)
    assert response.failed != success
    assert (not response.failed and not response.no_file) == is_file
    if not is_file:
        refusal = response.refusal()
        assert words in refusal.message
        assert f"HTTP {status} from" in refusal.message
        assert refusal.reason == "http_error"
        assert refusal.retryable == (status in (202, 429, 502, 503, 504))


@pytest.mark.parametrize("status", [204, 205, 304])
async def test_a_status_without_content_is_no_file(status: int) -> None:
    empty = b"HTTP/1.1 %d X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status
    response, _ = await got(empty)
    assert response.failed == (status == 304)
    assert (response.no_file or response.fault or "") in response.refusal().message
    response, _ = await got(empty, headers=ETAG)
    assert not response.failed
    assert response.no_file


@pytest.mark.parametrize("redirects", [1, 5, 6, MAX_REDIRECTS, MAX_REDIRECTS + 1])
async def test_as_many_redirects_are_followed_as_browsers_and_curl_follow(redirects: int) -> None:
    hops = [answer(302, b"", b"Location: /%d\r\n" % number) for number in range(redirects)]
    response, body = await got(*hops, answer(200))
    if redirects <= MAX_REDIRECTS:
        assert (response.failed, body, len(response.redirects)) == (False, b"the body", redirects)
        return
    assert response.failed
    assert response.refusal().message.endswith("it redirects more than 20 times")


async def test_redirects_in_a_circle_are_reported() -> None:
    response, _ = await got(answer(302, b"", b"Location: /file\r\n"))
    assert "in a circle" in response.refusal().message


@pytest.mark.parametrize(
    "location", [b" /a b ", "/grün".encode(), b"/gr\xfcn", b"?q=a b", b"//127.0.0.1:%d/x", b"#part", b"./a\tb", b"../c"]
)
async def test_the_target_of_a_redirect_is_read_as_in_a_browser(location: bytes) -> None:
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).splitlines()[0])
        where = location % port if b"%d" in location else location
        writer.write(answer(200) if len(asked) > 1 else answer(302, b"", b"Location: %s\r\n" % where))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, LOCAL, 0)
    port = server.sockets[0].getsockname()[1]
    async with server, OutboundClient(HERE) as client:
        response = await fetch_to(client, OutboundRequest(f"http://{LOCAL}:{port}/folder/file"), io.BytesIO())
    assert response.status == 200
    assert len(asked) == 2
    assert asked[1].count(b" ") == 2, "encoded"


@pytest.mark.parametrize("location", [b"http:///x", b"http:x", b"https:/other.test/x", b"//", b"///x", b"HTTP://?x"])
async def test_a_target_without_a_host_is_refused(location: bytes) -> None:
    with pytest.raises(Refused, match=r"redirects to .* not a URL"):
        await got(answer(302, b"", b"Location: %s\r\n" % location), answer(200))


@pytest.mark.parametrize(
    ("value", "mime_type", "charset"),
    [
        ("Text/HTML; Charset=KOI8-R", "text/html", "koi8-r"),
        ("text/html,text/html; charset = 'koi8-r'", "text/html", "koi8-r"),
        ("text/html charset=koi8-r", "text/html", "koi8-r"),
        ("text/html;;charset=koi8-r; charset=utf-8", "text/html", "koi8-r"),
        ('text/html; profile="charset=utf-8"', "text/html", ""),
        (" text/plain ", "text/plain", ""),
        ("html", "application/octet-stream", ""),
        ("text/html/x", "application/octet-stream", ""),
        ("*/*", "application/octet-stream", ""),
        ("", "application/octet-stream", ""),
    ],
)
def test_types_are_read_as_servers_send_them(value: str, mime_type: str, charset: str) -> None:
    assert declared_type({"content-type": value}) == (mime_type, charset)


PACKED = gzip.compress(b"whole " * 1000)
BROKEN = {
    "shorter than its length": (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "broke off"),
    "chunks without an end": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n", "broke off"),
    "a chunk cut short": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n50\r\nshort", "broke off"),
    "two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nshort", "not HTTP/1.1"),
    "gzip cut short": (answer(200, PACKED[:-20], b"Content-Encoding: gzip\r\n"), "ended early"),
    "no gzip": (answer(200, b"plain", b"Content-Encoding: gzip\r\n"), "not packed as gzip"),
    "gzip with a wrong sum": (answer(200, PACKED[:-8] + bytes(8), b"Content-Encoding: gzip\r\n"), "not packed as gzip"),
    "deflate cut short": (answer(200, zlib.compress(b"x" * 99)[:-5], b"Content-Encoding: deflate\r\n"), "ended early"),
    "brotli": (answer(200, b"x", b"Content-Encoding: br\r\n"), "packed as 'br'"),
    "packed twice": (answer(200, PACKED, b"Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n"), "'gzip, gzip'"),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_body_that_is_not_whole_is_an_error(name: str) -> None:
    raw, words = BROKEN[name]
    with pytest.raises(FetchFailed, match=words):
        await got(raw)


@pytest.mark.parametrize("coding", [b"identity", b"none", b"UTF-8", b"", b"identity, gzip", b"x-gzip", b"gzip"])
async def test_a_coding_that_packs_nothing_is_ignored(coding: bytes) -> None:
    packed = b"gzip" in coding
    response, body = await got(answer(200, PACKED if packed else b"plain", b"Content-Encoding: %s\r\n" % coding))
    assert body == (b"whole " * 1000 if packed else b"plain")
    assert response.head == body[:2000]


@pytest.mark.parametrize("mime_type", [b"application/gzip", b"application/x-gzip; a=b"])
async def test_a_gzip_file_that_is_declared_as_packed_is_the_file_itself(mime_type: bytes) -> None:
    """Servers declare a .tar.gz so; unpacked, it would have another digest than the one that is published."""
    head = b"Content-Type: %s\r\nContent-Encoding: gzip\r\n" % mime_type
    assert (await got(answer(200, PACKED, head)))[1] == PACKED


@pytest.mark.parametrize(
    ("name", "mime_type", "kept"),
    [
        (b"x.tar.gz", b"application/x-tar", True),
        (b"x.TGZ?a=b", b"application/octet-stream", True),
        (b"%s.sql.gz" % "ü".encode(), b"", True),
        (b"log.gz", b"text/plain; charset=utf-8", False),
        (b"data.json.gz", b"application/json", False),
        (b"x.tar", b"application/x-tar", False),
        (b"x?file=a.gz", b"application/octet-stream", False),
    ],
)
async def test_a_file_with_a_name_of_gzip_is_kept_unless_it_is_text(name: bytes, mime_type: bytes, kept: bool) -> None:  # noqa: FBT001
    head = b"Content-Encoding: gzip\r\n" + (b"Content-Type: %s\r\n" % mime_type if mime_type else b"")
    _, body = await got(answer(302, b"", b"Location: /%s\r\n" % name), answer(200, PACKED, head))
    assert body == (PACKED if kept else gzip.decompress(PACKED))


async def test_an_error_quotes_its_body_in_the_right_charset_and_without_tags() -> None:
    page = "<html><script>var a = '<b>'</script><h1>Страница не найдена</h1>".encode("cp1251")
    head = b"Content-Type: text/html; charset=windows-1251\r\n"
    response, _ = await got(answer(404, page, head))
    assert response.refusal().message.endswith(": Страница не найдена")
    cut = "日" * 1000
    response, _ = await got(answer(404, cut.encode(), TEXT))
    assert "\ufffd" not in response.refusal().message
