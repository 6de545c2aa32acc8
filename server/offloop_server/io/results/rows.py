"""Result rows: rendered as JSON values, and capped while they are read."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Literal

from offloop_server.io.results.findings import CUT, NULL, REPAIRED, Findings
from offloop_server.io.results.values import JSON_NULL, rendered, weight, weight_of_all

Limit = Literal["rows", "bytes"]

MIXED: Final = "mixed"
"""Type of a column whose values have several."""
_NAMED: Final = 10
"""Columns with another name that a note lists."""
_MAX_NAME: Final = 60
"""Characters of a name in a note."""
_AS_THEY_ARE: Final = frozenset({type(None), bool})
_READY: Final = frozenset({type(None), bool, int, float, list, dict})
"""Types of values that a driver has rendered already."""


class Rows:
    """Collects rows up to a cap.

    Args:
        max_rows: maximum number of rows.
        max_bytes: maximum bytes of content, approximately.
        max_cell: maximum characters, or bytes, of one value; longer values are truncated and counted in `cut`.

    Attributes:
        findings: what the rows do not show as it is.
        notes: messages of the source beside the rows.
    """

    def __init__(self, max_rows: int, max_bytes: int, max_cell: int | None = None) -> None:
        self.columns: list[str] = []
        self.types: list[str | None] = []
        self.rows: list[list[Any]] = []
        self.truncated_by: Limit | None = None
        self.notes: list[str] = []
        self.findings = Findings()
        self._found: list[str] = []
        self.max_rows = max_rows
        self.max_bytes = max_bytes
        self._max_cell = max_cell
        self._bytes = 0

    def begin(self, columns: Iterable[str], types: Iterable[str | None]) -> None:
        """Set the columns; a repeated name gets a number, so that rows can be objects, and a note says so."""
        taken: set[str] = set()
        last: dict[str, int] = {}  # keeps the numbering linear in the number of columns
        renamed: list[str] = []
        for number, name in enumerate(columns, 1):
            unique = name
            while unique in taken:
                last[name] = last.get(name, 1) + 1
                unique = f"{name}_{last[name]}"
            taken.add(unique)
            self.columns.append(unique)
            if unique != name:
                renamed.append(f"{number} is {unique[:_MAX_NAME]!r}")
            elif not name:
                self.notes.append(f"Column {number} has no name: its key is the empty text.")
        if renamed:
            more = f" and {len(renamed) - _NAMED} more" if len(renamed) > _NAMED else ""
            self.notes.append(
                f"Names repeat, so columns have others here: {', '.join(renamed[:_NAMED])}{more}; use AS."
            )
        self.types = list(types)

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self.rows)

    @property
    def cut(self) -> int:
        """Number of values that were cut."""
        return self.findings.count(CUT)

    @property
    def warnings(self) -> list[str]:
        """Sentences about what the rows do not show as it is, and the notes."""
        return [*self.findings.sentences(), *self.notes]

    @property
    def missing(self) -> int:
        """Rows still to fetch: one more than fit, which shows whether there are more."""
        return 0 if self.truncated_by else self.max_rows - self.count + 1

    def add(self, rows: Iterable[Sequence[Any]], *, ready: bool = False) -> bool:
        """Add rows; returns whether more can be added.

        Args:
            rows: their values.
            ready: numbers, lists and objects are JSON values already, such as those of `from_json`.
        """
        kept, render = _READY if ready else _AS_THEY_ARE, self._rendered
        for row in rows:
            if self._full():
                return False
            cells = [value if type(value) in kept else render(value) for value in row]
            if not self._fits(weight_of_all(cells)):
                self._found.clear()
                return False
            if self._found:
                self._locate(row)
            self.rows.append(cells)
        return True

    def add_beginning(self, value: str | bytes, size: int) -> bool:
        """Add a row of one value, of which perhaps only the beginning was read.

        Args:
            value: the beginning.
            size: bytes of the whole.
        """
        if size <= _size_of(value):
            return self.add([[value]])
        kept = value[: self._max_cell]
        missing = size - _size_of(kept)
        cell = f"{kept}… ({missing} more bytes)" if isinstance(kept, str) else {**rendered(kept), "bytes": size}
        if self._full() or not self._fits(weight(cell)):
            return False
        self.rows.append([cell])
        self.findings.add(CUT, self.columns[0], self.count)
        return True

    @property
    def cuts(self) -> bool:
        """Whether long values are cut, rather than kept whole."""
        return self._max_cell is not None

    def lines(self) -> Iterator[list[Any]]:
        """The rows, each as long as the columns."""
        return iter(self.rows)

    def objects(self) -> list[dict[str, Any]]:
        """The rows as objects, column name to value."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def _full(self) -> bool:
        """Whether there is no room for another row."""
        if self.count < self.max_rows:
            return False
        self.truncated_by = "rows"
        return True

    def _fits(self, size: int) -> bool:
        """Count a row of that weight; returns whether there is room for it."""
        self._bytes += size
        if self._bytes > self.max_bytes:
            self.truncated_by = "bytes"
            return False
        return True

    def _locate(self, row: Sequence[Any]) -> None:
        """Note in which columns of the next row something was found."""
        for name, value in zip(self.columns, row, strict=True):
            self._found.clear()
            self._rendered(value)
            for what in dict.fromkeys(self._found):
                self.findings.add(what, name, self.count + 1)
        self._found.clear()

    def _cut_text(self, text: str) -> str:
        if self._max_cell is None or len(text) <= self._max_cell:
            return text
        self._found.append(CUT)
        return f"{text[: self._max_cell]}… ({len(text) - self._max_cell} more characters)"

    def _rendered(self, value: Any) -> Any:
        if type(value) is str and value.isascii() and (self._max_cell is None or len(value) <= self._max_cell):
            return value
        cell = rendered(value)
        if isinstance(cell, str):
            if cell != value and isinstance(value, str):
                self._found.append(REPAIRED)
            return self._cut_text(cell)
        if value is JSON_NULL:
            self._found.append(NULL)
        if isinstance(value, bytes) and self._max_cell is not None and len(value) > self._max_cell:
            self._found.append(CUT)
            return {"base64": base64.b64encode(value[: self._max_cell]).decode(), "bytes": len(value)}
        return cell


def _size_of(value: str | bytes) -> int:
    return len(value.encode() if isinstance(value, str) else value)
