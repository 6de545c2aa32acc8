"""Text extraction (extract_pdf_text), page by page."""

from __future__ import annotations

import re
from typing import Any

import pypdfium2

from offloop.jobs.documents import PageText, PdfText, ToRead, extract_pdf_text
from offloop.kinds.context import Context
from offloop.kinds.kind import performs
from offloop_workers.pdf.reading import opening, ranges

_WORD_END = re.compile("[\ufffe\x02]\r?\n?")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_MAX_RECTANGLES = 3_000
_MAX_COLUMN = 250


@performs(extract_pdf_text)
def read(request: ToRead, context: Context) -> PdfText:
    """Extract the text of pages, up to the requested number of characters.

    Raises:
        JobError: the PDF cannot be opened, or has no such page.
    """
    texts: list[PageText] = []
    empty: list[int] = []
    room, next_page = request.max_characters, None
    data = opening.content(request.file, context)
    with opening.drawn(data, request.password, context) as document:
        count = len(document)
        wanted = ranges.pages(request.pages, count, context)
        for step, index in enumerate(wanted):
            context.progress(step, len(wanted), f"page {index + 1}")
            text = _text(document, index, layout=request.layout)
            if not text:
                empty.append(index + 1)
            if request.search and _plain(request.search) not in _plain(text):
                continue
            if len(text) > room and texts:
                next_page = index + 1
                break
            texts.append(PageText(page=index + 1, text=text[:room]))
            if len(text) > room:
                context.warn(
                    f"Page {index + 1} has {len(text):,} characters; the rest was left out. Raise max_characters."
                )
                next_page = wanted[step + 1] + 1 if step + 1 < len(wanted) else None
                break
            room -= len(text)
    if empty:
        context.warn(
            f"No text on {'page' if len(empty) == 1 else 'pages'} {ranges.summary(empty)}: a scan or a drawing, or "
            "empty. Look with preview_pdf."
        )
    context.progress(len(wanted), len(wanted), "done")
    return PdfText(texts=texts, pages=count, characters=sum(len(one.text) for one in texts), next_page=next_page)


def _text(document: pypdfium2.PdfDocument, index: int, *, layout: bool) -> str:
    with opening.damage():
        page = document[index]
        try:
            found = page.get_textpage()
            try:
                text = (_laid_out(found) if layout else None) or found.get_text_range()
            finally:
                found.close()
        finally:
            page.close()
    return _clean(text)


def _clean(text: str) -> str:
    """Join words that are hyphenated at line ends, normalise line ends, drop control characters."""
    text = _CONTROL.sub("", _WORD_END.sub("", text).replace("\r\n", "\n").replace("\r", "\n"))
    return "\n".join(line.rstrip() for line in text.split("\n")).strip("\n")


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _laid_out(found: Any) -> str | None:
    """Text in columns as on the page, lines from top to bottom; None for more than `_MAX_RECTANGLES` pieces."""
    count = found.count_rects()
    if not 0 < count <= _MAX_RECTANGLES:
        return None
    pieces = []
    for number in range(count):
        left, bottom, right, top = found.get_rect(number)
        text = " ".join(found.get_text_bounded(left, bottom, right, top).split())
        if text:
            pieces.append((top, bottom, left, right, text))
    widths = sorted((right - left) / len(text) for _, _, left, right, text in pieces if right > left)
    if not widths:
        return None
    unit, start = max(widths[len(widths) // 2], 0.5), min(piece[2] for piece in pieces)
    lines: list[list[tuple[float, float, float, float, str]]] = []
    for piece in sorted(pieces, key=lambda piece: -piece[0]):
        middle = (piece[0] + piece[1]) / 2
        if lines and lines[-1][0][1] <= middle <= lines[-1][0][0]:
            lines[-1].append(piece)
        else:
            lines.append([piece])
    return "\n".join(_line(line, start, unit) for line in lines)


def _line(pieces: list[tuple[float, float, float, float, str]], start: float, unit: float) -> str:
    line = ""
    for _, _, left, _, text in sorted(pieces, key=lambda piece: piece[2]):
        column = min(round((left - start) / unit), _MAX_COLUMN)
        line = line.ljust(column) if column > len(line) else f"{line} " if line else ""
        line += text
    return line
