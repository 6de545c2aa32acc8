"""Who may be asked: hostile URLs, hostile addresses, hostile name servers and hostile answers."""

from __future__ import annotations

import asyncio
import gzip
import io
import ssl
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address, ip_network

import pytest

from offloop.errors import BadInput, FetchFailed, Refused
from offloop.outbound import decompress
from offloop.outbound.addresses import special
from offloop.outbound.fetch import Ask, Bounds, Fetched, fetch_to
from offloop.outbound.policy import Policy
from offloop.outbound.transport import guarded_client
from offloop.settings import load
from support.hosts.outside import LOCAL, Outside, bomb, outside

ANY = Policy(hosts=("*",))
HERE = Policy(hosts=("*",), networks=(ip_network("127.0.0.0/8"),))

UNFIT = [
    "",
    "//example.org",
    "example.org",
    "http:example.org",
    "http:///path",
    "file:///etc/passwd",
    "ftp://example.org/",
    "gopher://example.org/",
    "ws://example.org/",
    "data:text/plain,hello",
    "http://user@example.org/",
    "http://user:secret@example.org/",
    "http://@example.org/",
    "http://example.org@127.0.0.1/",
    "http://example.org\\@127.0.0.1/",
    "http://example.org\t/",
    "http://exa mple.org/",
    "http://example.org/\r\nHost: other",
    "http://example.org%2f@127.0.0.1/",
    "http://127.0.0%2e1/",
    "http://exa%6dple.org/",
    "http://example..org/",
    "http://.example.org/",
    "http://-example.org/",
    "http://example.org:0/",
    "http://example.org:65536/",
    "http://example.org:http/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://0177.0.0.1/",
    "http://127.1/",
    "http://127.0.0.1./",
    "http://1.2.3.4.5/",
    "http://1.2.3.400/",
    "http://example.0x10/",
    "http://１２７.0.0.1/",  # noqa: RUF001 -- the attack
    "http://ⓛocalhost/",
    "http://[::1/",
    "http://[::1%25lo]/",
    "http://[fe80::1%eth0]/",
    "http://[v7.example]/",
    "http://[127.0.0.1]/",
    "http://example.org/" + "a" * 9000,
]

NOT_PUBLIC = [
    "0.0.0.0",  # noqa: S104 -- nothing is bound here
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "200::1",
    "1000::1",
    "2001::1",
    "2001:0:7f00:1::",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:1ff::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%1",
    "fec0::1",
    "feff::1",
    "ff02::1",
    "ff0e::1",
]
PUBLIC = ["1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.32.0.1", "198.20.0.1", "223.255.255.255"]
PUBLIC += ["2001:200::1", "2001:4860:4860::8888", "2606:4700:4700::1111", "2a00:1450::1"]


