"""Text of a foreign file: its charset by mark, declaration or content, its characters, and what was lost.

The order is that of the standards. A byte order mark goes before the declaration of the transport, and that before the
file's own: ``<meta>`` or XML declaration in HTML (HTML standard), the XML declaration (XML 1.0, appendix F),
``@charset`` (CSS Syntax). JSON is UTF-8 (RFC 8259); UTF-16 and a mark are tolerated. Where nothing is declared, the
text is UTF-8 if it is valid as such; else the charset is guessed, and a note names it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from offloop.charsets import declarations
from offloop.charsets.declarations import TEXT_BYTES, wide
from offloop.charsets.decoders import PAIRS, REPLACEMENT, Decoder, decode, unit
from offloop.charsets.detection import guessed, in_utf8, is_stateful, telling
from offloop.charsets.labels import charset_named
from offloop.charsets.media import is_css, is_html, is_json, is_utf8, is_xml

HEAD: Final = 64 << 10
"""Bytes at the beginning of a file that decide about its charset."""

_MANY: Final = 3
"""Broken sequences from which on another charset is looked for, as a hint."""

Origin = Literal["mark", "declared", "content", "valid", "guess"]


@dataclass(frozen=True, slots=True)
class Charset:
    """The charset of a file.

    Attributes:
        name: in the standard, in lower case.
        origin: byte order mark, declaration, content of JSON, valid UTF-8, or a guess.
        mark: bytes of its byte order mark.
        unknown: a declared label that is not known; ``""`` where there is none.
        likely: charset that the bytes show beyond doubt, where another one is declared; ``""`` for none.
    """

    name: str
    origin: Origin
    mark: int = 0
    unknown: str = ""
    likely: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """A decoded file.

    Attributes:
        text: without its byte order mark.
        charset: its charset.
        replaced: byte sequences that did not decode, and are U+FFFD in the text.
    """

    text: str
    charset: Charset
    replaced: int = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about what was guessed or lost."""
        return notes(self.charset, self.replaced)


def notes(charset: Charset, replaced: int) -> tuple[str, ...]:
    """Sentences about a guessed, unknown or wrong charset, and about bytes that did not decode."""
    said: list[str] = []
    if charset.unknown:
        said.append(f"The declared charset {charset.unknown!r} is not known.")
    if charset.origin == "guess":
        said.append(f"No usable charset is declared: the text was read as {charset.name}, a guess by its content.")
    if charset.name == "replacement":
        said.append("Its charset is one that no browser reads (such as iso-2022-kr), so the text is left out.")
    elif replaced:
        sequences = "1 byte sequence is" if replaced == 1 else f"{replaced} byte sequences are"
        said.append(f"{sequences} no {charset.name}, replaced by {REPLACEMENT!r}.")
    if charset.likely:
        said.append(f"The text was read as {charset.name}, as declared, and its bytes look like {charset.likely}.")
    return tuple(said)


def charset_of(head: bytes, mime_type: str = "", declared: str = "", *, whole: bool = False) -> Charset:
    """The charset of a file.

    Args:
        head: its beginning, `HEAD` bytes or all of it.
        mime_type: which declarations it may have.
        declared: the label that came with it, such as the charset of ``Content-Type``.
        whole: whether `head` is all of it, so that its last character must be complete.
    """
    name, length = declarations.marked(head)
    if name:
        return Charset(name, "mark", length)
    known = charset_named(declared) if declared else None
    unknown = "" if known else declared
    seen, valid = wide(head), is_utf8(head, whole=whole)
    if is_json(mime_type) and (seen or valid):
        return Charset(seen or "utf-8", "content", 0, unknown)
    own = "" if known else _own(head, mime_type)
    if found := known or charset_named(own):
        return Charset(found, "declared", 0, unknown, _evident(head, found))
    if valid and not seen and not is_stateful(head):
        return Charset("utf-8", "valid", 0, unknown or own)
    return Charset(seen or guessed(head), "guess", 0, unknown or own)


def decoded(data: bytes, mime_type: str = "", declared: str = "") -> Text:
    """Decode a whole file, in time linear in its bytes; away from the event loop, unless it is small.

    Args:
        data: its bytes.
        mime_type: which declarations it may have.
        declared: the label that came with it.
    """
    charset = charset_of(data[:HEAD], mime_type, declared, whole=len(data) <= HEAD)
    body = data[charset.mark :]
    # ASCII at first decides nothing. Where the beginning is UTF-8, broken bytes further on do not change that.
    ascii_head = charset.origin == "valid" and data[:HEAD].isascii()
    if ascii_head and (not is_utf8(data, whole=True) or is_stateful(data)):
        charset = Charset(guessed(data), "guess", 0, charset.unknown)
    text, replaced = decode(body, charset.name)
    if charset.origin == "declared" and not charset.likely:
        likely = _evident(data, charset.name) if len(data) > HEAD else ""
        charset = replace(charset, likely=likely or (_better(data[:HEAD], charset.name) if replaced >= _MANY else ""))
    return Text(text, charset, replaced)


def excerpt(head: bytes, mime_type: str = "", declared: str = "") -> str:
    """The text of the beginning of a file, without an incomplete last character."""
    charset = charset_of(head, mime_type, declared)
    return Decoder(charset.name).feed(head[charset.mark :])


def _own(head: bytes, mime_type: str) -> str:
    """The label that the file itself declares."""
    if is_html(mime_type):
        return declarations.in_html(head[: declarations.PRESCAN]) or declarations.in_html(head)
    if is_xml(mime_type):
        return declarations.in_xml(head)
    return declarations.in_css(head) if is_css(mime_type) else ""


def _evident(data: bytes, declared: str) -> str:
    """UTF-8 or a wide charset, where bytes are that beyond doubt and not the declared one; ``""`` for none."""
    no_other = declared == "utf-8" or data.isascii()
    if declared == "replacement" or (no_other and unit(declared) == 1 and b"\0" not in data):
        return ""
    sample = telling(data)
    if seen := wide(sample):
        return seen if seen != declared else ""
    if unit(declared) > 1:
        plain = sample and is_utf8(sample, whole=False) and not sample.translate(None, TEXT_BYTES)
        return "utf-8" if plain else ""
    if no_other:
        return ""
    characters, broken = in_utf8(sample, final=False)
    return "utf-8" if not broken and characters >= (_MANY if declared in PAIRS else 1) else ""


def _better(head: bytes, declared: str) -> str:
    """Another charset in which the beginning decodes without loss, as a hint."""
    likely = guessed(head)
    return likely if likely != declared and not decode(head, likely)[1] else ""
