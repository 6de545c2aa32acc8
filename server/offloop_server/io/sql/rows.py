"""The rows of an answer: rendered as JSON can carry them, and capped while they come in."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Sequence
from datetime import date, time
from typing import Any, Literal

from offloop_server.io.nesting import MAX_DEPTH, too_deep

_EXACT = 2**53
"""Beyond it a JSON number loses digits in most readers; such numbers travel as text."""
_OVERHEAD = 8
"""Bytes that a cell counts for beside its content, so that many tiny cells are not free."""

_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}

Limit = Literal["rows", "bytes"]


class Rows:
    """Collects rows until there are enough.

    Args:
        max_rows: rows kept at most.
        max_bytes: about how many bytes of content are kept at most.
        max_cell: characters, or bytes, of one value that are kept; the rest is cut off and counted.
    """

    def __init__(self, max_rows: int, max_bytes: int, max_cell: int | None = None) -> None:
        self.columns: list[str] = []
        self.types: list[str | None] = []
        self.rows: list[list[Any]] = []
        self.truncated_by: Limit | None = None
        self.cut = 0
        self.max_rows = max_rows
        self.max_bytes = max_bytes
        self._max_cell = max_cell
        self._bytes = 0

    def begin(self, columns: Iterable[str], types: Iterable[str | None]) -> None:
        """Name the columns; a name that comes again is numbered, so that rows can be objects."""
        taken: set[str] = set()
        last: dict[str, int] = {}  # without it, a thousand columns of one name would take many seconds
        for name in columns:
            unique = name
            while unique in taken:
                last[name] = last.get(name, 1) + 1
                unique = f"{name}_{last[name]}"
            taken.add(unique)
            self.columns.append(unique)
        self.types = list(types)

    @property
    def missing(self) -> int:
        """How many rows to ask for: one more than fit, which tells whether there are more."""
        return 0 if self.truncated_by else self.max_rows - len(self.rows) + 1

    def add(self, rows: Iterable[Sequence[Any]]) -> bool:
        """Take rows in; answers whether more are welcome."""
        for row in rows:
            if len(self.rows) >= self.max_rows:
                self.truncated_by = "rows"
                return False
            made = [self._rendered(value) for value in row]
            self._bytes += sum(_weight(value) for value in made)
            if self._bytes > self.max_bytes:
                self.truncated_by = "bytes"
                return False
            self.rows.append(made)
        return True

    def objects(self) -> list[dict[str, Any]]:
        """Each row as an object."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def _rendered(self, value: Any) -> Any:
        made = rendered(value)
        if self._max_cell is None:
            return made
        if isinstance(made, str) and len(made) > self._max_cell:
            self.cut += 1
            return f"{made[: self._max_cell]}… ({len(made) - self._max_cell} more characters)"
        if isinstance(value, (bytes, bytearray, memoryview)) and len(value) > self._max_cell:
            self.cut += 1
            return {"base64": base64.b64encode(bytes(value[: self._max_cell])).decode(), "bytes": len(value)}
        return made


def rendered(value: Any, depth: int = 0) -> Any:
    """A value of a database as JSON can carry it without loss.

    Bytes become ``{"base64": …}``; whole numbers beyond 2**53, decimals, dates and what else JSON does not know become
    text, and so do NaN and the infinities. Only what is nested too deeply is left out.
    """
    match value:
        case None | bool():
            made: Any = value
        case str():
            made = _clean(value)
        case int():
            made = value if -_EXACT <= value <= _EXACT else str(value)
        case float():
            made = value if math.isfinite(value) else _NOT_FINITE[str(value)]
        case bytes() | bytearray() | memoryview():
            made = {"base64": base64.b64encode(bytes(value)).decode()}
        case list() | tuple() | set() | frozenset():
            made = [_inner(item, depth) for item in value]
        case _ if hasattr(value, "items"):  # a composite of asyncpg is no Mapping
            made = {_clean(str(name)): _inner(item, depth) for name, item in value.items()}
        case _ if hasattr(value, "lower_inc"):  # a range of asyncpg
            made = _range(value)
        case date() | time():
            made = value.isoformat()
        case _:
            made = str(value)
    return made


def _inner(value: Any, depth: int) -> Any:
    return rendered(value, depth + 1) if depth < MAX_DEPTH else "…"


def from_json(text: str) -> Any:
    """The value of a JSON column; the text itself where it is nested too deeply to be taken apart."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if too_deep(value) else value


def _range(value: Any) -> str:
    if value.isempty:
        return "empty"
    low, high = ("" if end is None else str(rendered(end)) for end in (value.lower, value.upper))
    return f"{'[' if value.lower_inc else '('}{low},{high}{']' if value.upper_inc else ')'}"


def _clean(text: str) -> str:
    # Half a surrogate pair cannot be written as UTF-8; what cannot be sent is shown as a mark.
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _weight(value: Any) -> int:
    if isinstance(value, str):
        return len(value) + _OVERHEAD
    if isinstance(value, dict):
        return sum(len(name) + _weight(item) for name, item in value.items()) + _OVERHEAD
    if isinstance(value, list):
        return sum(map(_weight, value)) + _OVERHEAD
    return _OVERHEAD
