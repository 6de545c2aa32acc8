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
