"""Result rows: rendered as JSON values, and capped while they are read."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, time
from typing import Any, Final, Literal

from offloop_server.io.exact_json import EXACT, MAX_DEPTH, parsed

CELL_BYTES = 8
"""Bytes counted for each cell in addition to its content."""

_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}

Limit = Literal["rows", "bytes"]


class Rows:
    """Collects rows up to a cap.

    Args:
        max_rows: maximum number of rows.
        max_bytes: maximum bytes of content, approximately.
        max_cell: maximum characters, or bytes, of one value; longer values are truncated and counted in `cut`.
    """

    def __init__(self, max_rows: int, max_bytes: int, max_cell: int | None = None) -> None:
        self.columns: list[str] = []
        self.types: list[str | None] = []
        self.rows: list[list[Any]] = []
        self.truncated_by: Limit | None = None
        self.cut = 0
        self.notes: list[str] = []
        self.max_rows = max_rows
        self.max_bytes = max_bytes
        self._max_cell = max_cell
        self._bytes = 0

    def begin(self, columns: Iterable[str], types: Iterable[str | None]) -> None:
        """Set the columns; a repeated name gets a number, so that rows can be objects."""
        taken: set[str] = set()
        last: dict[str, int] = {}  # keeps the numbering linear in the number of columns
        for name in columns:
            unique = name
            while unique in taken:
                last[name] = last.get(name, 1) + 1
                unique = f"{name}_{last[name]}"
            taken.add(unique)
            self.columns.append(unique)
        self.types = list(types)

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self.rows)

    @property
    def missing(self) -> int:
        """Rows still to fetch: one more than fit, which shows whether there are more."""
        return 0 if self.truncated_by else self.max_rows - self.count + 1

    def add(self, rows: Iterable[Sequence[Any]], *, ready: bool = False) -> bool:
        """Add rows; returns whether more can be added.

        Args:
            rows: their values.
            ready: lists and objects are JSON values already, such as those of `from_json`.
        """
        render = self._shortened if ready else self._rendered
        for row in rows:
            if self._full():
                return False
            cells = [render(value) for value in row]
            if not self._fits(sum(map(weight, cells))):
                return False
            self.rows.append(cells)
        return True

    def add_beginning(self, value: str | bytes, size: int) -> bool:
        """Add a row of one value, of which perhaps only the beginning was read.

        Args:
            value: the beginning.
            size: bytes of the whole.
        """
        if size <= _size(value):
            return self.add([[value]])
        kept = value[: self._max_cell]
        missing = size - _size(kept)
        cell = f"{kept}… ({missing} more bytes)" if isinstance(kept, str) else {**rendered(kept), "bytes": size}
        if self._full() or not self._fits(weight(cell)):
            return False
        self.rows.append([cell])
        self.cut += 1
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

    def _cut_text(self, text: str) -> str:
        if self._max_cell is None or len(text) <= self._max_cell:
            return text
        self.cut += 1
        return f"{text[: self._max_cell]}… ({len(text) - self._max_cell} more characters)"

    def _shortened(self, value: Any) -> Any:
        return value if type(value) in _READY else self._rendered(value)

    def _rendered(self, value: Any) -> Any:
        if type(value) is str and value.isascii() and (self._max_cell is None or len(value) <= self._max_cell):
            return value
        cell = rendered(value)
        if self._max_cell is None:
            return cell
        if isinstance(cell, str):
            return self._cut_text(cell)
        if isinstance(value, (bytes, bytearray, memoryview)) and len(value) > self._max_cell:
            self.cut += 1
            return {"base64": base64.b64encode(bytes(value[: self._max_cell])).decode(), "bytes": len(value)}
        return cell


_SMALL: Final = frozenset({int, float, bool, type(None)})
_READY: Final = frozenset({type(None), bool, list, dict})


def rendered(value: Any, depth: int = 0) -> Any:
    """A database value as a JSON value, without loss.

    Bytes become ``{"base64": …}``; integers beyond 2**53, decimals, dates and other types unknown to JSON become text,
    and so do NaN and the infinities. Only levels nested too deeply are omitted.
    """
    render = _RENDERERS.get(type(value)) or _inherited_renderer(type(value))
    return render(value, depth)


def from_json(text: str) -> Any:
    """The value of a JSON column; the text itself where `parsed` would lose something."""
    try:
        return parsed(text)
    except ValueError:
        return text


def _unchanged(value: Any, _depth: int) -> Any:
    return value


def _text(value: Any, _depth: int = 0) -> str:
    text = value if isinstance(value, str) else str(value)
    # Half a surrogate pair cannot be encoded as UTF-8: it becomes a question mark.
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _integer(value: int, _depth: int) -> int | str:
    return value if -EXACT <= value <= EXACT else str(value)


def _float(value: float, _depth: int) -> float | str:
    return value if math.isfinite(value) else _NOT_FINITE[str(value)]


def _base64(value: bytes | bytearray | memoryview, _depth: int) -> dict[str, str]:
    return {"base64": base64.b64encode(bytes(value)).decode()}


def _items(value: Iterable[Any], depth: int) -> list[Any]:
    return [_inner(item, depth) for item in value]


def _object(value: Any, depth: int) -> dict[str, Any]:
    """A mapping as a JSON object."""
    return {_text(str(name)): _inner(item, depth) for name, item in value.items()}


def _iso(value: date | time, _depth: int) -> str:
    return value.isoformat()


def _inner(value: Any, depth: int) -> Any:
    return rendered(value, depth + 1) if depth < MAX_DEPTH else "…"


_RENDERERS: Final[dict[type, Callable[[Any, int], Any]]] = {
    **dict.fromkeys((type(None), bool), _unchanged),
    str: _text,
    int: _integer,
    float: _float,
    **dict.fromkeys((bytes, bytearray, memoryview), _base64),
    **dict.fromkeys((list, tuple, set, frozenset), _items),
    dict: _object,
    **dict.fromkeys((date, time), _iso),
}


def _inherited_renderer(kind: type) -> Callable[[Any, int], Any]:
    """The renderer of the nearest base class; other types become text."""
    return next((_RENDERERS[base] for base in kind.__mro__ if base in _RENDERERS), _text)


def _size(value: str | bytes) -> int:
    return len(value.encode() if isinstance(value, str) else value)


def weight(value: Any) -> int:
    """Bytes that are counted for a rendered value."""
    if type(value) in _SMALL:
        return CELL_BYTES
    if isinstance(value, str):
        return len(value) + CELL_BYTES
    if isinstance(value, dict):
        return sum(len(name) + weight(item) for name, item in value.items()) + CELL_BYTES
    if isinstance(value, list):
        return sum(map(weight, value)) + CELL_BYTES
    return CELL_BYTES
