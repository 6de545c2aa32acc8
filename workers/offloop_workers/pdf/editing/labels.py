"""Page labels: the page numbers that viewers display, such as iv or A-3."""

from __future__ import annotations

from dataclasses import dataclass

import pikepdf
from pikepdf import Array, Dictionary, Name, String

from offloop_workers.pdf.reading import trees


@dataclass(frozen=True, slots=True)
class Label:
    """The label of one page: numbering style, prefix and number."""

    style: str | None
    prefix: str
    number: int


_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"),
          (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip
_MAX_ROMAN = 100_000


def text(label: Label) -> str:
    """A label as viewers show it."""
    number = ""
    match label.style:
        case "/D":
            number = str(label.number)
        case "/R" | "/r" if label.number <= _MAX_ROMAN:
            rest = label.number
            for value, letters in _ROMAN:
                number, rest = number + letters * (rest // value), rest % value
        case "/A" | "/a" if label.number <= _MAX_ROMAN:
            number = chr(ord("a") + (label.number - 1) % 26) * min((label.number - 1) // 26 + 1, 50)
    return label.prefix + (number.upper() if label.style in ("/R", "/A") else number)


def labels(pdf: pikepdf.Pdf, pages: int) -> list[Label] | None:
    """The label of each page, or None where the document has none."""
    starts: dict[int, Label] = {}
    for index, entry in trees.entries(pdf.Root.get("/PageLabels"), "/Nums"):
        if isinstance(index, int) and 0 <= index < pages and isinstance(entry, Dictionary):
            style, first = entry.get("/S"), entry.get("/St", 1)
            starts[index] = Label(
                str(style) if isinstance(style, Name) else None,
                trees.text(entry.get("/P")) or "",
                first if isinstance(first, int) and first > 0 else 1,
            )
    if not starts:
        return None
    found, current, first_index = [], Label("/D", "", 1), 0
    for index in range(pages):
        if index in starts:
            current, first_index = starts[index], index
        found.append(Label(current.style, current.prefix, current.number + index - first_index))
    return found


def write_labels(pdf: pikepdf.Pdf, found: list[Label | None]) -> None:
    """Label the pages; a page without a label is numbered by its index. Without any label, do nothing."""
    if not any(found):
        return
    numbers: list[object] = []
    expected: Label | None = None
    for index, one in enumerate(found):
        label = one or Label("/D", "", index + 1)
        if label != expected:
            entry = Dictionary(St=label.number)
            if label.style:
                entry.S = Name(label.style)
            if label.prefix:
                entry.P = String(label.prefix)
            numbers += [index, entry]
        expected = Label(label.style, label.prefix, label.number + 1)
    pdf.Root.PageLabels = pdf.make_indirect(Dictionary(Nums=Array(numbers)))
