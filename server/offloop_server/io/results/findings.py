"""Findings of a read: values that an answer does not show as they are, with their places."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

CUT: Final = "cut"
REPAIRED: Final = "repaired"
NULL: Final = "null"
FORMULA: Final = "formula"
EMPTY_LINE: Final = "empty line"

_SENTENCES: Final = {
    CUT: "{values} of {column} too long and cut here ({rows}). Select a part of it, or use save=true.",
    REPAIRED: "{values} of {column} no UTF-8; \ufffd stands for the bytes that are none ({rows}). Select it as bytes "
    "for those.",
    NULL: "{values} of {column} the null of JSON, and shown as null like a value that is missing ({rows}).",
    FORMULA: "{values} of {column} a formula to a spreadsheet and got a ' in front ({rows}). format=json has values as "
    "they are.",
    EMPTY_LINE: "{values} of {column} NULL and the whole row, so the line is empty ({rows}).",
}
_PLACES: Final = 5
"""Rows that a sentence names."""
_COLUMNS: Final = 20
"""Columns that sentences name, of each sort of finding."""


@dataclass(slots=True)
class _Place:
    """The findings of one sort in one column."""

    count: int = 0
    rows: list[int] = field(default_factory=list)


class Findings:
    """Counts findings by sort and column, and keeps the first rows of each."""

    def __init__(self) -> None:
        self._places: dict[str, dict[str, _Place]] = {}

    def add(self, what: str, column: str, row: int) -> None:
        """Note that a value in this row, counted from 1, is not shown as it is; row 0 is the name of the column."""
        place = self._places.setdefault(what, {}).setdefault(column, _Place())
        place.count += 1
        if len(place.rows) < _PLACES:
            place.rows.append(row)

    def count(self, what: str) -> int:
        """Number of findings of a sort."""
        return sum(place.count for place in self._places.get(what, {}).values())

    def sentences(self) -> list[str]:
        """One sentence for each sort and column."""
        found = []
        for what, places in self._places.items():
            shown = list(places.items())[:_COLUMNS]
            found += [_sentence(what, column, place) for column, place in shown]
            if more := len(places) - len(shown):
                found.append(f"So {'are' if more > 1 else 'is'} values of {more} more column{'s' * (more > 1)}.")
        return found


def _sentence(what: str, column: str, place: _Place) -> str:
    rows = ["its name"] * (0 in place.rows)
    if numbers := [str(row) for row in place.rows if row]:
        rows.append(f"row{'s' * (place.count - len(rows) != 1)} {', '.join(numbers)}")
    more = "…" if place.count > len(place.rows) else ""
    one = place.count == 1
    return _SENTENCES[what].format(
        values=f"{place.count} value{'s' * (not one)}",
        column=f"{column[:60]!r} {'is' if one else 'are'}",
        rows=", ".join(rows) + f"{', ' * bool(more)}{more}",
    )
