"""Values of a source as JSON values, without loss."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Iterable
from datetime import date, time
from typing import Any, Final

from offloop_server.io.exact_json import EXACT, MAX_DEPTH, parsed

CELL_BYTES: Final = 8
"""Bytes counted for each cell in addition to its content."""
_NOT_FINITE: Final = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_SURROGATE: Final = re.compile("[\ud800-\udfff]+")


class JsonNull:
    """The null of JSON as the value of a column; SQL's NULL is None."""


JSON_NULL: Final = JsonNull()


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
        value = parsed(text)
    except ValueError:
        return text
    return JSON_NULL if value is None else value


def _unchanged(value: Any, _depth: int) -> Any:
    return value


def _text(value: Any, _depth: int = 0) -> str:
    text = value if isinstance(value, str) else str(value)
    return repaired(text)


def repaired(text: str) -> str:
    """The text with U+FFFD for what is no character: bytes that are no UTF-8, which decoders pass as surrogates."""
    if text.isascii() or not _SURROGATE.search(text):
        return text
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    except UnicodeEncodeError:  # half of a surrogate pair, from elsewhere
        return _SURROGATE.sub("\ufffd", text)


def _nothing(_value: Any, _depth: int) -> None:
    return None


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
    JsonNull: _nothing,
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


def weight(value: Any) -> int:
    """Bytes that are counted for a rendered value."""
    return weight_of_all((value,))


def weight_of_all(values: Iterable[Any]) -> int:
    """Bytes that are counted for rendered values; one loop for all, since most cells are small."""
    total = 0
    for value in values:
        total += CELL_BYTES
        if isinstance(value, str):
            total += len(value)
        elif isinstance(value, dict):
            total += sum(map(len, value)) + weight_of_all(value.values())
        elif isinstance(value, list):
            total += weight_of_all(value)
    return total
