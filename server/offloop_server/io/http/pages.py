"""Bodies as a model reads them: JSON parsed, pages as Markdown, text decoded and paged, anything else described."""

from __future__ import annotations

import codecs
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from offloop.errors import BadInput, FetchFailed
from offloop.outbound.fetch import OutboundResponse
from offloop_server.io.exact_json import parsed
from offloop_server.io.http.converters import MAX_HTML

_JSON: Final = re.compile(r"(application|text)/(.+\+)?json")
_HTML: Final = frozenset({"text/html", "application/xhtml+xml"})
_TEXT: Final = re.compile(r"text/.+|application/(.+\+xml|xml|yaml|x-yaml|toml|javascript|x-ndjson|jsonl|sql|graphql)")
_CHARSET: Final = re.compile(
    r"utf-?8|us-ascii|ascii|utf-?16(-?[lb]e)?|utf-?32(-?[lb]e)?|iso-?8859-?\d+|latin-?1|(windows|cp)-?\d+|koi8-[ru]|"
    r"shift[_-]?jis|euc-(jp|kr)|gb(k|2312|18030)|big5|mac(intosh|-roman)"
)
_META: Final = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)
_MARKS: Final = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_HEAD: Final = 2048

Convert = Callable[[bytes, Literal["markdown", "text"]], Awaitable[str]]
"""Converter: a page in UTF-8 to its readable part."""


@dataclass(frozen=True, slots=True)
class Page:
    """Content of a body, or of a part of it.

    Attributes:
        form: ``json``, ``markdown``, ``text``, or ``binary`` where the body is neither.
        data: the parsed JSON, where it was parsed.
        text: this part of the text.
        next_offset: offset of the next part; None at the end.
        length: characters of the whole text.
        notes: sentences about what was left out.
    """

    form: str
    data: Any = None
    text: str = ""
    next_offset: int | None = None
    length: int = 0
    notes: tuple[str, ...] = ()


async def read(response: OutboundResponse, extract: str, convert: Convert, *, span: tuple[int, int]) -> Page:
    """Read a body.

    Args:
        response: has the body, and its type as declared.
        extract: auto, markdown, text, json or raw.
        convert: makes text of HTML.
        span: the first character, and how many at most.

    Raises:
        FetchFailed: it is not what `extract` asks for.
        BadInput: the first character is beyond the end.
    """
    body = response.body
    form = _form(response.mime_type, body)
    if form == "binary":
        if extract == "json":
            raise _no_json(response, f"it is {response.mime_type}")
        note = f"It is {response.mime_type}, {response.size} bytes; save=true keeps it as a file."
        return Page("binary", notes=(note,) if body else ())
    text = _decoded(body, response.charset, html=form == "html")
    if extract == "json" or (form == "json" and extract == "auto"):
        return _json(response, text, span, demanded=extract == "json")
    if form == "html" and extract in ("auto", "markdown", "text"):
        to: Literal["markdown", "text"] = "text" if extract == "text" else "markdown"
        html = text.encode("utf-8", "replace")
        note = f"Only the first {MAX_HTML >> 20} MiB of the page were read; save=true keeps all of it."
        text = await convert(html[:MAX_HTML], to)
        return _part(to, text, span, *([note] if len(html) > MAX_HTML else []))
    return _part("text", text, span)


def _json(response: OutboundResponse, text: str, span: tuple[int, int], *, demanded: bool) -> Page:
    """Parse a JSON body if it fits into one part: parsing blocks the loop, and a larger one is answered as text."""
    if span[0] or len(text) > span[1]:
        return _part("json", text, span, "It does not fit into max_chars, so it was not parsed; it is given in parts.")
    try:
        return Page("json", parsed(text), text, None, len(text))
    except ValueError as error:
        if demanded:
            raise _no_json(response, str(error)[:200]) from None
        why = f"It is declared as JSON, and cannot be passed on parsed: {str(error)[:200]}."
    return _part("text", text, span, why)


def _part(form: str, text: str, span: tuple[int, int], *notes: str) -> Page:
    offset, most = span
    if offset and offset >= len(text):
        message = f"offset {offset} is beyond the end: the text has {len(text)} characters."
        raise BadInput(message)
    end = min(len(text), offset + most)
    return Page(form, None, text[offset:end], end if end < len(text) else None, len(text), notes)


def _form(mime_type: str, body: bytes) -> str:
    if _JSON.fullmatch(mime_type):
        return "json"
    if mime_type in _HTML:
        return "html"
    if _TEXT.fullmatch(mime_type):
        return "text"
    # Servers declare octet-stream for unknown files; a body that is valid text is read as text.
    unknown = mime_type in ("application/octet-stream", "application/unknown", "binary/octet-stream")
    return "text" if unknown and body and _is_text(body[:_HEAD]) else "binary"


def _is_text(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return b"\0" not in head


def _decoded(body: bytes, declared: str, *, html: bool) -> str:
    """The text, in the charset of its mark, of its header, or of the page's head; else UTF-8."""
    charset = next((name for mark, name in _MARKS if body.startswith(mark)), declared)
    if not charset and html and (found := _META.search(body[:_HEAD])):
        charset = found[1].decode().lower()
    if charset != "utf-8-sig" and not _CHARSET.fullmatch(charset):
        charset = "utf-8"  # other codecs of Python are not charsets, or are very slow
    try:
        return body.decode(charset, "replace")
    except LookupError:
        return body.decode("utf-8", "replace")


def _no_json(response: OutboundResponse, why: str) -> FetchFailed:
    host = response.url.split("/")[2]
    message = f"The answer of {host} is not JSON ({why}). Call again with extract=auto or raw to see it."
    return FetchFailed(message, code="bad_answer", retryable=False)
