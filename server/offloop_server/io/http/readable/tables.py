"""Tables: rows in visual order, spans filled, one line a row; tables for layout are read cell by cell."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from offloop_server.io.http.readable.tree import Element, Node
from offloop_server.io.http.readable.walk import Walk, joined

_BLOCKS: Final = (
    "table", "pre", "h1", "h2", "h3", "h4", "h5", "h6", "form", "ul", "ol", "dl", "blockquote", "hr", "article",
    "section", "nav",
)  # fmt: skip
_MOST_FILLED: Final = 20_000
"""Places that spans and short rows may fill beyond four for each cell."""
_REPEATED: Final = 120
"""Longest text that is repeated for a span; a longer one is a ditto mark."""


@dataclass(frozen=True, slots=True)
class _Cell:
    """A cell: its text, and how many places it takes."""

    text: str
    columns: int
    rows: int
    header: bool


def table(walk: Walk, element: Element) -> None:
    """A table of data, or one that only places things."""
    walk.flush()
    groups = [[row for row in group if walk.shows(row)] for group in _groups(element)]
    rows = [row for group in groups for row in group]
    for caption in _children(element, "caption"):
        walk.children(caption)
        walk.flush(loose=True)
    if _is_layout(element, rows):
        for row in rows:
            _placed(walk, row)
        return
    cells = [[[_cell(walk, one) for one in _cells(row) if walk.shows(one)] for row in group] for group in groups]
    if walk.cell:
        for read in (row for group in cells for row in group):
            walk.add("; ".join(one.text for one in read if one.text))
    else:
        heads = sum(1 for row in rows if row.parent is not None and getattr(row.parent, "tag", "") == "thead")
        walk.add(_written(walk, cells, heads))


def _groups(element: Element) -> Iterator[list[Element]]:
    """Rows by their group: heads first, feet last, wherever they stand."""
    groups: dict[str, list[list[Element]]] = {"thead": [], "tbody": [], "tfoot": []}
    for node in element.children:
        if isinstance(node, Element):
            if node.tag == "tr":
                groups["tbody"].append([node])
            elif node.tag in groups:
                groups[node.tag].append(_children(node, "tr"))
    yield from (group for kind in groups.values() for group in kind)


def _children(element: Node, *tags: str) -> list[Element]:
    return [node for node in element.children if isinstance(node, Element) and node.tag in tags]


def _cells(row: Element) -> list[Element]:
    return _children(row, "td", "th")


def _is_layout(element: Element, rows: list[Element]) -> bool:
    if element.attr("role") in ("presentation", "none"):
        return True
    widest = max((len(_cells(row)) for row in rows), default=0)
    if any(one.text.strip() for row in rows for one in _children(row, "th")) and widest > 1:
        return False
    if widest <= 1:
        return True
    if _children(element, "caption", "thead") or element.attr("border") not in (None, "0"):
        return False
    return any(one.find([*_BLOCKS]) or len(_children(one, "p")) > 1 for row in rows for one in _cells(row))


def _placed(walk: Walk, row: Element) -> None:
    """A row of a table for layout: what is in it, one after the other; line numbers beside code are left out."""
    cells = [one for one in _cells(row) if walk.shows(one)]
    code = sum(1 for one in cells if one.find("pre")) > 1
    for one in cells:
        if code and one.find("pre") and all(word.isdigit() for word in one.text.split()):
            walk.notes.leave_out("columns of line numbers")
            continue
        walk.flush()
        walk.children(one)
        walk.flush()


def _cell(walk: Walk, element: Element) -> _Cell:
    inner = walk.within(cell=True)
    inner.children(element)
    text = joined(inner.blocks(), cell=True)
    if walk.markdown and not walk.cell:
        text = text.replace("|", "\\|").replace("  \n", "<br>").replace("\n", "<br>")
    else:
        text = " ".join(text.split())
    return _Cell(text, _span(element, "colspan"), _span(element, "rowspan", zero=1 << 16), element.tag == "th")


def _span(element: Element, name: str, zero: int = 1) -> int:
    text = (element.attr(name) or "1").strip()
    digits = text[: next((at for at, one in enumerate(text) if one not in "0123456789"), len(text))][:6]
    return min(int(digits) or zero, 1 << 16) if digits else 1


def _written(walk: Walk, groups: list[list[list[_Cell]]], heads: int) -> str:
    """The table as text."""
    cells = [row for group in groups for row in group]
    begun: set[int] = set()
    rows = [row for group in groups for row in _filled(walk, group, begun)]
    # Places where no cell begins are no columns: colspan=100 means all of them.
    columns = sorted(begun)
    rows = [[row[place] for place in columns[: bisect_left(columns, len(row))]] for row in rows]
    width = max(map(len, rows), default=0)
    if (
        not heads
        and cells
        and any(one.header for one in cells[0])
        and all(one.header or not one.text for one in cells[0])
    ):
        heads = 1
    if width * len(rows) <= 4 * sum(map(len, cells)) + _MOST_FILLED:
        rows, width = _squared(rows, width)
    head, body = _head(rows[:heads]), [row for row in rows[heads:] if any(row)]
    if not walk.markdown:
        return "\n".join("\t".join(row) for row in [*rows[:heads], *body])
    if not body and not any(head):
        return ""
    return "\n".join([_line([*head, *[""] * (width - len(head))]), "|" + " --- |" * width, *map(_line, body)])


def _squared(rows: list[list[str]], width: int) -> tuple[list[list[str]], int]:
    """Rows of one length, without columns that are empty in all."""
    full = [[*row, *[""] * (width - len(row))] for row in rows]
    kept = [column for column in range(width) if any(row[column] for row in full)]
    return [[row[column] for column in kept] for row in full], len(kept)


def _head(rows: list[list[str]]) -> list[str]:
    """One line of headings: those above one another are lines of one cell."""
    columns = zip_longest(*rows, fillvalue="")
    return ["<br>".join(dict.fromkeys(text for text in column if text)) for column in columns]


def _line(row: list[str]) -> str:
    return f"| {' | '.join(row)} |"


def _filled(walk: Walk, group: list[list[_Cell]], begun: set[int]) -> list[list[str]]:
    """The rows of a group as texts: a cell stands in each place that it spans; where one begins is added to `begun`."""
    budget = 4 * sum(map(len, group)) + _MOST_FILLED
    above: dict[int, tuple[int, str]] = {}
    rows: list[list[str]] = []
    for number, cells in enumerate(group):
        row: list[str] = []
        for cell in cells:
            _hang(row, above)
            alone = len(cells) == 1 and not row
            begun.add(len(row))
            for place in range(cell.columns):
                if place and (alone or budget <= 0):
                    break
                if cell.rows > 1 and number + 1 < len(group):
                    above[len(row)] = (cell.rows - 1, _repeated(cell.text))
                row.append(_repeated(cell.text) if place else cell.text)
                budget -= 1
        _hang(row, above)
        budget -= len(above)
        if budget <= 0 and above:
            above.clear()
            walk.notes.say("A table spans more places than can be written; its spans are not filled.")
        rows.append(row)
    return rows


def _hang(row: list[str], above: dict[int, tuple[int, str]]) -> None:
    """Continue cells of rows above at the end of this row."""
    while len(row) in above:
        left, text = above.pop(len(row))
        if left > 1:
            above[len(row)] = (left - 1, text)
        row.append(text)


def _repeated(text: str) -> str:
    return text if len(text) <= _REPEATED else "″"
