"""Values that several kinds take, in each form that has one meaning: colours, page ranges, lengths, proportions."""

from __future__ import annotations

import re
from typing import Annotated, Any

import webcolors
from pydantic import BeforeValidator, Field

_DASHES = str.maketrans("\u2010\u2011\u2012\u2013\u2014\u2212", "------")
_RGB = re.compile(r"rgba?\(\s*(\d{1,3})\s*[, ]\s*(\d{1,3})\s*[, ]\s*(\d{1,3})\s*([,/]\s*(1(\.0{1,6})?|100%)\s*)?\)")
_HEX = re.compile(r"#?([0-9a-f]{3}|[0-9a-f]{6})")
_OPAQUE = re.compile(r"#([0-9a-f]{6})ff|#([0-9a-f]{3})f")
_ENDS = {"first": "1", "last": "-1", "end": "-1"}
_MAX_TEXT = 4_000


def _colour(value: Any) -> Any:
    """As ``#rrggbb``: from ``#rgb``, without the ``#``, from opaque ``rgb(…)``, or a colour name of CSS."""
    if not isinstance(value, str) or len(value) > 40:  # noqa: PLR2004 -- no form is longer
        return value
    text = value.strip().lower()
    if found := _OPAQUE.fullmatch(text):
        text = found[1] or found[2]
    if found := _HEX.fullmatch(text):
        digits = found[1]
        return "#" + (digits if len(digits) == 6 else "".join(2 * digit for digit in digits))  # noqa: PLR2004 -- #rrggbb
    if (found := _RGB.fullmatch(text)) and all(int(part) <= 255 for part in found.groups()[:3]):  # noqa: PLR2004 -- a byte
        return "#" + "".join(f"{int(part):02x}" for part in found.groups()[:3])
    try:
        return webcolors.name_to_hex(text.replace(" ", ""))
    except ValueError:
        return value


def _ranges(value: Any) -> Any:
    """As text such as ``1-3,7,-1``: from a number, a list, JSON text of a list, ``first``, ``last``, other dashes."""
    if isinstance(value, list | tuple) and all(isinstance(one, str) or type(one) is int for one in value):
        value = ",".join(map(str, value))
    if type(value) is int:
        return str(value)
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        return value
    text = value.strip().translate(_DASHES).lower()
    if found := re.fullmatch(r"\[([^\[\]]*)\]", text):
        text = found[1].replace('"', "").replace("'", "")
    # "last-2" stays as it is: it could be the third page from the end, or a range
    text = re.sub(r"\b(first|last|end)\b(?!\s*-\s*\d)", lambda word: _ENDS[word[0]], text)
    text = re.sub(r"\s*(?:\.\.+|\bto\b)\s*", "-", text)
    text = re.sub(r"\s*[,;]\s*", ",", text)
    # "1 -1" stays as it is: it could be two pages, or a range
    return re.sub(r"(?<=\d)(?:\s+-\s+(?=-?\d)|-\s+(?=\d)|\s+-(?=,|$))", "-", text)


def _length(value: Any) -> Any:
    """As a CSS length in lower case without blanks; 0 needs no unit."""
    if type(value) in {int, float} and value == 0:
        return "0mm"
    if not isinstance(value, str) or len(value) > 40:  # noqa: PLR2004 -- no form is longer
        return value
    text = "".join(value.lower().split())
    if re.fullmatch(r"0+(\.0+)?", text):
        return "0mm"
    return f"0{text}" if text.startswith(".") else text


def _proportions(value: Any) -> Any:
    """As ``16:9``: from ``16/9``, ``16x9``, ``16 : 9``."""
    found = re.fullmatch(r"\s*([\d.]{1,9})\s*[:/xX\u00d7]\s*([\d.]{1,9})\s*", value) if isinstance(value, str) else None
    return f"{found[1]}:{found[2]}" if found else value


def _language(value: Any) -> Any:
    """As a tag of BCP 47: ``en-US`` from ``en_US``, ``en_US.UTF-8``."""
    if not isinstance(value, str):
        return value
    return value.strip().partition(".")[0].replace("_", "-")


def _moment(value: Any) -> Any:
    """As ISO 8601 with a ``T`` between date and time."""
    return re.sub(r"^(\d{4}-\d\d-\d\d) (?=\d\d:)", r"\1T", value.strip()) if isinstance(value, str) else value


Colour = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$", examples=["#ffffff"]), BeforeValidator(_colour)]
"""A colour as ``#rrggbb``."""
PageRanges = Annotated[
    str,
    Field(min_length=1, max_length=2_000, examples=["1-3,7,-1", "odd", "5-", "all"]),
    BeforeValidator(_ranges),
]
"""Pages of a document, as ``offloop_workers.pdf.reading.ranges`` reads them."""
Length = Annotated[
    str,
    Field(pattern=r"^\d{1,4}(\.\d{1,3})?(mm|cm|in|pt|px)$", examples=["20mm", "0.75in"]),
    BeforeValidator(_length),
]
"""A CSS length with its unit."""
Proportions = Annotated[
    str,
    Field(pattern=r"^\d{1,4}(\.\d{1,4})?:\d{1,4}(\.\d{1,4})?$", examples=["16:9"]),
    BeforeValidator(_proportions),
]
"""Width to height."""
Language = Annotated[
    str,
    Field(pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}$", examples=["en-GB", "ar"]),
    BeforeValidator(_language),
]
"""A language tag of BCP 47."""
Instant = Annotated[
    str,
    Field(pattern=r"^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d))?$", examples=["2026-11-20"]),
    BeforeValidator(_moment),
]
"""A date, or a moment with its time zone, in ISO 8601."""
