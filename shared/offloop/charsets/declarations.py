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
"""Byte order marks, those of UTF-32 before those of UTF-16, which they begin with.

Browsers do not know UTF-32; its mark would begin a UTF-16 text with U+0000.
"""
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
_PYTHON: Final = {"utf-16be": "utf-16-be", "utf-16le": "utf-16-le"}
_PAIR: Final = 2
_FEW: Final = 10
"""Zeros beside ASCII characters for each one in their place, such as that of U+0100 or of a character cut in half."""
_SOME: Final = 4
"""Zeros, all in one place of the units, that do not come by chance in bytes beyond ASCII."""
TEXT_BYTES: Final = bytes({*range(0x100)} - {*range(0x20)} | {*b"\t\n\f\r\x1b"})
"""All but the binary data bytes of the MIME Sniffing Standard (https://mimesniff.spec.whatwg.org/#binary-data-byte)."""
_NOT_PRINTED: Final = dict.fromkeys(
    [
        *b"\t\n\f\r\x1b",
        0xA0,
        0xAD,
        *range(0x2001, 0x2010),
        *range(0x2028, 0x2030),
        *range(0x205F, 0x2070),
        0x3000,
        0xFEFF,
    ]
)
"""Blanks, line ends and joiners: characters of texts that Python calls not printable.

Not U+2000: it is rare, and a blank in the other order of bytes.
"""


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
    """UTF-16 or UTF-32 without a mark, told by the zeros of its ASCII characters; ``""`` where there are none."""
    if b"\0" not in head:
        return ""
    return next((charset for charset, size, place in _WIDE if _is_wide(head, charset, size, place)), "")


def _is_wide(head: bytes, charset: str, size: int, place: int) -> bool:
    """Whether bytes are text of wide units: most are Latin, or all make text, and would make none as single bytes."""
    units = len(head) // size
    zeros = [head[other : units * size : size].count(0) for other in range(size)]
    in_place = zeros.pop(place)
    beside = min(zeros)
    if 2 * beside > units and in_place <= beside // _FEW and head[place]:
        return True
    if size == _PAIR:
        unlike = 0 < beside >= in_place and _is_no_text(head, beside, head[1 - place : units * size : 2])
    else:
        unlike = 2 * zeros[1] > units  # most characters are in plane 0
    if not unlike:
        return False
    try:
        text = codecs.getincrementaldecoder(_PYTHON.get(charset, charset))().decode(head)
    except UnicodeDecodeError:
        return False
    return bool(text) and text.translate(_NOT_PRINTED).isprintable()


def _is_no_text(head: bytes, zeros: int, high: bytes) -> bool:
    """Whether bytes with zeros would be no text as single bytes.

    Args:
        head: the bytes.
        zeros: how many of them are zero as the high byte of a unit.
        high: the high bytes; all are low for alphabets, that of Devanagari is that of a tab.
    """
    many = zeros >= max(_SOME, len(high) // _FEW) and not head.isascii()
    return many or bool(head.translate(None, TEXT_BYTES).strip(b"\0")) or max(high) < ord(" ")


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
