"""Bodies as a model reads them: JSON parsed, pages as Markdown, text decoded and paged, anything else described."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from offloop.charsets.media import is_html, is_json, is_text, is_xml, reads_as_text, sniffed
from offloop.charsets.text import HEAD, Text
from offloop.errors import BadInput, FetchFailed
from offloop.outbound.fetch import OutboundResponse
from offloop_server.io.exact_json import parsed
from offloop_server.io.http.converters import MAX_HTML, Converted, Source

Decode = Callable[[OutboundResponse], Awaitable[Text]]
"""Decoder of bodies."""
Convert = Callable[[Source], Awaitable[Converted]]
"""Converter: a page to its readable part."""
_XML_PAGE: Final = re.compile(r"<(?:[\w.-]{1,40}:)?(?:html|rss|feed|RDF)[\s>]")
"""The first element of XML that is a page or a feed."""


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
        refresh: where a page sends browsers, and after how many seconds; None where it does not.
    """

    form: str
    data: Any = None
    text: str = ""
    next_offset: int | None = None
    length: int = 0
    notes: tuple[str, ...] = ()
    refresh: tuple[float, str] | None = None


async def read(
    response: OutboundResponse, extract: str, decode: Decode, convert: Convert, *, span: tuple[int, int]
) -> Page:
    """Read a body.

    Args:
        response: has the body, and its type as declared.
        extract: auto, markdown, text, json or raw.
        decode: makes text of bytes.
        convert: makes text of HTML, and of feeds.
        span: the first character, and how many at most.

    Raises:
        FetchFailed: it is not what `extract` asks for.
        BadInput: the first character is beyond the end.
    """
    body = response.body
    mime_type = sniffed(response.mime_type, body[:HEAD])
    if mime_type != response.mime_type:
        response = replace(response, mime_type=mime_type)
    form = _form(response.mime_type, body)
    if form == "binary":
        if extract == "json":
            raise _no_json(response, f"it is {response.mime_type}")
        what = (
            f"declared as {response.mime_type}, and is no text" if is_text(response.mime_type) else response.mime_type
        )
        note = f"It is {what}, {response.size} bytes; save=true keeps it as a file."
        return Page("binary", notes=(note,) if body else ())
    decoded = await decode(response)
    text, notes = decoded.text, decoded.notes
    if extract == "json" or (form == "json" and extract == "auto"):
        return _json(response, text, span, notes, demanded=extract == "json")
    kind = _page_kind(response.mime_type, text) if extract in ("auto", "markdown", "text") else None
    if kind:
        content = text.encode("utf-8", "replace")
        if len(content) > MAX_HTML:
            notes = (*notes, f"Only the first {MAX_HTML >> 20} MiB of the page were read; save=true keeps all of it.")
        source = Source(content[:MAX_HTML], "text" if extract == "text" else "markdown", kind, response.url)
        found = await convert(source)
        # XML without a readable part, such as a feed that has only a title, is shown as it is.
        if found.text or (found.text is not None and kind == "html"):
            # What a page that sends browsers elsewhere says itself may be shorter than the part that is asked for.
            if found.refresh and span[0] >= len(found.text):
                return Page(source.to, length=len(found.text), notes=(*notes, *found.notes), refresh=found.refresh)
            return replace(_part(source.to, found.text, span, *notes, *found.notes), refresh=found.refresh)
    return _part("text", text, span, *notes)


def _json(
    response: OutboundResponse, text: str, span: tuple[int, int], notes: tuple[str, ...], *, demanded: bool
) -> Page:
    """Parse a JSON body if it fits into one part: parsing blocks the loop, and a larger one is answered as text."""
    if span[0] or len(text) > span[1]:
        why = "It does not fit into max_chars, so it was not parsed; it is given in parts."
        return _part("json", text, span, why, *notes)
    as_text: list[str] = []
    try:
        return Page("json", parsed(text, as_text), text, None, len(text), (*notes, *_rounded(as_text)))
    except ValueError as error:
        if demanded:
            raise _no_json(response, str(error)[:200]) from None
        why = f"It is declared as JSON, and cannot be passed on parsed: {str(error)[:200]}."
    return _part("text", text, span, why, *notes)


def _rounded(numbers: list[str]) -> list[str]:
    """A note about numbers that JSON readers would round, which are text in the answer."""
    if not numbers:
        return []
    count = "1 number is" if len(numbers) == 1 else f"{len(numbers)} numbers are"
    return [f"{count} text in data, such as {numbers[0][:40]}: a double would round it."]


def _part(form: str, text: str, span: tuple[int, int], *notes: str) -> Page:
    offset, most = span
    if offset and offset >= len(text):
        message = f"offset {offset} is beyond the end: the text has {len(text)} characters."
        raise BadInput(message)
    end = min(len(text), offset + most)
    return Page(form, None, text[offset:end], end if end < len(text) else None, len(text), notes)


def _page_kind(mime_type: str, text: str) -> Literal["html", "xml"] | None:
    """The syntax of a page or a feed; None for anything else."""
    if mime_type == "text/html":
        return "html"
    if is_html(mime_type) or (is_xml(mime_type) and _XML_PAGE.search(text, 0, HEAD)):
        return "xml"
    return None


def _form(mime_type: str, body: bytes) -> str:
    if is_json(mime_type):
        return "json"
    if is_html(mime_type):
        return "html"
    # Servers declare other types, or none, for text; a body that is text by its bytes is read as text.
    return "text" if reads_as_text(mime_type, body[:HEAD]) else "binary"


def _no_json(response: OutboundResponse, why: str) -> FetchFailed:
    host = response.url.split("/")[2]
    message = f"The answer of {host} is not JSON ({why}). Call again with extract=auto or raw to see it."
    return FetchFailed(message, code="bad_answer", retryable=False)
