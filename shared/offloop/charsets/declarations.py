"""Declarations of a charset inside a file: byte order marks, ``<meta>`` and XML declarations, ``@charset`` of CSS.

The prescan of HTML is the one of the HTML standard
(https://html.spec.whatwg.org/multipage/parsing.html#prescan-a-byte-stream-to-determine-its-encoding).
"""

from __future__ import annotations

import codecs
import re
from typing import Final

from offloop.charsets.labels import charset_named

MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16le"),
    (codecs.BOM_UTF16_BE, "utf-16be"),
)
"""Byte order marks. Browsers do not know UTF-32; its mark would begin a UTF-16 text with U+0000."""
PRESCAN: Final = 1024
"""Bytes in which the standard looks for a ``<meta>`` before it parses; the parser then takes later ones too."""

_TAG: Final = re.compile(rb"<(?:!--|/?[A-Za-z]|[!/?])")
_META: Final = re.compile(rb"<meta[\t\n\f\r /]", re.IGNORECASE)
_ATTRIBUTE: Final = re.compile(
    rb"""[\t\n\f\r\ /]*(?P<name>[^\t\n\f\r\ />=][^\t\n\f\r\ />=]*)
    (?:[\t\n\f\r\ ]*=[\t\n\f\r\ ]*
        (?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^\t\n\f\r\ >"'][^\t\n\f\r\ >]*))?
    )?""",
    re.VERBOSE,
)
_NAME: Final = re.compile(rb"[^\t\n\f\r >]*")
_IN_CONTENT: Final = re.compile(
    r"charset[\t\n\f\r ]*=[\t\n\f\r ]*(?:\"([^\"]*)\"|'([^']*)'|([^\t\n\f\r ;\"'][^\t\n\f\r ;]*))", re.IGNORECASE
)
_XML: Final = re.compile(
    rb"<\?xml[\t\n\r ][^>]{0,300}?[\t\n\r ]encoding[\t\n\r ]*=[\t\n\r ]*(?:\"([^\"<>]{1,60})\"|'([^'<>]{1,60})')"
)
_CSS: Final = re.compile(rb'@charset "([^"]{1,100})";')
_WIDE: Final = (("utf-32-be", 4, 3), ("utf-32-le", 4, 0), ("utf-16be", 2, 1), ("utf-16le", 2, 0))
"""Charsets of wide units, with the bytes of one, and the place of its ASCII byte."""


def marked(head: bytes) -> tuple[str, int]:
    """The charset that a byte order mark names, and the length of the mark; ``""`` and 0 without one."""
    return next(((charset, len(mark)) for mark, charset in MARKS if head.startswith(mark)), ("", 0))


def in_html(head: bytes) -> str:
    """The label that the beginning of a page declares, else ``""``."""
    return wide(head) or _meta(head) or in_xml(head)


def in_xml(head: bytes) -> str:
    """The label of an XML declaration, else ``""``."""
    if found := wide(head):
        return found
    if not (declared := _XML.match(head)):
        return ""
    return _as_found((declared[1] or declared[2]).decode("latin-1"))


def in_css(head: bytes) -> str:
    """The label of an ``@charset`` rule, else ``""``."""
    declared = _CSS.match(head)
    return _as_found(declared[1].decode("latin-1")) if declared else ""


def wide(head: bytes) -> str:
    """UTF-16 or UTF-32 without a mark, told by the zeros beside the ASCII characters; ``""`` where there are none."""
    if b"\0" not in head[:4]:
        return ""
    for charset, size, place in _WIDE:
        units = len(head) // size
        ascii_bytes = head[place : units * size : size]
        if not units or 0 in ascii_bytes[:1]:
            continue
        beside = [head[other : units * size : size].count(0) for other in range(size) if other != place]
        if min(beside) > 0 and head[:size].count(0) == size - 1 and ascii_bytes.count(0) <= min(beside) // 10:
            return charset
    return ""


def _as_found(label: str) -> str:
    """The label, or what the standard reads instead: bytes that hold a readable declaration are not UTF-16."""
    charset = charset_named(label)
    if charset in ("utf-16le", "utf-16be") or (charset or "").startswith("utf-32"):
        return "utf-8"
    return "windows-1252" if charset == "x-user-defined" else label


def _meta(head: bytes) -> str:
    position = 0
    while found := _TAG.search(head, position):
        position = found.start()
        if found[0] == b"<!--":
            # The end may share its hyphens with the beginning: <!--> is a whole comment.
            end = head.find(b"-->", position + 2)
            if end < 0:
                return ""
            position = end + 3
        elif _META.match(head, position):
            position, label = _label_of_meta(head, position + 6)
            if label:
                return label
        elif found[0][-1:].isalpha():
            position = _end_of_tag(head, position + len(found[0]))
        else:
            end = head.find(b">", position)
            if end < 0:
                return ""
            position = end + 1
    return ""


def _end_of_tag(head: bytes, position: int) -> int:
    """The position after the attributes of a tag."""
    name = _NAME.match(head, position)
    position = name.end() if name else position
    while found := _ATTRIBUTE.match(head, position):
        position = found.end()
    return position + 1


def _label_of_meta(head: bytes, position: int) -> tuple[int, str]:
    """The position after a ``<meta>``, and the known label that it declares, else ``""``."""
    attributes: dict[bytes, str] = {}
    while found := _ATTRIBUTE.match(head, position):
        position = found.end()
        value = found["double"] or found["single"] or found["bare"] or b""
        attributes.setdefault(found["name"].lower(), value.decode("latin-1"))
    label = attributes.get(b"charset", "")
    if not label and attributes.get(b"http-equiv", "").lower() == "content-type":
        content = _IN_CONTENT.search(attributes.get(b"content", ""))
        label = next(filter(None, content.groups()), "") if content else ""
    return position, _as_found(label) if charset_named(label) else ""
