"""Fetching: hostile name servers, hostile redirects and hostile answers."""

from __future__ import annotations

import asyncio
import io
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_network
from typing import cast

import httpx2
import pytest

from offloop.errors import BadInput, FetchFailed, Refused
from offloop.outbound.client import OutboundClient
from offloop.outbound.fetch import FetchLimits, OutboundResponse, fetch_to
from offloop.outbound.policy import CheckedUrl, Policy
from offloop.outbound.redirects import OutboundRequest
from support.hosts.outside import LOCAL, Outside, bomb, outside

pytestmark = pytest.mark.anyio

ANY = Policy(hosts=("*",))
HERE = Policy(hosts=("*",), networks=(ip_network("127.0.0.0/8"),))


async def fetch(
    policy: Policy, url: str, limits: FetchLimits | None = None, **ask: object
) -> tuple[OutboundResponse, bytes]:
    into = io.BytesIO()
    async with OutboundClient(policy) as client:
        fetched = await fetch_to(client, OutboundRequest(url, **ask), into, limits)  # type: ignore[arg-type]
    return fetched, into.getvalue()


async def test_a_name_server_that_changes_its_answer_is_asked_once_and_its_first_answer_is_dialled() -> None:
    """DNS rebinding: what was checked is what is dialled."""
    answers = [[LOCAL], ["10.0.0.1"], ["10.0.0.1"]]
    asked: list[str] = []

    async def resolve(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return answers.pop(0)

    async with outside() as server, OutboundClient(HERE, resolve=resolve) as client:
        into = io.BytesIO()
        fetched = await fetch_to(client, OutboundRequest(server.url("/echo", "rebinding.test")), into)
        assert fetched.status == 200
        assert f'"host": "rebinding.test:{server.port}"'.encode() in into.getvalue(), "asked under its own name"
        assert asked == ["rebinding.test"]
        # Without a connection to use again, the next request looks up again, and is refused.
        cutting = OutboundRequest(server.url("/cut", "rebinding.test"))
        with pytest.raises(FetchFailed):
            await fetch_to(client, cutting, io.BytesIO())
        with pytest.raises(Refused, match="not public"):
            await fetch_to(client, cutting, io.BytesIO())
    assert len(asked) == 2


async def test_the_client_itself_refuses_unchecked_addresses_and_follows_no_redirect() -> None:
    """Both checks of the guard hold without `fetch_to`."""

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return ["192.168.1.1"]

    async def status(client: OutboundClient, url: str) -> int:
        unchecked = cast("CheckedUrl", httpx2.URL(url))
        async with client.send(unchecked, OutboundRequest(url), connect=5, read=5) as response:
            return response.status

    async with OutboundClient(ANY, resolve=resolve) as client:
        for url in (
            "http://169.254.169.254/latest",
            "http://[::1]/",
            "http://1.1.1.1:8080/",
            "http://example.org:8080/",
            "http://example.org/",
            "https://u:p@example.org/",
        ):
            with pytest.raises(Refused):
                await status(client, url)
    async with OutboundClient(Policy(("example.org",)), resolve=resolve) as client:
        with pytest.raises(Refused, match="OFFLOOP_FETCH_HOSTS"):
            await status(client, "http://elsewhere.test/")
    async with outside() as server, OutboundClient(HERE) as client:
        assert await status(client, server.url("/redirect?to=/ok")) == 302


async def test_a_proxy_in_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with outside() as server:
        assert (await fetch(HERE, server.url("/ok")))[0].status == 200


async def test_every_hop_of_a_redirect_is_checked() -> None:
    async with outside() as server:
        for to in (
            f"http://10.0.0.1:{server.port}/",
            f"http://[::1]:{server.port}/",
            "http://2130706433/",
            "file:///etc/passwd",
            "//169.254.169.254/",
            f"http://user@127.0.0.1:{server.port}/",
            "http://exa%20mple.org/",
        ):
            with pytest.raises(Refused, match="redirects to"):
                await fetch(HERE, server.url(f"/redirect?to=/redirect?to={to}"))
        fetched, body = await fetch(HERE, server.url("/redirect?to=/redirect?to=/ok"))
        assert body == b"/ok says hello"
        assert fetched.url == server.url("/ok")
        assert fetched.redirects == (server.url("/redirect?to=/redirect?to=/ok"), server.url("/redirect?to=/ok"))
        assert server.accepted == 1 + 7, "a redirect's connection is used again"


async def test_redirects_end() -> None:
    async with outside() as server:
        loop = "/redirect?to=%2Fredirect%3Fto%3D%252Fok"
        fetched, _ = await fetch(HERE, server.url(loop), FetchLimits(redirects=0))
        assert (fetched.status, fetched.redirects) == (302, ())
        fetched, _ = await fetch(HERE, server.url(loop), FetchLimits(redirects=1))
        assert (fetched.status, len(fetched.redirects)) == (302, 1)


async def test_credentials_and_bodies_do_not_leave_their_origin() -> None:
    secrets = {"Authorization": "Bearer s3cret", "Cookie": "a=s3cret", "X-Api-Key": "s3cret", "Accept": "text/x"}

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return [LOCAL]

    async with outside() as server, OutboundClient(HERE, resolve=resolve) as client:

        async def echoed(to: str, **ask: object) -> str:
            into = io.BytesIO()
            url = server.url(f"/redirect?status=307&to={to}", "one.test")
            await fetch_to(client, OutboundRequest(url, headers=secrets, **ask), into)  # type: ignore[arg-type]
            return into.getvalue().decode()

        assert (await echoed("/echo")).count("s3cret") == 3
        elsewhere = await echoed(server.url("/echo", "two.test"))
        assert "s3cret" not in elsewhere
        assert '"accept": "text/x"' in elsewhere
        assert '":body": "mine"' in await echoed("/echo", method="POST", content=b"mine")
        with pytest.raises(Refused, match="with a body"):
            await echoed(server.url("/echo", "two.test"), method="POST", content=b"mine")


@pytest.mark.parametrize("status", [302, 307, 308])
async def test_only_safe_methods_follow_a_redirect_to_another_origin(status: int) -> None:
    """Else a host could have its callers delete at a neighbour of theirs, without a body or credentials."""

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return [LOCAL]

    async with outside() as server, OutboundClient(HERE, resolve=resolve) as client:

        async def ask(to: str, method: str) -> int:
            url = server.url(f"/redirect?status={status}&to={to}", "one.test")
            return (await fetch_to(client, OutboundRequest(url, method), io.BytesIO())).status

        elsewhere = server.url("/echo", "two.test")
        for method in ("GET", "HEAD"):
            assert await ask(elsewhere, method) == 200
        asked = server.asked["/echo"]
        for method in ("DELETE", "OPTIONS", "PUT", *(("POST",) if status != 302 else ())):
            assert await ask("/echo", method) == 200
            with pytest.raises(Refused, match=f"redirects a {method} to another origin"):
                await ask(elsewhere, method)
            asked += 1
            assert server.asked["/echo"] == asked


async def test_after_a_post_a_redirect_is_a_get_where_the_protocol_says_so() -> None:
    async with outside() as server:
        for status, method in ((301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")):
            url = server.url(f"/redirect?status={status}&to=/echo")
            _, body = await fetch(HERE, url, method="POST", content=b"mine")
            assert f'":method": "{method}"'.encode() in body


async def test_headers_that_frame_a_message_cannot_be_set() -> None:
    for name, value in (
        ("Host", "other"),
        ("Content-Length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("Proxy-Authorization", "x"),
        ("X-A", "a\r\nHost: other"),
        ("X-A\r\nHost", "other"),
        ("X A", "b"),
        ("", "b"),
        ("X-A", "é"),
        ("X-A", "a" * 9000),
    ):
        with pytest.raises(BadInput, match="header"):
            await fetch(HERE, "http://127.0.0.1:1/", headers={name: value})


@pytest.mark.parametrize("packed", ["gzip", "x-gzip", "GZIP"])
async def test_a_bomb_is_cut_at_the_limit_while_it_unpacks(packed: str) -> None:
    async with outside() as server:
        into = io.BytesIO()
        async with OutboundClient(HERE) as client:
            ask = OutboundRequest(server.url(f"/bomb?as={packed}"))
            with pytest.raises(FetchFailed, match=r"larger than 1 MiB") as failed:
                await fetch_to(client, ask, into, FetchLimits(max_bytes=1 << 20))
        assert failed.value.reason == "too_large"
        assert not failed.value.retryable
        assert len(into.getvalue()) <= 1 << 20
        assert len(bomb()) < 1 << 20, "what came over the network is smaller than the limit"


@pytest.mark.parametrize("packed", ["br", "zstd", "gzip, gzip", "compress", "nonsense"])
async def test_a_packing_that_was_not_asked_for_is_an_error(packed: str) -> None:
    async with outside() as server:
        with pytest.raises(FetchFailed, match="only gzip, deflate were asked for"):
            await fetch(HERE, server.url(f"/bomb?as={packed}".replace(" ", "%20")))


PATIENT = FetchLimits(connect=30, read=30, total=30, max_bytes=1 << 20)


@pytest.mark.parametrize(
    ("path", "limits", "code", "words"),
    [
        ("/hang", replace(PATIENT, read=0.2), "timeout", "silent for 0.2 s"),
        ("/drip", replace(PATIENT, total=0.5), "timeout", "within 0.5 s"),
        ("/endless", PATIENT, "too_large", "larger than 1 MiB"),
        ("/big?size=2000000", PATIENT, "too_large", "larger than 1 MiB"),
        ("/cut", PATIENT, "fetch_failed", "broke off"),
    ],
)
async def test_a_host_that_does_not_answer_as_it_should_is_reported_in_time(
    path: str, limits: FetchLimits, code: str, words: str
) -> None:
    """The limit that is meant ends it: the others are beyond any busy machine."""
    async with outside() as server, asyncio.timeout(60):
        with pytest.raises(FetchFailed, match=words) as failed:
            await fetch(HERE, server.url(path), limits)
        assert failed.value.reason == code
        await asyncio.wait_for(server.emptied.wait(), 30)


async def test_a_host_that_is_not_there_is_reported_in_words() -> None:
    async def unknown(_host: str, _port: int) -> Sequence[str]:
        raise OSError

    async def slow(_host: str, _port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    for resolve, seconds, words in ((unknown, 30, "there is no host"), (slow, 0.1, "No connection .* within 0.1 s")):
        limits = FetchLimits(connect=seconds)
        async with OutboundClient(ANY, resolve=resolve) as client:
            with pytest.raises(FetchFailed, match=words):
                await fetch_to(client, OutboundRequest("http://example.org/"), io.BytesIO(), limits)
    with pytest.raises(FetchFailed, match=r"No connection to 127\.0\.0\.1") as failed:
        await fetch(HERE, "http://127.0.0.1:1/")
    assert failed.value.reason == "connect_failed"


async def test_an_address_that_is_dead_gives_way_to_the_next() -> None:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return ["127.0.0.2", LOCAL]  # the server listens on one of them

    async with outside() as server, OutboundClient(HERE, resolve=resolve) as client:
        into = io.BytesIO()
        assert (await fetch_to(client, OutboundRequest(server.url("/ok", "two.test")), into)).status == 200


@asynccontextmanager
async def cancelled_in(server: Outside, path: str) -> AsyncIterator[None]:
    async with OutboundClient(HERE) as client:
        server.begun.clear()
        task = asyncio.ensure_future(fetch_to(client, OutboundRequest(server.url(path)), io.BytesIO()))
        await asyncio.wait_for(server.begun.wait(), 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        yield


@pytest.mark.parametrize("path", ["/hang", "/endless", "/drip"])
async def test_a_fetch_that_is_cancelled_closes_its_connection(path: str) -> None:
    async with outside() as server, cancelled_in(server, path):
        await asyncio.wait_for(server.emptied.wait(), 30)


async def test_a_fetch_that_is_cancelled_while_tls_begins_closes_its_connection() -> None:
    begun, over = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun.set()
        await reader.read()  # until the other side is gone
        writer.close()
        over.set()

    server = await asyncio.start_server(silent, LOCAL, 0)
    port = server.sockets[0].getsockname()[1]
    async with server, OutboundClient(HERE) as client:
        task = asyncio.ensure_future(fetch_to(client, OutboundRequest(f"https://{LOCAL}:{port}/"), io.BytesIO()))
        await asyncio.wait_for(begun.wait(), 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(over.wait(), 30)


async def test_tls_is_checked_against_the_hosts_own_name() -> None:
    """The address is dialled, the name is what the certificate must have: SNI shows it to the server."""
    names: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = lambda _socket, name, _context: names.append(name)

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return [LOCAL]

    server = await asyncio.start_server(lambda _reader, writer: writer.close(), LOCAL, 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    async with server, OutboundClient(HERE, resolve=resolve) as client:
        with pytest.raises(FetchFailed):
            await fetch_to(client, OutboundRequest(f"https://named.test:{port}/"), io.BytesIO())
    assert names == ["named.test"]


async def test_an_address_of_version_6_is_dialled_and_named_in_brackets() -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()
        writer.close()

    try:
        server = await asyncio.start_server(serve, "::1", 0)
    except OSError:
        pytest.skip("this machine has no IPv6")
    port = server.sockets[0].getsockname()[1]
    async with server, OutboundClient(Policy(("*",), (ip_network("::1/128"),))) as client:
        url = f"http://[::1]:{port}/a%2Fb?c=%27d'&e=%2B"
        assert (await fetch_to(client, OutboundRequest(url), io.BytesIO())).status == 204
    assert heads[0].startswith(b"GET /a%2Fb?c=%27d'&e=%2B HTTP/1.1\r\n"), "as it was written"
    assert b"Host: [::1]:%d\r\n" % port in heads[0]


async def test_headers_are_text_whatever_bytes_they_have_and_equal_ones_are_joined() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = (
            b"HTTP/1.1 200 OK\r\nVary: a\r\nX-Request-Id: caf\xe9\r\nETag: caf\xc3\xa9\r\nvary: b\r\nSet-Cookie: c\r\n"
            b"Last-Modified: \x1b[31mred\x07\r\n"
        )
        writer.write(head + b"Content-Type: Text/HTML; charset=UTF-8\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, LOCAL, 0)
    async with server:
        found, _ = await fetch(HERE, f"http://{LOCAL}:{server.sockets[0].getsockname()[1]}/")
    expected = {"vary": "a, b", "x-request-id": "café", "etag": "café", "last-modified": " [31mred "}
    assert {name: found.headers.get(name) for name in expected} == expected
    assert "set-cookie" not in found.headers
    assert (found.mime_type, found.charset) == ("text/html", "utf-8")
