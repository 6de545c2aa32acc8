"""Text of one page, and what a reader of it should know."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pikepdf
import pypdfium2
import pypdfium2.raw
from pikepdf import Dictionary, Name, String

from offloop.kinds.context import Context
from offloop_workers.pdf.reading import layout, opening, ranges, resources, trees
from offloop_workers.pdf.reading.visible import View

_HYPHEN = re.compile("\ufffe(?:\r\n)?")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_PRIVATE = re.compile("[\ue000-\uf8ff\ufffd\U000f0000-\U0010ffff]")
_INVISIBLE = 3
_MAX_NOTES = 1_000
_MAX_OBJECTS = 50_000
_DRAWN = frozenset({"/Widget", "/FreeText", "/Stamp", "/Link", "/Popup"})
_WARNINGS = {
    "scanned": "No text on {pages}: only pictures, such as a scan. Look with preview_pdf.",
    "empty": "No text on {pages}: empty, or a drawing. Look with preview_pdf.",
    "unread": (
        "No text on {pages}, though there are characters: they are blanks, or their fonts are neither in the file nor "
        "here. Look with preview_pdf."
    ),
    "unmapped": (
        "{pages}: {unknown:,} of {characters:,} characters are guessed or left out, since their fonts do not say what "
        "they are (no ToUnicode). Compare with preview_pdf."
    ),
    "private": (
        "{pages}: {private:,} characters are symbols of a font without a meaning in Unicode, or U+FFFD in the file: "
        "compare with preview_pdf."
    ),
    "invisible": "{pages}: text that is not drawn is included: of a scan's OCR, or hidden. Compare with preview_pdf.",
    "outside": "{pages}: text outside of the visible page is {outside}.",
    "notes": "{pages}: comments are not part of the text.",
    "redactions": "{pages}: areas are marked for redaction, and nothing is removed: what they cover is in the text.",
    "unflattened": "{pages}: more than 1,000 annotations and fields; their text is left out.",
    "crowded": "{pages}: more than 50,000 characters, so layout is left out: in reading order.",
}


@dataclass(slots=True)
class Remarks:
    """Pages that a warning is about, by the warning's key.

    Attributes:
        pages: numbers of pages.
        unknown: characters whose meaning is unknown.
        characters: all characters of the pages with unknown ones.
        private: characters that the file itself gives no meaning.
    """

    pages: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    unknown: int = 0
    characters: int = 0
    private: int = 0

    def tell(self, context: Context, *, layout: bool) -> None:
        """Warn once for each kind of remark."""
        for key, text in _WARNINGS.items():
            numbers = sorted(set(self.pages.get(key, ())))
            if numbers:
                named = f"{'page' if len(numbers) == 1 else 'pages'} {ranges.summary(numbers)}"
                line = text.format(
                    pages=named,
                    outside="left out" if layout else "included",
                    unknown=self.unknown,
                    characters=self.characters,
                    private=self.private,
                )
                context.warn(line[0].upper() + line[1:])


def read(drawn: opening.Drawn, index: int, remarks: Remarks, *, columns: bool) -> str:
    """The text of a page, with that of form fields and annotations that are drawn.

    Args:
        drawn: the document.
        index: of the page, from 0.
        remarks: takes what is to be warned of.
        columns: keep the page's layout; else the order in the file.
    """
    number = index + 1
    with opening.damage():
        if _has_annotations(drawn, index, number, remarks):
            _flatten(drawn.document, index)
        page = drawn.document[index]
        try:
            found = page.get_textpage()
            try:
                text = _text(found, drawn, index, remarks, columns=columns)
                _remark(found, page, drawn.view(index), number, remarks)
                if private := len(_PRIVATE.findall(text)):
                    remarks.pages["private"].append(number)
                    remarks.private += private
            finally:
                found.close()
            if not text and not drawn.lost(index) and number not in remarks.pages["outside"]:
                remarks.pages[_reason(page)].append(number)
        finally:
            page.close()
    return text


def _reason(page: Any) -> str:
    """The remark for a page without text."""
    for key, kind in (("unread", pypdfium2.raw.FPDF_PAGEOBJ_TEXT), ("scanned", pypdfium2.raw.FPDF_PAGEOBJ_IMAGE)):
        if next(iter(page.get_objects(filter=[kind], max_depth=5)), None) is not None:
            return key
    return "empty"


def _text(found: Any, drawn: opening.Drawn, index: int, remarks: Remarks, *, columns: bool) -> str:
    seen = drawn.view(index)
    vertical = _writes_vertically(drawn.page(index))
    if seen is None or not (columns or vertical):
        return clean(found.get_text_range())
    if found.count_chars() > layout.MAX_CHARACTERS:
        remarks.pages["crowded"] += [index + 1] * columns
        return clean(found.get_text_range())
    text, outside = layout.laid_out(found, seen, vertical=vertical)
    if outside:
        remarks.pages["outside"].append(index + 1)
    return clean(text.replace("\n", "\r\n"))


def clean(text: str) -> str:
    """Normalise line ends, show hyphens at line ends as such, drop control characters and blanks at line ends.

    PDFium writes CR LF between lines; other control characters are codes of fonts that it cannot translate.
    """
    lines = _HYPHEN.sub("-\r\n", text).split("\r\n")
    return "\n".join(_CONTROL.sub("", line).rstrip() for line in lines).strip("\n")


def _remark(found: Any, page: Any, seen: View | None, number: int, remarks: Remarks) -> None:
    raw, count = pypdfium2.raw, min(found.count_chars(), layout.MAX_CHARACTERS)
    unknown = sum(raw.FPDFText_HasUnicodeMapError(found.raw, character) == 1 for character in range(count))
    if unknown:
        remarks.pages["unmapped"].append(number)
        remarks.unknown += unknown
        remarks.characters += count
    for place, text in enumerate(page.get_objects(filter=[raw.FPDF_PAGEOBJ_TEXT], max_depth=5)):
        if place >= _MAX_OBJECTS:
            break
        if raw.FPDFTextObj_GetTextRenderMode(text.raw) == _INVISIBLE:
            remarks.pages["invisible"].append(number)
        if seen is not None and text.level == 0 and _is_outside(text, seen):
            remarks.pages["outside"].append(number)


def _is_outside(text: Any, seen: View) -> bool:
    with suppress(pypdfium2.PdfiumError):
        left, bottom, right, top = text.get_bounds()
        return bool(
            left < right
            and (right <= seen.box[0] or left >= seen.box[2] or top <= seen.box[1] or bottom >= seen.box[3])
        )
    return False


def _has_annotations(drawn: opening.Drawn, index: int, number: int, remarks: Remarks) -> bool:
    """Whether annotations may have text that is drawn; comments, which are not, are remarked."""
    page = drawn.page(index)
    kinds: Counter[str] = Counter()
    for note in trees.page_annotations(page) if page is not None else ():
        kind = f"/{trees.name(note.get('/Subtype'))}"
        kinds[kind] += 1
        comment = note.get("/Contents")
        is_drawn = kind in _DRAWN and (kind[1:] not in resources.NOT_DRAWN or "/AP" in note)
        if not is_drawn and isinstance(comment, String) and str(comment).strip():
            remarks.pages["notes"].append(number)
        if kind == "/Redact":
            remarks.pages["redactions"].append(number)
    has_text = bool(kinds.keys() - {"/Link", "/Popup"})
    if has_text and kinds.total() > _MAX_NOTES:
        remarks.pages["unflattened"].append(number)
        return False
    return has_text


def _flatten(document: pypdfium2.PdfDocument, index: int) -> None:
    page = document[index]
    try:
        pypdfium2.raw.FPDFPage_Flatten(page.raw, pypdfium2.raw.FLAT_NORMALDISPLAY)
    finally:
        page.close()


def _writes_vertically(page: pikepdf.Page | None) -> bool:
    found = page.get_resources() if page is not None else None
    fonts: Any = found.get("/Font") if isinstance(found, Dictionary) else None
    for _, font in list(fonts.items())[:200] if isinstance(fonts, Dictionary) else ():
        encoding = font.get("/Encoding") if isinstance(font, Dictionary) else None
        if isinstance(encoding, pikepdf.Stream):
            if encoding.get("/WMode") == 1:
                return True
        elif isinstance(encoding, Name) and trees.name(encoding).endswith("-V"):
            return True
    return False
