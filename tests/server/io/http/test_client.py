"""http_get, call_api and bulk_fetch against a real server that counts."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import pytest
from arq.connections import ArqRedis
from mcp_types import CallToolResult, TextContent
from structlog.testing import capture_logs

from offloop.artifacts.links import Links
from offloop.artifacts.store import ArtifactStore
from offloop.errors import BadInput, FetchFailed, Refused
from offloop.outbound.fetch import OutboundResponse
from offloop.outbound.redirects import OutboundRequest
from offloop.outbound.transport import Connector
from offloop.settings import Settings, load
from offloop_server.io.http.client import Fetcher
from offloop_server.io.http.request import saved_name
from offloop_server.io.http.retries import RetryPolicy
from offloop_server.io.http.tools import http_tools
from offloop_server.toolkit.services import Caller, Services
from support.hosts.outside import Outside, bomb, outside
from support.services import only
from support.waiting import eventually

pytestmark = pytest.mark.anyio

LIMIT = 10
PATIENCE = 50
"""Seconds that only a request that hangs takes. One that times out closes its connection and is sent again."""
ALLOWED = {
    "OFFLOOP_FETCH_HOSTS": "*",
    "OFFLOOP_FETCH_NETWORKS": "127.0.0.0/8",
    "OFFLOOP_FETCH_CONCURRENCY": str(LIMIT),
    "OFFLOOP_FETCH_PER_HOST": str(LIMIT),
    "OFFLOOP_FETCH_MAX_MB": "8",
    "OFFLOOP_FETCH_READ_SECONDS": str(PATIENCE),
    "OFFLOOP_FETCH_TOTAL_SECONDS": str(PATIENCE),
}


def allowed(**changes: str) -> Settings:
    """Settings that let a test ask its own server."""
    return load({**ALLOWED, **{f"OFFLOOP_FETCH_{name.upper()}": value for name, value in changes.items()}})


@dataclass
class Tools:
    """The tools of one front end, called as one principal."""

    fetcher: Fetcher
    store: ArtifactStore
    services: Services

    async def call(self, name: str, *, principal: str = "alice", **arguments: Any) -> CallToolResult:
        """Call one of them, as the front end does."""

        async def relay(_progress: object) -> None:
            """Drop the progress."""

        caller = Caller(principal, Links(bytes(32), "http://front.test/"), relay)
        tools = {tool.name: tool for tool in http_tools(self.services, self.fetcher)}
        return await tools[name].call(arguments, caller)

    async def get(self, url: str, **arguments: Any) -> dict[str, Any]:
        """http_get, the structured part."""
        return structured(await self.call("http_get", url=url, **arguments))


def structured(result: CallToolResult) -> dict[str, Any]:
    return cast("dict[str, Any]", result.structured_content)


def text(result: CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


def in_flight(fetcher: Fetcher) -> tuple[int, int]:
    """Requests that have a permit, and that wait for one."""
    limiter = fetcher.limiter._limiter
    return limiter.granted, limiter.waiting


def idle(fetcher: Fetcher) -> int:
    """Connections that wait for the next request."""
    session = fetcher._client._session
    assert session
    assert isinstance(session.connector, Connector)
    return len(session.connector._idle)


async def comes(condition: Callable[[], bool], what: str) -> None:
    """Wait until it is true."""

    async def true() -> bool:
        return condition()

    await eventually(true, what)


@pytest.fixture
async def server() -> AsyncIterator[Outside]:
    async with outside() as made:
        yield made


@pytest.fixture
async def tools(server: Outside, redis: ArqRedis, tmp_path: Path) -> AsyncIterator[Tools]:
    settings = allowed()
    store = ArtifactStore(tmp_path.as_uri(), redis, retention_seconds=60)
    services = only(settings=settings, redis=redis, store=store)
    async with Fetcher(settings, resolve=server.resolve) as fetcher:
        yield Tools(fetcher, store, services)


@pytest.fixture
async def fetcher(server: Outside) -> AsyncIterator[Fetcher]:
    async with Fetcher(allowed(), resolve=server.resolve) as made:
        yield made


async def test_without_hosts_that_may_be_asked_there_are_no_such_tools() -> None:
    async with Fetcher(load({})) as fetcher:
        assert http_tools(cast("Any", None), fetcher) == []


async def test_json_is_parsed_and_text_is_shown(tools: Tools, server: Outside) -> None:
    answer = await tools.get(server.url('/as?type=application/json&body={"a":[1,2]}'))
    assert (answer["form"], answer["data"], answer["content"]) == ("json", {"a": [1, 2]}, None)
    result = await tools.call("http_get", url=server.url("/hello"))
    assert "/hello says hello" in text(result)
    answer = structured(result)
    assert (answer["ok"], answer["status"], answer["form"], answer["mime_type"]) == (True, 200, "text", "text/plain")
    assert answer["sha256"] == hashlib.sha256(b"/hello says hello").hexdigest()
    assert answer["timings"]["attempts"] == 1


async def test_a_page_is_read_as_markdown_or_text_or_source(tools: Tools, server: Outside) -> None:
    page = "<title>T</title><script>no()</script><h1>Head</h1><p>Some <b>bold</b> <a href='/x'>link</a></p>"
    url = server.url(f"/as?type=text/html&body={quote(page)}")
    answer = await tools.get(url)
    assert (answer["form"], answer["content"]) == (
        "markdown",
        f"# T\n\n# Head\n\nSome **bold** [link]({server.url('/x')})",
    )
    plain = (await tools.get(url, extract="text"))["content"]
    assert "Head" in plain
    assert "no()" not in plain
    assert "*" not in plain
    assert (await tools.get(url, extract="raw"))["content"] == page
    with pytest.raises(FetchFailed, match="not JSON"):
        await tools.get(url, extract="json")


async def test_a_page_that_sends_browsers_on_is_followed_like_a_redirect(tools: Tools, server: Outside) -> None:
    def sends(to: str, seconds: int = 0) -> tuple[str, bytes]:
        return "text/html", f"<meta http-equiv=refresh content='{seconds}; url={to}'>stub".encode()

    server.bodies |= {
        "/one": sends("two"), "/two": sends("/hello"), "/loop": sends("/pool"), "/pool": sends("/loop"),
        "/later": sends("/hello", 60), "/self": sends("/self#a"), "/away": sends("http://192.168.0.1/"),
        "/gone": sends("/status/404"), **{f"/far{number}": sends(f"/far{number + 1}") for number in range(9)},
    }  # fmt: skip
    answer = await tools.get(server.url("/one"), offset=7)
    assert (answer["content"], answer["final_url"]) == ("says hello", server.url("/hello"))
    assert answer["redirects"] == [server.url("/one"), server.url("/two")]
    for path, note, asked in (
        ("/loop", "sends browsers to", {"/loop": 1, "/pool": 1}),
        ("/later", "/hello after 60 s", {"/hello": 1}),
        ("/away", "not public", {"/away": 1}),
        ("/far0", "sends browsers to", {"/far5": 1, "/far6": 0}),
    ):
        answer = await tools.get(server.url(path))
        assert answer["content"] == "stub"
        assert note in answer["notes"][-1]
        assert {name: server.asked[name] for name in asked} == asked
    assert (await tools.get(server.url("/self")))["notes"] == []
    assert (await tools.get(server.url("/gone")))["status"] == 404
    assert (await tools.get(server.url("/one"), extract="raw"))["content"].endswith("stub")


async def test_a_page_that_sends_on_tells_another_origin_no_secrets(tools: Tools, server: Outside) -> None:
    target = server.url("/echo", "other.test")
    server.bodies["/one"] = ("text/html", f"<meta http-equiv=refresh content='0; url={target}'>".encode())
    answer = await tools.get(server.url("/one"), headers={"Authorization": "secret", "Accept-Language": "de"})
    assert "authorization" not in answer["data"]
    assert answer["data"]["accept-language"] == "de"
    assert "authorization did not go to" in " ".join(answer["notes"])


async def test_feeds_are_markdown_and_other_xml_is_its_source(tools: Tools, server: Outside) -> None:
    feed = b"<rss><channel><title>News</title><item><title>A</title><link>/a</link></item></channel></rss>"
    server.bodies |= {"/rss": ("application/rss+xml", feed), "/xml": ("text/xml", b"<a><feed /></a>")}
    answer = await tools.get(server.url("/rss"))
    assert (answer["form"], answer["content"]) == ("markdown", f"# News\n\n## [A]({server.url('/a')})")
    assert (await tools.get(server.url("/rss"), extract="raw"))["content"] == feed.decode()
    assert (await tools.get(server.url("/xml")))["content"] == "<a><feed /></a>"


@pytest.mark.slow
async def test_a_page_that_is_nested_without_end_is_read_all_the_same(
    tools: Tools, server: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And does not hold the loop: it is read in a process of its own."""
    monkeypatch.setattr("offloop_server.io.http.converters.SECONDS", 50.0)  # enough beside other processes
    for levels in (1000, 100_000):
        answer = await tools.get(server.url(f"/deep?levels={levels}"))
        assert answer["content"] == "deep"


