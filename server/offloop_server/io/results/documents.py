"""Result rows whose fields differ, such as documents: the columns are the fields in the order of their appearance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from offloop.errors import LimitExceeded
from offloop_server.io.results.findings import REPAIRED
from offloop_server.io.results.rows import MIXED, Rows
from offloop_server.io.results.values import repaired, weight

_MAX_COLUMNS: Final = 1000


class Documents(Rows):
    """Collects documents up to a cap; the arguments are those of `Rows`."""

    def __init__(self, max_rows: int, max_bytes: int, max_cell: int | None = None) -> None:
        super().__init__(max_rows, max_bytes, max_cell)
        self._documents: list[dict[str, Any]] = []
        self._positions: dict[str, int] = {}

    def add_document(self, document: Mapping[str, Any], types: Mapping[str, str | None]) -> bool:
        """Add one rendered document with the types of its fields; returns whether more can be added.

        Raises:
            LimitExceeded: the documents have too many different fields.
        """
        if self._full():
            return False
        noted: list[tuple[str, str]] = []
        names = _names(document)
        cut = {names[name]: self._kept(names[name], value, noted) for name, value in document.items()}
        if not self._fits(weight(cut)):
            return False
        for what, column in noted:
            self.findings.add(what, column, self.count + 1)
        for name, shown in names.items():
            if shown != name and shown not in self._positions:
                self.findings.add(REPAIRED, shown, 0)
        for name, kind in types.items():
            self._learn(names.get(name) or repaired(name), kind)
        self._documents.append(cut)
        return True

    @property
    def count(self) -> int:
        return len(self._documents)

    def lines(self) -> Iterator[list[Any]]:
        """The documents as rows of all columns, made one by one: together they may be far larger than `max_bytes`."""
        return ([document.get(name) for name in self.columns] for document in self._documents)

    def objects(self) -> list[dict[str, Any]]:
        """The documents, each with its own fields."""
        return self._documents

    def _learn(self, name: str, kind: str | None) -> None:
        position = self._positions.setdefault(name, len(self.columns))
        if position == len(self.columns):
            if position == _MAX_COLUMNS:
                message = f"The documents have more than {_MAX_COLUMNS} different fields. Project those you need."
                raise LimitExceeded(message)
            self.columns.append(name)
            self.types.append(kind)
        elif kind is not None:
            self.types[position] = kind if self.types[position] in (None, kind) else MIXED

    def _kept(self, column: str, value: Any, noted: list[tuple[str, str]]) -> Any:
        """The value with long texts cut, at any depth; `noted` receives what was found, with the column."""
        kept = self._inner(value)
        noted += [(what, column) for what in dict.fromkeys(self._found)]
        self._found.clear()
        return kept

    def _inner(self, value: Any) -> Any:
        if isinstance(value, dict):
            names = _names(value)
            self._found += [REPAIRED for name, shown in names.items() if shown != name]
            return {names[name]: self._inner(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self._inner(item) for item in value]
        return self._rendered(value) if isinstance(value, str) else value


def _names(document: Mapping[str, Any]) -> dict[str, str]:
    """The names of fields as they are shown: those that are no UTF-8 repaired, and numbered where they become equal."""
    shown = {name: repaired(name) for name in document}
    taken = {name for name, one in shown.items() if one == name}
    last: dict[str, int] = {}
    for name, one in shown.items():
        unique = one
        while one != name and unique in taken:
            last[one] = last.get(one, 1) + 1
            unique = f"{one}_{last[one]}"
        taken.add(unique)
        shown[name] = unique
    return shown
