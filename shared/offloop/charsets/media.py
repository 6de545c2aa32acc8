"""Media types of text: which files are read as text, and which declarations of a charset they may have."""

from __future__ import annotations

import re
from typing import Final

from offloop.charsets.declarations import TEXT_BYTES, marked, wide
from offloop.charsets.decoders import Decoder

_JSON: Final = re.compile(r"(application|text)/(x-)?json|.+/.+\+json|application/(jsonc|json5|manifest)")
_HTML: Final = frozenset({"text/html", "application/xhtml+xml"})
_XML: Final = re.compile(r"(application|text)/(xml|xml-dtd|xslt|xml-external-parsed-entity)|.+/.+\+xml")
_TEXT: Final = re.compile(
    r"text/.+|message/.+|.+/.+\+(yaml|json-seq)|application/(x-)?(yaml|toml|javascript|ecmascript|typescript|sh|csh|"
    r"sql|csv|ndjson|jsonl|jsonlines|json-seq|graphql|tex|latex|perl|python|ruby|php|httpd-php|subrip|mpegurl|"
    r"www-form-urlencoded|gettext-translation|pem-file)|application/vnd\.apple\.mpegurl|audio/(x-)?mpegurl"
)
"""Types whose files are text in any charset; a file of another type is text where its bytes are."""
_BINARY: Final = re.compile(r"(image|audio|video|font)/.+|application/(pdf|zip|gzip|zstd|x-7z-compressed|wasm)")
_UNKNOWN: Final = frozenset(
    {"", "application/octet-stream", "application/unknown", "binary/octet-stream", "unknown/unknown"}
)
_BLANKS: Final = b"\t\n\f\r "
_PAGE: Final = re.compile(
    rb"[\t\n\f\r ]*<(?:!doctype html|html|head|body|title|meta|h1|table|script)[\s>]", re.IGNORECASE
)
_LONG: Final = 512
_DAMAGED: Final = 20
"""Bytes of a text for each binary one in it; of files that are packed or compiled one of ten is."""
_SEPARATORS: Final = 3
"""Kinds of binary bytes that a text may have many of, as NUL after each name, or U+0001 after each field."""
_HIGH: Final = bytes(range(0x80, 0x100))


def bare(mime_type: str) -> str:
    """A media type without parameters, in lower case."""
    return mime_type.partition(";")[0].strip().lower()


def is_json(mime_type: str) -> bool:
    """Whether a file of this type is one JSON text."""
    return _JSON.fullmatch(bare(mime_type)) is not None


def is_html(mime_type: str) -> bool:
    """Whether a file of this type is a page."""
    return bare(mime_type) in _HTML


def is_xml(mime_type: str) -> bool:
    """Whether a file of this type is XML; SVG, feeds and XHTML are."""
    return _XML.fullmatch(bare(mime_type)) is not None


def is_css(mime_type: str) -> bool:
    """Whether a file of this type is a style sheet."""
    return bare(mime_type) == "text/css"


def sniffed(mime_type: str, head: bytes) -> str:
    """The type of a file; where it is declared as unknown, HTML or XML is told by how it begins."""
    if bare(mime_type) not in _UNKNOWN:
        return mime_type
    if _PAGE.match(head):
        return "text/html"
    return "text/xml" if head.lstrip(_BLANKS).startswith(b"<?xml") else mime_type


def is_text(mime_type: str) -> bool:
    """Whether a file of this type is text, JSON and XML included."""
    return _TEXT.fullmatch(bare(mime_type)) is not None or is_json(mime_type) or is_xml(mime_type)


def reads_as_text(mime_type: str, head: bytes) -> bool:
    """Whether a file is text, by its type and its beginning: servers declare files of unknown types as text."""
    return (is_text(mime_type) and not _is_binary(head)) or looks_like_text(mime_type, head)


def _is_binary(head: bytes) -> bool:
    """Whether a file is no text in any charset: many bytes are binary ones, and of more kinds than separators are."""
    binary = head.translate(None, TEXT_BYTES)
    return (
        len(binary) * _DAMAGED > len(head) and len(set(binary)) > _SEPARATORS and not marked(head)[0] and not wide(head)
    )


def looks_like_text(mime_type: str, head: bytes) -> bool:
    """Whether a file of a type that is not known as text is one: by its mark, or by the lack of binary bytes.

    A short file must be UTF-8 or mostly ASCII as well: a key or digest may have no binary byte by chance.
    """
    if not head or _BINARY.fullmatch(bare(mime_type)):
        return False
    charset, length = marked(head)
    if charset.startswith(("utf-16", "utf-32")):
        decoder = Decoder(charset)
        return "\0" not in decoder.feed(head[length:]) and not decoder.replaced
    if head.translate(None, TEXT_BYTES):
        return False
    return is_utf8(head, whole=False) or len(head) >= _LONG or 2 * len(head.translate(None, _HIGH)) > len(head)


def is_utf8(data: bytes, *, whole: bool) -> bool:
    """Whether the bytes are UTF-8; unless they are the whole text, the last character may be incomplete."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return not whole and error.reason == "unexpected end of data" and error.end == len(data)
    return True