async def test_a_page_that_takes_too_long_is_aborted_and_its_process_killed(
    tools: Tools, server: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("offloop_server.io.http.converters.SECONDS", 0.0)
    with capture_logs() as logged, pytest.raises(FetchFailed, match="extract=raw"):
        await tools.get(server.url("/as?type=text/html&body=<p>x"))
    [line] = [line for line in logged if line["event"] == "page not converted"]
    assert (line["error"], line["size"]) == ("TimeoutError", 4)
    monkeypatch.undo()
    assert (await tools.get(server.url("/as?type=text/html&body=<p>x")))["content"] == "x"


async def test_the_first_page_finds_a_process_that_waits_for_it_and_one_that_was_killed_is_not_asked(
    tools: Tools, server: Outside
) -> None:
    [waiting] = tools.fetcher._converters._idle
    url = server.url("/as?type=text/html&body=<p>x")
    assert (await tools.get(url))["content"] == "x"
    assert tools.fetcher._converters._idle == [waiting]
    waiting.kill()
    await waiting.wait()
    assert (await tools.get(url))["content"] == "x"


async def test_charsets_are_known_by_mark_header_and_page(tools: Tools, server: Outside) -> None:
    for mime, body, expected in (
        ("text/plain; charset=iso-8859-1", "caf%C3%A9", "café"),  # the server sends latin-1
        ("text/plain; charset=nonsense", "caf", "caf"),
        ("text/plain; charset=unicode_escape", "%5Cx41", "\\x41"),
        ("text/plain", "%C3%AF%C2%BB%C2%BFmark", "mark"),
        ("text/plain; charset=utf-7", "%2BAGEAYg-", "+AGEAYg-"),
    ):
        assert (await tools.get(server.url(f"/as?type={mime.replace(' ', '%20')}&body={body}")))["content"] == expected


QUOTED = "“quoted”, it\u2019s 5 €"
RUSSIAN = "Съешь ещё этих мягких французских булок"
FEED = f'<?xml version="1.0" encoding="koi8-r"?><rss><title>{RUSSIAN}</title></rss>'
BODIES: dict[str, tuple[str, bytes, str, str]] = {
    "header": ("text/plain; charset=iso-8859-1", QUOTED.encode("cp1252"), QUOTED, ""),
    "quoted label": ("text/plain;charset='Shift-JIS'", "表示 ①髙".encode("cp932"), "表示 ①髙", ""),
    "last label": ("text/html; charset=gb2312; q=1", "镕 €".encode("gb18030"), "镕 €", ""),
    "meta": ("text/html", '<meta charset="Shift_JIS"><p>表示 ①髙'.encode("cp932"), "表示 ①髙", ""),
    "xml": ("text/xml", f'<?xml version="1.0" encoding="koi8-r"?><a>{RUSSIAN}</a>'.encode("koi8-r"), RUSSIAN, ""),
    "feed": ("text/xml", FEED.encode("koi8-r"), RUSSIAN, ""),
    "svg": ("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "<svg", ""),
    "guess": ("text/html", f"<p>{RUSSIAN}".encode("cp1251"), RUSSIAN, "windows-1251, a guess"),
    "wrong": ("text/plain; charset=utf-8", RUSSIAN.encode("cp1251"), "\ufffd", "look like windows-1251"),
    "unknown": ("text/plain; charset=nonsense", b"plain", "plain", "'nonsense' is not known"),
    "no type": ("application/octet-stream", "größe".encode("utf-16"), "größe", ""),
    "page": ("application/octet-stream", b"<html><meta charset=koi8-r><p>" + RUSSIAN.encode("koi8-r"), RUSSIAN, ""),
    "form": ("application/x-www-form-urlencoded", b"a=1", "a=1", ""),
    "key": ("application/pgp-keys", b"-----BEGIN PGP", "BEGIN PGP", ""),
    "json": ("application/json; charset=iso-8859-1", '{"a": "é"}'.encode(), '{"a": "é"}', ""),
    "wide json": ("application/problem+json", '{"a": "é"}'.encode("utf-16-le"), '{"a": "é"}', ""),
}


@pytest.mark.parametrize("name", BODIES)
async def test_a_text_of_any_charset_is_read_and_a_guess_is_noted(tools: Tools, server: Outside, name: str) -> None:
    mime_type, body, expected, note = BODIES[name]
    server.bodies["/text"] = (mime_type, body)
    result = await tools.call("http_get", url=server.url("/text"))
    assert expected in text(result)
    notes = structured(result)["notes"]
    assert any(note in one for one in notes) if note else notes == []


async def test_numbers_that_a_double_rounds_are_text_and_a_note_says_so(tools: Tools, server: Outside) -> None:
    body = b'{"id": 9007199254740993, "in": [{"price": 0.1234567890123456789012}], "small": 10.1, "text": "9"}'
    server.bodies["/json"] = ("application/json", body)
    answer = await tools.get(server.url("/json"))
    inner = {"price": "0.1234567890123456789012"}
    assert answer["data"] == {"id": "9007199254740993", "in": [inner], "small": 10.1, "text": "9"}
    assert answer["notes"] == ["2 numbers are text in data, such as 9007199254740993: a double would round it."]


async def test_a_large_body_of_wrong_bytes_does_not_hold_the_loop(tools: Tools, server: Outside) -> None:
    """In pieces, in a thread: the loop turns while two million bytes that no codec of Python knows are corrected."""
    server.bodies["/text"] = ("text/plain; charset=euc-jp", b"\xad\xa1" * 1_000_000)
    turns = 0

    async def turning() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.005)
            turns += 1

    task = asyncio.create_task(turning())
    answer = await tools.get(server.url("/text"))
    task.cancel()
    assert (answer["content"][:2], answer["length"]) == ("①①", 1_000_000)
    assert turns > 3


async def test_a_long_text_comes_in_parts(tools: Tools, server: Outside) -> None:
    url = server.url("/big?size=25000")
    first = await tools.get(url)
    assert (len(first["content"]), first["length"], first["next_offset"]) == (20_000, 25_000, 20_000)
    rest = await tools.get(url, offset=20_000)
    assert (len(rest["content"]), rest["next_offset"]) == (5000, None)
    with pytest.raises(BadInput, match="beyond the end"):
        await tools.get(url, offset=25_000)
    large = await tools.get(server.url(f"/as?type=application/json&body=[{'1,' * 600}1]"), max_chars=1000)
    assert (large["form"], large["data"], large["next_offset"]) == ("json", None, 1000)


async def test_a_binary_is_described_and_any_body_can_be_kept_as_a_file(tools: Tools, server: Outside) -> None:
    answer = await tools.get(server.url("/as?type=image/png&body=%C3%BF%C3%BE"))
    assert (answer["form"], answer["content"], answer["size"]) == ("binary", None, 2)
    assert "save=true" in answer["notes"][0]
    answer = await tools.get(server.url("/x/report.bin?a=b"), save=True)
    artifact = await tools.store.get(answer["artifact"]["artifact_id"], principal="alice")
    assert (artifact.name, artifact.size, artifact.sha256) == ("report.bin", answer["size"], answer["sha256"])
    big = await tools.get(server.url("/big?size=6000000"), save=True)
    assert big["artifact"]["size"] == 6_000_000
    with pytest.raises(FetchFailed, match="larger than 4 MiB"):
        await tools.get(server.url("/big?size=6000000"))
    with pytest.raises(FetchFailed, match="larger than 8 MiB"):
        await tools.get(server.url("/big?size=9000000"), save=True)
    failed = await tools.call("http_get", url=server.url("/status/500"), save=True)
    assert failed.is_error
    assert structured(failed)["artifact"] is None


@pytest.mark.parametrize("save", [False, True])
async def test_an_answer_that_is_no_success_is_not_ok_and_keeps_no_file(
    tools: Tools, server: Outside, *, save: bool
) -> None:
    for status, words in ((300, "several versions"), (302, "does not say where"), (304, "not asked"), (404, "again")):
        result = await tools.call("http_get", url=server.url(f"/status/{status}"), save=save, retries=0)
        answer = structured(result)
        assert (answer["ok"], answer["artifact"], result.is_error) == (False, None, True)
        assert words in answer["error"]["message"]
    circle = server.url("/redirect?to=/redirect")
    server.bodies["/none"] = ("text/plain", b"")
    answer = structured(await tools.call("http_get", url=circle.replace("to=/", "to=%3Fto=%3F&x=/"), save=save))
    assert not answer["ok"]
    assert len(answer["redirects"]) == 20
    answer = await tools.get(server.url("/none"), save=save)
    assert answer["ok"]
    assert answer["notes"] == ["The file is empty." if save else "The body is empty."]


async def test_only_a_file_is_saved_and_what_there_is_instead_is_said(tools: Tools, server: Outside) -> None:
    for status, words in ((202, "not there yet"), (204, "no content"), (206, "only a part")):
        answer = structured(await tools.call("http_get", url=server.url(f"/status/{status}"), save=True))
        assert (answer["ok"], answer["artifact"]) == (False, None)
        assert words in answer["error"]["message"]
        assert (await tools.get(server.url(f"/status/{status}")))["ok"]
    unchanged = await tools.get(server.url("/etag"), save=True, etag='"v1"')
    assert (unchanged["ok"], unchanged["status"], unchanged["artifact"]) == (True, 304, None)
    assert unchanged["notes"] == ["There is no file: nothing has changed."]
    deleted = structured(await tools.call("call_api", method="DELETE", url=server.url("/status/204"), save=True))
    assert (deleted["ok"], deleted["notes"]) == (True, ["There is no file: it has no content."])
    with pytest.raises(BadInput, match="send GET"):
        await tools.get(server.url("/hello"), method="HEAD", save=True)


async def test_what_a_redirect_changes_in_the_request_is_said(tools: Tools, server: Outside) -> None:
    elsewhere = server.url("/echo", "two.test")
    url = server.url(f"/redirect?to={quote(elsewhere)}", "one.test")
    answer = await tools.get(url, headers={"Authorization": "Bearer s3cret", "Accept": "a/b", "X-Key": "s3cret"})
    assert answer["notes"] == [
        "authorization, x-key did not go to two.test: headers of yours stay with the host you named."
    ]
    url = server.url("/redirect?to=/echo")
    answer = structured(await tools.call("call_api", method="POST", url=url, json=[1]))
    assert answer["notes"] == ["The redirect was followed with GET, without its body."]
    assert (await tools.get(server.url("/redirect?to=/echo"), headers={"X-Key": "a"}))["notes"] == []


@pytest.mark.parametrize(
    ("disposition", "path", "name"),
    [
        ("attachment; filename*=UTF-8''na%C3%AFve.txt", "/x", "naïve.txt"),
        ("attachment; filename=\"a.txt\"; filename*=iso-8859-1'en'na%EFve.txt", "/x", "naïve.txt"),
        ("attachment; filename*=utf-8''", "/last.txt", "last.txt"),
        ('attachment; filename="plain name.txt"', "/x", "plain name.txt"),
        ("attachment; filename=my report.pdf", "/x", "my report.pdf"),
        ('attachment; filename="=?UTF-8?B?0KHRitC10YjRjC50eHQ=?="', "/x", "Съешь.txt"),
        ("attachment; filename==?iso-8859-1?Q?caf=E9.txt?=", "/x", "café.txt"),
        ('attachment; filename="=?UTF-8?B?0?="', "/x", "=_UTF-8_B_0_="),
        ('attachment; filename="a;b.txt"; size=1', "/x", "a;b.txt"),
        ("attachment; xfilename=other.txt", "/last.txt", "last.txt"),
        ("attachment; filename=", "/last.txt", "last.txt"),
        ('FileName = "up.txt" ; x=y', "/x", "up.txt"),
        ("", "/gr%C3%BCn.txt", "grün.txt"),
        ("", "/%C6%FC%CB%DC%B8%EC%A4%CE%CA%B8%BD%F1.txt", "日本語の文書.txt"),
    ],
)
def test_a_file_is_named_as_the_host_or_the_url_names_it(disposition: str, path: str, name: str) -> None:
    headers = {"content-disposition": disposition} if disposition else {}
    response = OutboundResponse(200, f"https://a.test{path}", headers, "a/b", "", 0, "", (), 0.0, 0.0)
    assert saved_name(response) == name


async def test_each_of_many_urls_follows_the_same_rule(tools: Tools, server: Outside) -> None:
    urls = [server.url(path) for path in ("/hello", "/status/302", "/status/204", "/status/404")]
    for save, succeeded in ((True, [True, False, False, False]), (False, [True, False, True, False])):
        answer = structured(await tools.call("bulk_fetch", urls=urls, save=save, retries=0))
        assert [one["ok"] for one in answer["results"]] == succeeded
        assert [one["artifact"] is not None for one in answer["results"]] == [save, False, False, False]


async def test_an_errors_status_is_an_error_with_a_short_excerpt(tools: Tools, server: Outside) -> None:
    result = await tools.call("http_get", url=server.url("/status/503"), retries=0)
    assert result.is_error
    assert text(result).startswith(f"HTTP 503 from 127.0.0.1:{server.port}: please come again")
    answer = structured(result)
    assert (answer["ok"], answer["error"]["code"], answer["error"]["retryable"]) == (False, "http_error", True)
    assert not structured(await tools.call("http_get", url=server.url("/status/404")))["error"]["retryable"]
    assert server.asked["/status/404"] == 1


@pytest.mark.slow
async def test_idempotent_requests_are_retried_and_retry_after_is_honoured(tools: Tools, server: Outside) -> None:
    began = time.monotonic()
    answer = await tools.get(server.url("/status/503?times=1&after=1"))
    assert (answer["status"], answer["timings"]["attempts"]) == (200, 2)
    assert time.monotonic() - began >= 1, "a Retry-After has whole seconds"
    for strange in ("%C2%B2", "1%20Jan%2099999999999999999999%2000:00:00%20GMT"):
        result = await tools.call("http_get", url=server.url(f"/status/503?times=1&after={strange}"), retries=0)
        assert structured(result)["status"] in (200, 503), "an unreadable Retry-After is ignored"
    answer = await tools.get(server.url("/status/429?after=3600"))
    assert (answer["status"], answer["timings"]["attempts"]) == (429, 1), "it would take longer than there is time"
    assert "Retry-After 3600" in answer["error"]["message"]
    with pytest.raises(FetchFailed, match="asked 3 times"):
        await tools.get(server.url("/cut"))
    assert server.asked["/cut"] == 3
    for method in ("POST", "PATCH"):
        result = await tools.call("call_api", method=method, url=server.url(f"/status/502?{method}"), retries=5)
        assert structured(result)["timings"]["attempts"] == 1
    assert (await tools.call("call_api", method="PUT", url=server.url("/status/504?times=1"))).is_error is False


@pytest.mark.slow
async def test_all_attempts_share_one_deadline(tools: Tools, server: Outside) -> None:
    async with Fetcher(allowed(read_seconds="0.5", total_seconds="10"), resolve=server.resolve) as fetcher:
        hasty = Tools(fetcher, tools.store, tools.services)
        with pytest.raises(FetchFailed):
            await hasty.get(server.url("/hang"), timeout_seconds=1, retries=5)
        assert server.asked["/hang"] < 6, "the deadline ends the attempts, of 0.5 s each, before the sixth"
        with pytest.raises(BadInput, match=r"at most 10 .*OFFLOOP_FETCH_TOTAL_SECONDS"):
            await hasty.get(server.url("/hang"), timeout_seconds=11)


async def test_an_unchanged_page_is_not_sent_again(tools: Tools, server: Outside) -> None:
    first = await tools.get(server.url("/etag"))
    result = await tools.call("http_get", url=server.url("/etag"), etag=first["headers"]["etag"])
    assert not result.is_error
    assert (structured(result)["status"], structured(result)["content"]) == (304, None)
    seen = (await tools.get(server.url("/echo"), if_modified_since="Fri, 20 Nov 2026 00:00:00 GMT"))["data"]
    assert seen["if-modified-since"] == "Fri, 20 Nov 2026 00:00:00 GMT"


async def test_redirects_are_listed(tools: Tools, server: Outside) -> None:
    answer = await tools.get(server.url("/redirect?to=/ok"))
    assert (answer["final_url"], answer["redirects"]) == (server.url("/ok"), [server.url("/redirect?to=/ok")])


async def test_an_api_is_called_with_json_or_another_body(tools: Tools, server: Outside) -> None:
    async def echoed(**arguments: Any) -> dict[str, Any]:
        result = await tools.call("call_api", url=server.url("/echo"), **arguments)
        return cast("dict[str, Any]", structured(result)["data"])

    seen = await echoed(method="POST", json={"a": "é"}, headers={"X-Mine": "1"})
    assert json.loads(seen[":body"].encode()) == {"a": "é"}
    assert (seen["content-type"], seen["x-mine"]) == ("application/json", "1")
    assert (await echoed(method="PUT", json=None))[":body"] == "null"
    assert (await echoed(method="POST", json='{"a": [1]}'))[":body"] == '{"a": [1]}'
    assert (await echoed(method="POST", json="[draft] title"))[":body"] == '"[draft] title"'
    assert (await echoed(method="POST", json=None, body="a=b"))[":body"] == "a=b"
    for method in ("GET", "DELETE", "OPTIONS"):
        assert "content-type" not in await echoed(method=method, json=None, body=None)
    assert (await echoed(method="PATCH", body="a=b", headers={"content-type": "text/x"}))["content-type"] == "text/x"
    assert "content-type" not in await echoed(method="DELETE")
    with pytest.raises(BadInput, match="not both"):
        await echoed(method="POST", json=1, body="1")
    head = structured(await tools.call("call_api", method="HEAD", url=server.url("/big?size=99999999")))
    assert (head["status"], head["size"], head["sha256"], head["content"]) == (200, None, None, None)


@pytest.mark.parametrize("bad", ["\ud800", float("nan"), float("inf"), {"a": [{"\udfff": 1}]}])
async def test_json_that_cannot_be_sent_is_a_bad_argument(tools: Tools, server: Outside, bad: Any) -> None:
    with pytest.raises(BadInput, match="json cannot be sent"):
        await tools.call("call_api", method="POST", url=server.url("/echo"), json=bad)
    with pytest.raises(BadInput, match="call_api was not run: body"):
        await tools.call("call_api", method="POST", url=server.url("/echo"), body="\ud800")
    assert not server.asked


async def test_only_headers_on_the_list_are_sent(tools: Tools, server: Outside) -> None:
    for name in ("Host", "X-Forwarded-For", "X-aws-ec2-metadata-token", "Metadata-Flavor", "Upgrade", "Via"):
        with pytest.raises(BadInput, match=name):
            await tools.get(server.url("/ok"), headers={name: "x"})
        with pytest.raises(BadInput, match=name):
            await tools.call("bulk_fetch", urls=[server.url("/ok")], headers={name: "x"})
    assert not server.asked


async def test_the_guard_is_the_tools_guard(tools: Tools) -> None:
    for url in ("http://169.254.169.254/latest/meta-data", "http://[::1]/", "http://10.0.0.1/", "file:///etc/passwd"):
        with pytest.raises(Refused):
            await tools.get(url)
    answer = structured(await tools.call("bulk_fetch", urls=["http://10.0.0.1/", "nonsense"]))
    assert [one["error"]["code"] for one in answer["results"]] == ["refused", "refused"]


@pytest.mark.slow
async def test_many_urls_from_many_callers_stay_within_the_limit_and_reuse_connections(
    tools: Tools, server: Outside
) -> None:
    """200 URLs for each of 5 concurrent callers: never more than the limit in flight, all answered, in order."""
    urls = [server.url(f"/item/{number}?delay=0.01") for number in range(200)]
    results = await asyncio.gather(*(tools.call("bulk_fetch", urls=urls, deadline_seconds=600) for _ in range(5)))
    for result in results:
        answer = structured(result)
        assert (answer["total"], answer["succeeded"]) == (200, 200)
        assert [one["url"] for one in answer["results"]] == urls
        assert all(f"/item/{number} says" in one["content"] for number, one in enumerate(answer["results"]))
    assert server.peak[""] == LIMIT
    attempts = [one["timings"]["attempts"] for result in results for one in structured(result)["results"]]
    assert 1000 == len(attempts) <= sum(server.asked.values()) <= sum(attempts)  # once each, unless it says so
    assert server.accepted <= LIMIT
    waited = [one["timings"]["waited_ms"] for one in structured(results[-1])["results"]]
    assert max(waited) > 0
    assert in_flight(tools.fetcher) == (0, 0)


async def test_each_host_has_a_limit_of_its_own(server: Outside) -> None:
    async with Fetcher(allowed(per_host="3"), resolve=server.resolve) as fetcher:

        async def ask(number: int) -> None:
            ask = OutboundRequest(server.url("/ok?delay=0.01", f"host{number % 2}.test"))
            await fetcher.send(ask, principal="alice")

        await asyncio.gather(*(ask(number) for number in range(60)))
    assert (server.peak["host0.test"], server.peak["host1.test"], server.peak[""]) == (3, 3, 6)


@pytest.mark.slow
async def test_waiting_for_a_permit_is_reported_and_does_not_count_as_time_of_the_request(server: Outside) -> None:
    async with Fetcher(allowed(concurrency="1", read_seconds="5"), resolve=server.resolve) as fetcher:
        asks = [
            fetcher.send(OutboundRequest(server.url("/ok?delay=0.1")), RetryPolicy(1.4, 0), principal="alice")
            for _ in range(17)
        ]
        answers = await asyncio.gather(*asks)
    assert server.peak[""] == 1
    assert max(answer.waited for answer in answers) >= 1.5
    assert all(answer.seconds < 1.4 for answer in answers)


async def test_permits_rotate_among_principals_so_one_request_does_not_wait_for_anothers_thousands(
    tools: Tools, server: Outside
) -> None:
    """Of those that wait, one of the other's goes first at most; as many as the limit may be on their way already."""
    urls = [server.url(f"/item/{number}?delay=0.05") for number in range(500)]
    async with asyncio.TaskGroup() as group:
        call = partial(tools.call, "bulk_fetch", principal="mallory", urls=urls)
        flood = [group.create_task(call()) for _ in range(5)]
        await comes(lambda: in_flight(tools.fetcher)[1] == 4 * LIMIT, "as many as it has lanes, less those in flight")
        before = len(server.order)
        assert (await tools.get(server.url("/mine")))["status"] == 200
        assert server.order.index("/mine") - before <= LIMIT + 1
        for one in flood:
            one.cancel()
    assert server.peak[""] == LIMIT
    assert in_flight(tools.fetcher) == (0, 0)


async def test_processes_that_convert_pages_rotate_among_principals(tools: Tools, server: Outside) -> None:
    done: list[str] = []

    async def read(principal: str, url: str) -> None:
        await tools.call("http_get", principal=principal, url=url)
        done.append(principal)

    async with asyncio.TaskGroup() as group:
        urls = [server.url(f"/as?type=text/html&body=<p>x&repeat=3000&{number}") for number in range(10)]
        flood = [group.create_task(read("mallory", url)) for url in urls]
        await comes(lambda: len(server.order) == 10 and not in_flight(tools.fetcher)[0], "all pages are there")
        before = len(done)
        await read("alice", server.url("/as?type=text/html&body=<p>x"))
        assert done.index("alice") - before <= 2 + 1 + 1, "two are being read, one is first, one ends beside hers"
        for one in flood:
            one.cancel()


async def test_a_redirect_waits_for_a_permit_of_the_host_it_leads_to(server: Outside) -> None:
    async with Fetcher(allowed(per_host="2"), resolve=server.resolve) as fetcher:
        to = server.url("/ok?delay=0.02", "target.test")
        url = "/redirect?to=" + to.replace("?", "%3F")
        urls = [server.url(url, f"from{number}.test") for number in range(8)]
        answers = await asyncio.gather(*(fetcher.send(OutboundRequest(url), principal="alice") for url in urls))
    assert {answer.url for answer in answers} == {to}
    assert server.peak["target.test"] == 2


async def test_equal_urls_are_asked_for_once(tools: Tools, server: Outside) -> None:
    urls = [server.url("/same"), server.url("/same#part"), server.url("/other"), server.url("/same")]
    answer = structured(await tools.call("bulk_fetch", urls=urls))
    assert [one["url"] for one in answer["results"]] == urls
    assert answer["succeeded"] == 4
    assert (server.asked["/same"], server.asked["/other"]) == (1, 1)


@pytest.mark.slow
async def test_bad_hosts_are_reported_in_time_without_hurting_the_others(tools: Tools, server: Outside) -> None:
    """Slow, failing, redirecting, endless, packed, silent and absent hosts beside forty good ones."""
    hung = {server.url("/hang", "hangs.test"): "timeout", server.url("/drip", "drips.test"): "timeout"}
    wrong = {
        server.url("/endless", "endless.test"): "too_large",
        server.url("/bomb", "bomb.test"): "too_large",
        server.url("/status/500", "fails.test"): "http_error",
        server.url("/cut", "cuts.test"): "fetch_failed",
        server.url("/redirect?to=http://10.0.0.1/", "redirects.test"): "refused",
        "http://127.0.0.1:1/": "connect_failed",
        "http://192.168.0.1/": "refused",
    }
    good = [server.url(f"/good/{number}", "good.test") for number in range(40)]
    bomb()  # is made once, which would block this loop beside the requests
    urls = [*hung, *wrong, *good]
    call = asyncio.ensure_future(tools.call("bulk_fetch", urls=urls, retries=0, deadline_seconds=PATIENCE))
    await comes(
        lambda: len(server.order) == len(hung) + 5 + len(good) and in_flight(tools.fetcher) == (len(hung), 0),
        "all are answered but those of the hosts that hang: none waits until these time out",
    )
    assert not call.done()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    slow, rest = await asyncio.gather(
        tools.call("bulk_fetch", urls=[*hung], retries=0, timeout_seconds=1),
        tools.call("bulk_fetch", urls=[*wrong, *good], retries=0),
    )
    assert _codes(slow) == hung
    assert _codes(rest) == wrong | dict.fromkeys(good)
    assert in_flight(tools.fetcher) == (0, 0)


def _codes(bulk: CallToolResult) -> dict[str, str | None]:
    """The code of each URL's error, None for an answer."""
    return {one["url"]: one["error"] and one["error"]["code"] for one in structured(bulk)["results"]}


@pytest.mark.parametrize("body", ["[" * 300 + "]" * 300, '"\\ud800"', '{"a": 1, "a": 2}'])
async def test_json_that_no_answer_can_carry_is_shown_as_text_and_spoils_no_other(
    tools: Tools, server: Outside, body: str
) -> None:
    """Too deep, half a character, a name that repeats."""
    strange, good = server.url(f"/as?type=application/json&body={quote(body)}"), server.url("/ok")
    answer = structured(await tools.call("bulk_fetch", urls=[strange, good]))
    assert [one["ok"] for one in answer["results"]] == [True, True]
    assert (answer["results"][0]["data"], answer["results"][0]["content"]) == (None, body)
    json.dumps(answer, ensure_ascii=False, allow_nan=False).encode()
    with pytest.raises(FetchFailed, match="is not JSON"):
        await tools.get(strange, extract="json")


@pytest.mark.slow
async def test_urls_unfinished_at_the_deadline_are_reported_and_the_rest_is_answered(
    tools: Tools, server: Outside
) -> None:
    urls = [server.url("/ok"), server.url("/status/503?after=5", "slow.test"), server.url("/fine")]
    answer = structured(await tools.call("bulk_fetch", urls=urls, deadline_seconds=1.5))
    assert [one["ok"] for one in answer["results"]] == [True, False, True]
    assert "deadline_seconds=1.5" in answer["results"][1]["error"]["message"]
    assert answer["total_ms"] < 5000, "the pause that the host asks for"


async def test_a_bulk_answer_has_a_size_that_can_be_sent(tools: Tools, server: Outside) -> None:
    with pytest.raises(BadInput, match="max_chars may be at most 4000"):
        await tools.call("bulk_fetch", urls=[server.url(f"/{n}") for n in range(500)], max_chars=50_000)


CUT: dict[str, Callable[[Tools, Outside], Awaitable[Any]]] = {
    "silent": lambda tools, server: tools.get(server.url("/hang")),
    "endless": lambda tools, server: tools.get(server.url("/drip"), save=True),
    "bulk": lambda tools, server: tools.call("bulk_fetch", urls=[server.url(f"/hang?{n}") for n in range(50)]),
    "waiting to try again": lambda tools, server: tools.get(server.url("/status/503?after=5")),
    "converting": lambda tools, server: tools.get(server.url("/as?type=text/html&body=<p>x&repeat=400000")),
}


@pytest.mark.parametrize("phase", CUT)
async def test_a_call_that_is_cut_leaves_no_task_connection_or_permit(
    phase: str, tools: Tools, server: Outside
) -> None:
    """The temporary folder and the processes are looked at after each test of this repository."""
    before = asyncio.all_tasks()
    call = asyncio.ensure_future(CUT[phase](tools, server))
    await asyncio.wait_for(server.begun.wait(), 30)
    await asyncio.sleep(0.05)  # somewhere inside the phase, which lasts for seconds
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert in_flight(tools.fetcher) == (0, 0)
    await comes(lambda: server.open == idle(tools.fetcher), "no connection is open but those that can be used again")
    async with asyncio.timeout(30):
        while left := {task for task in asyncio.all_tasks() - before if "Outside" not in repr(task.get_coro())}:
            await asyncio.wait(left, timeout=0.1)


async def test_the_client_is_closed_with_the_server(server: Outside) -> None:
    async with Fetcher(allowed()) as fetcher:
        answered = await fetcher.send(OutboundRequest(server.url("/ok")), principal="alice")
        assert (answered.status, server.open) == (200, 1)
    await asyncio.wait_for(server.emptied.wait(), 30)