@pytest.mark.parametrize("url", UNFIT, ids=lambda url: repr(url[:30]))
def test_a_url_that_programs_may_read_differently_is_refused(url: str) -> None:
    with pytest.raises(Refused) as refused:
        HERE.check(url)
    assert "secret" not in refused.value.message


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_public_is_known(address: str) -> None:
    assert special(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_allowed(address: str) -> None:
    assert special(ip_address(address)) is None
    assert ANY.checked("example.org", 443, [address]) == [ip_address(address)]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_one_address_that_is_not_public_refuses_the_host(address: str) -> None:
    """Whichever place it has among others."""
    for addresses in (["1.1.1.1", address], [address, "1.1.1.1"]):
        with pytest.raises(Refused, match=r"example.org.*not public.*OFFLOOP_FETCH_NETWORKS") as refused:
            ANY.checked("example.org", 443, addresses)
        assert address not in refused.value.message, "what a name leads to inside is nobody's business"


def test_an_address_in_the_url_is_refused_before_anything_is_sent() -> None:
    for host in ("127.0.0.1", "[::1]", "[::ffff:7f00:1]", "169.254.169.254", "[64:ff9b::a00:1]"):
        with pytest.raises(Refused, match="not public"):
            ANY.check(f"http://{host}/")


@pytest.mark.parametrize(
    ("pattern", "host", "allowed"),
    [
        ("*", "example.org", True),
        ("example.org", "example.org", True),
        ("Example.ORG", "example.org", True),
        ("example.org", "EXAMPLE.org", True),
        ("example.org", "www.example.org", False),
        ("example.org", "example.org.evil.net", False),
        ("*.example.org", "www.example.org", True),
        ("*.example.org", "a.b.example.org", True),
        ("*.example.org", "example.org", False),
        ("*.example.org", "badexample.org", False),
        ("xn--bcher-kva.example", "bücher.example", True),
    ],
)
def test_hosts_are_allowed_by_name(pattern: str, host: str, *, allowed: bool) -> None:
    policy = Policy.of(load({"OFFLOOP_FETCH_HOSTS": pattern}))
    if allowed:
        policy.check(f"https://{host}/")
    else:
        with pytest.raises(Refused, match="OFFLOOP_FETCH_HOSTS"):
            policy.check(f"https://{host}/")


def test_nothing_may_be_asked_until_the_operator_says_so() -> None:
    policy = Policy.of(load({}))
    assert not policy.enabled
    with pytest.raises(Refused, match="allows none"):
        policy.check("https://example.org/")


def test_ports_are_a_list_and_a_network_of_the_operators_has_any_port() -> None:
    ANY.check("http://example.org:443/")
    with pytest.raises(Refused, match=r"port 22.*OFFLOOP_FETCH_PORTS"):
        ANY.check("http://example.org:22/")
    with pytest.raises(Refused, match="port 22"):
        HERE.checked("example.org", 22, ["1.1.1.1"])
    assert HERE.checked("example.org", 22, ["127.0.0.2"])
    with pytest.raises(Refused, match="private network"):
        HERE.checked("example.org", 22, ["127.0.0.2", "10.0.0.1"])


async def fetch(policy: Policy, url: str, bounds: Bounds | None = None, **ask: object) -> tuple[Fetched, bytes]:
    into = io.BytesIO()
    async with guarded_client(policy) as client:
        fetched = await fetch_to(client, policy, Ask(url, **ask), into, bounds)  # type: ignore[arg-type]
    return fetched, into.getvalue()


@pytest.mark.anyio
async def test_a_name_server_that_changes_its_answer_is_asked_once_and_its_first_answer_is_dialled() -> None:
    """DNS rebinding: what was checked is what is dialled."""
    answers = [[LOCAL], ["10.0.0.1"], ["10.0.0.1"]]
    asked: list[str] = []

    async def resolve(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return answers.pop(0)

    async with outside() as server, guarded_client(HERE, resolve=resolve) as client:
        into = io.BytesIO()
        fetched = await fetch_to(client, HERE, Ask(server.url("/echo", "rebinding.test")), into)
        assert fetched.status == 200
        assert f'"host": "rebinding.test:{server.port}"'.encode() in into.getvalue(), "asked under its own name"
        assert asked == ["rebinding.test"]
        # Without a connection to use again, the next request looks up again, and is refused.
        cutting = Ask(server.url("/cut", "rebinding.test"))
        with pytest.raises(FetchFailed):
            await fetch_to(client, HERE, cutting, io.BytesIO())
        with pytest.raises(Refused, match="not public"):
            await fetch_to(client, HERE, cutting, io.BytesIO())
    assert len(asked) == 2


@pytest.mark.anyio
async def test_the_client_itself_refuses_whoever_uses_it_and_follows_nothing() -> None:
    """Both places of the guard hold without `fetch_to`."""

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return ["192.168.1.1"]

    async with guarded_client(ANY, resolve=resolve) as client:
        for url in (
            "http://169.254.169.254/latest",
            "http://example.org:8080/",
            "http://u:p@example.org/",
            "ws://a.b/",
        ):
            with pytest.raises(Refused):
                await client.get(url)
        with pytest.raises(Refused, match="not public"):
            await client.get("http://example.org/")
    async with outside() as server, guarded_client(HERE) as client:
        assert (await client.get(server.url("/redirect?to=/ok"))).status_code == 302
        with pytest.raises(Refused):
            await client.get(server.url(f"/redirect?to=http://10.0.0.1:{server.port}/"), follow_redirects=True)


@pytest.mark.anyio
async def test_a_proxy_in_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with outside() as server:
        assert (await fetch(HERE, server.url("/ok")))[0].status == 200


@pytest.mark.anyio
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


@pytest.mark.anyio
async def test_redirects_end() -> None:
    async with outside() as server:
        loop = "/redirect?to=%2Fredirect%3Fto%3D%252Fok"
        fetched, _ = await fetch(HERE, server.url(loop), Bounds(redirects=0))
        assert (fetched.status, fetched.redirects) == (302, ())
        fetched, _ = await fetch(HERE, server.url(loop), Bounds(redirects=1))
        assert (fetched.status, len(fetched.redirects)) == (302, 1)


@pytest.mark.anyio
async def test_credentials_and_bodies_do_not_leave_their_origin() -> None:
    secrets = {"Authorization": "Bearer s3cret", "Cookie": "a=s3cret", "X-Api-Key": "s3cret", "Accept": "text/x"}

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return [LOCAL]

    async with outside() as server, guarded_client(HERE, resolve=resolve) as client:

        async def echoed(to: str, **ask: object) -> str:
            into = io.BytesIO()
            url = server.url(f"/redirect?status=307&to={to}", "one.test")
            await fetch_to(client, HERE, Ask(url, headers=secrets, **ask), into)  # type: ignore[arg-type]
            return into.getvalue().decode()

        assert (await echoed("/echo")).count("s3cret") == 3
        elsewhere = await echoed(server.url("/echo", "two.test"))
        assert "s3cret" not in elsewhere
        assert '"accept": "text/x"' in elsewhere
        assert '":body": "mine"' in await echoed("/echo", method="POST", content=b"mine")
        with pytest.raises(Refused, match="with a body"):
            await echoed(server.url("/echo", "two.test"), method="POST", content=b"mine")


@pytest.mark.anyio
@pytest.mark.parametrize("status", [302, 307, 308])
async def test_only_what_changes_nothing_is_asked_of_another_origin(status: int) -> None:
    """Else a host could have its callers delete at a neighbour of theirs, without a body or credentials."""

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return [LOCAL]

    async with outside() as server, guarded_client(HERE, resolve=resolve) as client:

        async def ask(to: str, method: str) -> int:
            url = server.url(f"/redirect?status={status}&to={to}", "one.test")
            return (await fetch_to(client, HERE, Ask(url, method), io.BytesIO())).status

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


@pytest.mark.anyio
async def test_after_a_post_a_redirect_is_a_get_where_the_protocol_says_so() -> None:
    async with outside() as server:
        for status, method in ((301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")):
            url = server.url(f"/redirect?status={status}&to=/echo")
            _, body = await fetch(HERE, url, method="POST", content=b"mine")
            assert f'":method": "{method}"'.encode() in body


@pytest.mark.anyio
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


@pytest.mark.anyio
@pytest.mark.parametrize("packed", ["gzip", "x-gzip", "GZIP"])
async def test_a_bomb_is_cut_at_the_limit_while_it_unpacks(packed: str) -> None:
    async with outside() as server:
        into = io.BytesIO()
        async with guarded_client(HERE) as client:
            ask = Ask(server.url(f"/bomb?as={packed}"))
            with pytest.raises(FetchFailed, match=r"larger than 1 MiB") as failed:
                await fetch_to(client, HERE, ask, into, Bounds(max_bytes=1 << 20))
        assert failed.value.reason == "too_large"
        assert not failed.value.retryable
        assert len(into.getvalue()) <= 1 << 20
        assert len(bomb()) < 1 << 20, "what came over the network is smaller than the limit"


@pytest.mark.anyio
@pytest.mark.parametrize("packed", ["br", "zstd", "gzip, gzip", "compress", "nonsense"])
async def test_a_packing_that_was_not_asked_for_is_an_error(packed: str) -> None:
    async with outside() as server:
        with pytest.raises(FetchFailed, match="only gzip, deflate were asked for"):
            await fetch(HERE, server.url(f"/bomb?as={packed}".replace(" ", "%20")))


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 1 << 20])
@pytest.mark.parametrize("step", [1 << 20, 1000])
def test_what_was_packed_is_unpacked_in_small_pieces(size: int, step: int) -> None:
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    bare = zlib.compressobj(wbits=-15)
    whole = zlib.compressobj(wbits=31)
    gzipped = whole.compress(content) + whole.flush()
    for encoding, packed, expected in (
        ("gzip", gzipped, content),
        ("gzip", gzipped + gzipped, content * 2),
        ("gzip", gzipped + bytes(512), content),
        ("deflate", zlib.compress(content), content),
        ("deflate", bare.compress(content) + bare.flush(), content),
        ("", content, content),
    ):
        decoder = decompress.Decoder(encoding)
        fed = [packed[start : start + step] for start in range(0, len(packed), step)]
        pieces = [piece for part in fed for piece in decoder.feed(part)]
        decoder.end()
        assert b"".join(pieces) == expected
        assert all(len(piece) <= decompress.PIECE for piece in pieces) or not encoding


def test_packed_parts_without_content_are_not_unpacked_for_ever() -> None:
    """Each takes time and adds nothing that the limit would count."""
    decoder = decompress.Decoder("gzip")
    with pytest.raises(FetchFailed, match="parts without content"):
        list(decoder.feed(gzip.compress(b"") * 1000))
    decoder = decompress.Decoder("gzip")
    full = gzip.compress(bytes(decompress.PIECE), compresslevel=1)
    assert sum(map(len, decoder.feed(full * 200))) == 200 * decompress.PIECE


def test_what_is_packed_badly_or_ends_early_is_an_error() -> None:
    decoder = decompress.Decoder("gzip")
    with pytest.raises(FetchFailed, match="not packed as gzip"):
        list(decoder.feed(b"hello, this is plain"))
    decoder = decompress.Decoder("deflate")
    assert list(decoder.feed(zlib.compress(bytes(1000))[:5])) is not None
    with pytest.raises(FetchFailed, match="ended early"):
        decoder.end()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("/hang", "timeout", "silent for 0.2 s"),
        ("/drip", "timeout", "within 0.5 s"),
        ("/endless", "too_large", "larger than 1 MiB"),
        ("/big?size=2000000", "too_large", "larger than 1 MiB"),
        ("/cut", "fetch_failed", "broke off"),
    ],
)
async def test_a_host_that_does_not_answer_as_it_should_is_reported_in_time(path: str, code: str, words: str) -> None:
    async with outside() as server, asyncio.timeout(5):
        with pytest.raises(FetchFailed, match=words) as failed:
            await fetch(HERE, server.url(path), Bounds(connect=2, read=0.2, total=0.5, max_bytes=1 << 20))
        assert failed.value.reason == code
        await asyncio.wait_for(server.emptied.wait(), 2)


