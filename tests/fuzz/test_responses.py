"""Responses of outside hosts: headers, names, charsets, JSON and pages."""

from __future__ import annotations

import asyncio
import codecs
import json
from dataclasses import replace
from typing import Any, Literal

from hypothesis import example, given
from hypothesis import strategies as st
from multidict import CIMultiDict

from offloop.charsets.media import reads_as_text
from offloop.charsets.text import Text, decoded
from offloop.errors import BadInput, FetchFailed
from offloop.outbound import fetch, heads
from offloop.outbound.fetch import OutboundResponse
from offloop.outbound.redirects import OutboundRequest
from offloop.paths import MAX_NAME
from offloop_server.io.exact_json import MAX_DEPTH, too_deep
from offloop_server.io.http import request
from offloop_server.io.http.answers import described, result
from offloop_server.io.http.converters import Converted, Source
from offloop_server.io.http.pages import read
from support.fuzzing import check_refusal

_header = st.one_of(
    st.text(st.characters(exclude_characters="\r\n\0", codec="utf-8"), max_size=80),
    st.binary(max_size=60).map(lambda raw: raw.decode("utf-8", "surrogateescape")),  # as aiohttp decodes it
)
_charsets = st.sampled_from(
    ["utf-8", "UTF8", "utf-16", "utf-7", "idna", "punycode", "rot13", "unicode_escape", "latin-1", "iso-8859-99",
     "cp037",
     "gb18030", "shift_jis", "utf-32-le", "zlib", "hex", "windows-1252", "x" * 50, "", "mbcs", "cp65001", "mac",
     "big5"]
)  # fmt: skip
_types = st.sampled_from(
    ["text/html", "application/json", "text/plain", "application/octet-stream", "a/b+json", "image/png"]
)
content_types = st.one_of(
    _header,
    st.tuples(_types, _charsets).map("; charset=".join),
    st.tuples(_types, _charsets).map('; CHARSET = "'.join),
)
_json_text = st.one_of(
    st.lists(
        st.sampled_from(["[", "]", "{", "}", ",", '"a"', ":", "1", "1e999", "NaN", "-Infinity", '"\\ud800"', "9" * 50])
    ).map("".join),
    st.recursive(
        st.one_of(st.none(), st.integers(), st.floats(), st.text()), lambda inner: st.lists(inner, max_size=3)
    ).map(json.dumps),
)
_html = st.lists(st.sampled_from(["<p>", "</p>", "<table><tr><td>", "<!--", "-->", "<script>", "<a href='x'>",
"&#x110000;", "<![CDATA[",
     "<!DOCTYPE", "text", "<meta charset=utf-7>", "\0", "<li>" * 9, "<?x", "&#xd800;", "<title>", "</title>",
     "<![if", "<![x", "<pre>"])).map("".join)  # fmt: skip
bodies = st.one_of(
    st.binary(max_size=200),
    _json_text.map(str.encode),
    _html.map(str.encode),
    st.text().map(lambda text: text.encode("utf-16")),
)


class Answer:
    """The part of aiohttp's response that is read."""

    def __init__(self, headers: dict[str, str]) -> None:
        self.headers = CIMultiDict(headers)


def response(body: bytes, status: int = 200, **headers: str) -> OutboundResponse:
    """A response with these headers."""
    raw: Any = Answer({name.replace("_", "-"): value for name, value in headers.items()})
    read = fetch._Body(len(body), "0" * 64, body[:2000])
    return replace(
        fetch._described(status, heads.headers_of(raw), read, OutboundRequest("https://a/b"), ["https://a/b"]),
        body=body,
    )


async def _decode(got: OutboundResponse) -> Text:
    return decoded(got.body, got.mime_type, got.charset)


async def _unchanged(source: Source) -> Converted:
    return Converted(source.content.decode())


_extracts = st.sampled_from(["auto", "markdown", "text", "json", "raw"])


@given(bodies, content_types, _extracts, st.integers(0, 50), st.integers(1, 100))
@example(b"[" * 50_000, "application/json", "auto", 0, 100_000)
@example(b'{"a": 1e400}', "application/json", "json", 0, 100)
@example(codecs.BOM_UTF16_LE + b"\0", "text/plain", "auto", 0, 10)
def test_any_body_is_read_or_refused_and_can_be_answered(
    body: bytes, content_type: str, extract: str, offset: int, most: int
) -> None:
    got = response(body, content_type=content_type)
    try:
        page = asyncio.run(read(got, extract, _decode, _unchanged, span=(offset, most)))
    except (FetchFailed, BadInput) as error:
        check_refusal(error, most=1000)
        return
    assert len(page.text) <= most or page.form == "json"
    answer = result(described("https://a/b", got, page), page)
    answer.model_dump_json()


@given(bodies, st.integers(100, 599), _header, _header)
def test_any_response_can_be_described(body: bytes, status: int, content_type: str, other: str) -> None:
    got = response(body, status, content_type=content_type, retry_after=other, etag=other)
    answer = result(described("https://a/b", got, None), None)
    answer.model_dump_json()
    assert len(got.refusal().message) < 1000
    assert got.mime_type.isascii()
    assert got.mime_type.isprintable()


@given(st.text(max_size=60), st.sampled_from(["utf-8", "utf-16", "latin-1", "gb18030"]), st.integers(1, 20))
def test_a_text_is_read_whole_in_parts(text: str, charset: str, most: int) -> None:
    body = text.encode(charset, "replace")
    got = response(body, content_type=f"text/plain; charset={charset}")
    expected = decoded(body, "text/plain", charset).text if reads_as_text("text/plain", body) else ""
    parts: list[str] = []
    offset: int | None = 0
    while offset is not None and body:
        page = asyncio.run(read(got, "raw", _decode, _unchanged, span=(offset, most)))
        parts.append(page.text)
        offset = page.next_offset
    assert "".join(parts) == (expected if body else "")


_dispositions = st.one_of(
    _header,
    _header.map("attachment; filename=".__add__),
    _header.map("attachment; filename*=UTF-8''".__add__),
    _header.map('attachment; filename="'.__add__),
)


@given(_dispositions)
@example("attachment; filename*=utf-8''..%2f..%2fetc%2fpasswd")
@example('attachment; filename="../../x"')
@example("attachment; filename*=utf-8''%ff%fe")
@example("attachment; filename==?utf-8?B?Li4vLi4veA==?= =?q?Q?=2F?=")
@example("attachment; filename==?utf-8?B?0?=")
def test_a_name_of_a_host_is_safe(disposition: str) -> None:
    name = request.saved_name(response(b"x", content_disposition=disposition))
    assert 1 <= len(name) <= MAX_NAME
    assert "/" not in name
    name.encode()


@given(st.integers(1, 2 * MAX_DEPTH), st.sampled_from(["list", "object"]))
def test_the_depth_of_a_value_is_measured(depth: int, how: Literal["list", "object"]) -> None:
    value: Any = 1
    for _ in range(depth):
        value = [value] if how == "list" else {"a": value}
    assert too_deep(value) == (depth > MAX_DEPTH)
