"""Heads of responses: headers as text, media type and charset, and the packing of the body."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from offloop.charsets.media import is_text
from offloop.outbound.redirects import MAX_VALUE

PASSED_ON: Final = (
    "cache-control", "content-disposition", "content-language", "content-length", "content-range", "content-type",
    "date", "etag", "expires", "last-modified", "link", "location", "retry-after", "vary", "x-request-id",
)  # fmt: skip
"""Headers of a response that are passed on; never cookies."""
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_MIME: Final = re.compile(r"\s*([a-z0-9!#$&^_.+-]{1,100}/[a-z0-9!#$&^_.+-]{1,100})(?:[;,\s]|$)", re.IGNORECASE)
_CHARSET: Final = re.compile(r"(?:^|[;\s])charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
_GZIP_TYPES: Final = frozenset(
    {"application/gzip", "application/x-gzip", "application/x-gtar-compressed", "application/x-tgz"}
)
_SINGLE: Final = frozenset({"content-type", "location"})


def headers_of(response: aiohttp.ClientResponse) -> dict[str, str]:
    """Headers by name in lower case; equal ones are joined, as the protocol joins them, where they are lists."""
    joined: dict[str, str] = {}
    for mixed, value in response.headers.items():
        name = mixed.lower()
        if name in _SINGLE and name in joined:
            continue
        joined[name] = f"{joined[name]}, {_text(value)}" if name in joined else _text(value)
    return joined


def _text(value: str) -> str:
    """A header's value: UTF-8, or else Latin-1, with a space for each control character (RFC 9110, section 5.5).

    aiohttp decodes other bytes than UTF-8 to lone surrogates, and lets control characters pass.
    """
    if value.isprintable():  # neither surrogates nor control characters are
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        value = value.encode("utf-8", "surrogateescape").decode("latin-1")
    return _CONTROL.sub(" ", value)


def passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that are passed on, of bounded length."""
    return {name: headers[name][:MAX_VALUE] for name in PASSED_ON if name in headers}


def declared_type(headers: Mapping[str, str]) -> tuple[str, str]:
    """Media type without parameters, and charset, ``""`` for none.

    Servers also send several types in one header, and leave out the semicolon.
    """
    value = headers.get("content-type", "")
    mime_type, charset = _MIME.match(value), _CHARSET.search(value)
    return mime_type[1].lower() if mime_type else "application/octet-stream", charset[1].lower() if charset else ""


def is_packed_file(url: str) -> bool:
    """Whether a URL names a file that is packed with gzip, so that its transfer should not be."""
    return "gz" in url.lower() and urlsplit(url).path.lower().endswith((".gz", ".tgz"))


def packing(response: aiohttp.ClientResponse, headers: dict[str, str]) -> str:
    """Content coding of the body. A gzip file that is declared as packed with gzip is the file itself, as in browsers.

    Such a file has a type of gzip, or a name of gzip and no type of text: servers declare a ``.tar.gz`` as a tar.
    """
    coding = headers.get("content-encoding", "")
    if not coding or response.method == "HEAD":
        return ""
    mime_type, _ = declared_type(headers)
    gzip_file = mime_type in _GZIP_TYPES or (is_packed_file(str(response.url)) and not is_text(mime_type))
    return "" if gzip_file and coding.strip().lower() in ("gzip", "x-gzip") else coding