@pytest.mark.anyio
async def test_a_host_that_is_not_there_is_reported_in_words() -> None:
    async def unknown(_host: str, _port: int) -> Sequence[str]:
        raise OSError

    async def slow(_host: str, _port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    for resolve, words in ((unknown, "there is no host"), (slow, "No connection .* within 0.1 s")):
        async with guarded_client(ANY, resolve=resolve) as client:
            with pytest.raises(FetchFailed, match=words):
                await fetch_to(client, ANY, Ask("http://example.org/"), io.BytesIO(), Bounds(connect=0.1))
    with pytest.raises(FetchFailed, match=r"No connection to 127\.0\.0\.1") as failed:
        await fetch(HERE, "http://127.0.0.1:1/")
    assert failed.value.reason == "connect_failed"


@pytest.mark.anyio
async def test_an_address_that_is_dead_gives_way_to_the_next() -> None:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return ["127.0.0.2", LOCAL]  # the server listens on one of them

    async with outside() as server, guarded_client(HERE, resolve=resolve) as client:
        into = io.BytesIO()
        assert (await fetch_to(client, HERE, Ask(server.url("/ok", "two.test")), into)).status == 200


@asynccontextmanager
async def cancelled_in(server: Outside, path: str) -> AsyncIterator[None]:
    async with guarded_client(HERE) as client:
        server.begun.clear()
        task = asyncio.ensure_future(fetch_to(client, HERE, Ask(server.url(path)), io.BytesIO()))
        await asyncio.wait_for(server.begun.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        yield


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/hang", "/endless", "/drip"])
async def test_a_fetch_that_is_cancelled_closes_its_connection(path: str) -> None:
    async with outside() as server, cancelled_in(server, path):
        await asyncio.wait_for(server.emptied.wait(), 5)


@pytest.mark.anyio
async def test_a_fetch_that_is_cancelled_while_tls_begins_closes_its_connection() -> None:
    begun, over = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun.set()
        await reader.read()  # until the other side is gone
        writer.close()
        over.set()

    server = await asyncio.start_server(silent, LOCAL, 0)
    port = server.sockets[0].getsockname()[1]
    async with server, guarded_client(HERE) as client:
        task = asyncio.ensure_future(fetch_to(client, HERE, Ask(f"https://{LOCAL}:{port}/"), io.BytesIO()))
        await asyncio.wait_for(begun.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(over.wait(), 5)


@pytest.mark.anyio
async def test_tls_is_checked_against_the_hosts_own_name() -> None:
    """The address is dialled, the name is what the certificate must have: SNI shows it to the server."""
    names: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = lambda _socket, name, _context: names.append(name)

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return [LOCAL]

    server = await asyncio.start_server(lambda _reader, writer: writer.close(), LOCAL, 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    async with server, guarded_client(HERE, resolve=resolve) as client:
        with pytest.raises(FetchFailed):
            await fetch_to(client, HERE, Ask(f"https://named.test:{port}/"), io.BytesIO())
    assert names == ["named.test"]
