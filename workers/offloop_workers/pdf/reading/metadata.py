"""Metadata of a PDF: the document information, and XMP where that is silent."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pikepdf
from pikepdf import Dictionary, Name, String
from pikepdf.models.metadata import decode_pdf_date

from offloop.kinds.context import Context
from offloop_workers.pdf.reading import claims, trees

_PLACES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "title": ("/Title", ("dc:title",)),
    "author": ("/Author", ("dc:creator",)),
    "subject": ("/Subject", ("dc:description",)),
    "keywords": ("/Keywords", ("pdf:Keywords", "dc:subject")),
    "creator": ("/Creator", ("xmp:CreatorTool",)),
    "producer": ("/Producer", ("pdf:Producer",)),
    "created": ("/CreationDate", ("xmp:CreateDate",)),
    "modified": ("/ModDate", ("xmp:ModifyDate",)),
}
_NOTHING = frozenset({None, "", "Untitled"})
"""Values of XMP that say nothing; the word is Ghostscript's, where a document has no title."""
_DATES = ("created", "modified")
_STANDARD = frozenset({place[0] for place in _PLACES.values()} | {"/Trapped"})
_PDFX = "{http://ns.adobe.com/pdfx/1.3/}"
_MAX_CUSTOM = 50
_ISO = re.compile(r"\d{4}(?:-\d\d){0,2}")
_SHORT_DATE = re.compile(r"(?:D:)?(\d{4})(0[1-9]|1[0-2])?((?<=\d{6})(?:0[1-9]|[12]\d|3[01]))?")
_YEAR_19100 = re.compile(r"(D:)?191(\d\d)(\d{10})")
"""Old programs wrote the years since 1900 after 19, so that 2000 became 19100."""
_TOLERANCE = timedelta(minutes=1)


def of(pdf: pikepdf.Pdf, context: Context) -> dict[str, Any]:
    """The fields of `Description` for metadata. Guesses, cuts and contradictions are warned of."""
    info = pdf.trailer.get("/Info")
    info = info if isinstance(info, Dictionary) else Dictionary()
    xmp = _xmp(pdf, context)
    found: dict[str, Any] = {}
    differences = []
    for field, (key, names) in _PLACES.items():
        read = _date if field in _DATES else _same
        first = read(trees.text(info.get(key)))
        second = read(next((text for name in names if (text := _flat(xmp.get(name))) not in _NOTHING), None))
        found[field] = first or second
        if first and second and not _agree(first, second, date=field in _DATES):
            differences.append(f"{field} {first[:80]!r} and {second[:80]!r}")
        _warn_of_string(info.get(key), field, context)
    if differences:
        context.warn(f"The document information and XMP differ; the first is answered: {', '.join(differences)[:600]}.")
    return {**found, "custom": _custom(info, xmp, context)}


def title(pdf: pikepdf.Pdf) -> str | None:
    """The title of a document, from the first place that has one."""
    info = pdf.trailer.get("/Info")
    if isinstance(info, Dictionary) and (found := trees.text(info.get("/Title"))):
        return found
    if claims.has_xmp(pdf):
        with suppress(Exception):  # malformed XML raises exceptions of many types
            text = _flat(pdf.open_metadata().get("dc:title"))
            return None if text in _NOTHING else text
    return None


def _xmp(pdf: pikepdf.Pdf, context: Context) -> Mapping[str, Any]:
    if "/Metadata" not in pdf.Root:
        return {}
    if not claims.has_xmp(pdf):
        context.warn("The XMP metadata cannot be read: it is damaged or larger than 4 MiB.")
        return {}
    for strict in (True, False):
        with suppress(Exception):  # malformed XML raises exceptions of many types
            found = pdf.open_metadata(strict=strict)
            read = {**{key: found[key] for key in found}, **_named(found)}
            if not strict:
                context.warn("The XMP metadata is malformed; what could be read of it counts.")
            return read
    context.warn("The XMP metadata is malformed and cannot be read.")
    return {}


def _named(found: Any) -> dict[str, Any]:
    names = {name for _, places in _PLACES.values() for name in places}
    return {name: found[name] for name in names if name in found}


def _flat(value: object) -> str | None:
    """A property of XMP as text of bounded length; lists are joined, sets are sorted."""
    if isinstance(value, (list, tuple, set, frozenset)):
        parts = sorted(map(str, value)) if isinstance(value, (set, frozenset)) else list(map(str, value))
        value = ", ".join(part for part in parts if part.strip())
    return trees.printable(str(value)) or None if value is not None else None


def _same(text: str | None) -> str | None:
    return text or None


def _date(text: str | None) -> str | None:
    """A date in ISO 8601, as exact as it is given; another text as it is."""
    if not text or _ISO.fullmatch(text):
        return text or None
    text = _YEAR_19100.sub(lambda found: f"D:{2000 + int(found[2])}{found[3]}", text)
    if digits := _SHORT_DATE.fullmatch(text):
        return "-".join(filter(None, digits.groups()))
    readers: tuple[Callable[[str], datetime], ...] = (
        decode_pdf_date,
        datetime.fromisoformat,
        lambda text: datetime.strptime(text, "%a %b %d %H:%M:%S %Y"),  # noqa: DTZ007 -- without a zone
    )
    for read in readers:
        with suppress(ValueError):
            return read(text).isoformat()
    return text


def _agree(first: str, second: str, *, date: bool) -> bool:
    if not date:
        return _words(first) == _words(second)
    shorter = min(len(first), len(second))
    if shorter <= len("2024-05-06"):
        return first[:shorter] == second[:shorter]
    with suppress(ValueError):
        one, other = datetime.fromisoformat(first), datetime.fromisoformat(second)
        if one.tzinfo is None or other.tzinfo is None:
            one, other = one.replace(tzinfo=None), other.replace(tzinfo=None)
        return abs(one - other) <= _TOLERANCE
    return first == second


def _words(text: str) -> list[str]:
    """The words, whatever separates authors or keywords."""
    return sorted(re.split(r"[\s,;]+", text.strip(" ,;")))


def _custom(info: Any, xmp: Mapping[str, Any], context: Context) -> dict[str, str]:
    """Entries that no field has."""
    found: dict[str, str] = {}
    for key, value in sorted(info.items()):
        text = trees.name(value) if isinstance(value, Name) else trees.text(value)
        if key not in _STANDARD and text:
            found[trees.printable(key[1:])[:100]] = text[:500]
    for key, value in xmp.items():
        if key.startswith(_PDFX) and (text := _flat(value)):
            found.setdefault(key.removeprefix(_PDFX)[:100], text)
    if len(found) > _MAX_CUSTOM:
        context.warn(f"There are {len(found):,} custom entries of metadata; the first {_MAX_CUSTOM} are listed.")
    return dict(list(found.items())[:_MAX_CUSTOM])


def _warn_of_string(value: object, field: str, context: Context) -> None:
    if not isinstance(value, String):
        return
    if trees.is_plain_utf8(value):
        context.warn(f"The {field} does not name its encoding, and was read as UTF-8.")
    if len(str(value)) > trees.MAX_TEXT:
        context.warn(f"The {field} has {len(str(value)):,} characters; {trees.MAX_TEXT} are answered.")
