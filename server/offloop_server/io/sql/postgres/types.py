"""Types of PostgreSQL: how the server's text of a value becomes a JSON value, and a caller's value the server's text.

Every value travels in the text form that psql shows. Only what JSON has itself is made of it: numbers, booleans, JSON,
bytes as {"base64": …}, and arrays as lists. So a type that is not known here is right, too, alone and inside others.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from offloop_server.io.exact_json import exact_int, parsed, written
from offloop_server.io.results.values import JSON_NULL, from_json
from offloop_server.io.sql.postgres import arrays
from offloop_server.io.sql.postgres.arrays import Decode

_FIXED: Final = 10_000
"""Numbers below belong to the same type on every server."""
_BYTEA: Final = 17
_JSON: Final = frozenset({114, 3802})
_BOOLEAN: Final = 16
_SMALL_INTEGERS: Final = frozenset({21, 23, 26, 28, 29})
"""int2, int4, oid, xid, cid: a double holds each of their values."""
_INTEGERS: Final = frozenset({20, 5069, 6437})
"""int8, xid8, oid8."""
_FLOATS: Final = frozenset({700, 701})
_NOT_FINITE: Final = frozenset({"NaN", "Infinity", "-Infinity"})
_TEXTS: Final = frozenset({18, 19, 25, 1042, 1043})
"""Types of text."""

LOOKUP: Final = """
WITH RECURSIVE found AS (
    SELECT t.oid, t.typname, t.typtype, t.typdelim, t.typbasetype, e.oid AS element
    FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND e.typarray = t.oid
    WHERE t.oid = ANY ($1::oid[])
    UNION
    SELECT t.oid, t.typname, t.typtype, t.typdelim, t.typbasetype, e.oid
    FROM found JOIN pg_catalog.pg_type t ON t.oid IN (found.typbasetype, found.element)
    LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND e.typarray = t.oid
)
SELECT oid, typname, typtype, typdelim, typbasetype, element FROM found
"""
"""The types of some numbers, with their elements and base types."""


class Unfit(Exception):  # noqa: N818 -- a value, and no fault
    """A value that a type cannot have; the text says what the value is."""


@dataclass(frozen=True, slots=True)
class Type:
    """A type.

    Attributes:
        oid: its number.
        name: as the catalogue has it; of an array, that of its elements and ``[]``.
        kind: ``b`` for base types, ``c`` composite, ``e`` enum, ``m`` multirange, ``p`` pseudo, ``r`` range.
        delimiter: between the elements of an array of this type.
        element: of an array.
        decode: makes a value of the server's text; ``None`` where the text is the value.
    """

    oid: int
    name: str
    kind: str = "b"
    delimiter: str = ","
    element: Type | None = None
    decode: Decode | None = field(default=None, repr=False, compare=False)

    @property
    def has_lists(self) -> bool:
        """Whether a value may be a list."""
        return self.element is not None or self.oid in _JSON

    def text(self, value: Any) -> str | None:
        """The server's text of a caller's value; ``None`` for NULL.

        Raises:
            Unfit: the type has no such value.
        """
        if value is None:
            return None
        if self.oid in _JSON:
            return _json_text(value)
        if isinstance(value, str):
            return value
        if isinstance(value, (int, float)):
            return json.dumps(value) if self.oid in _TEXTS else written(value)
        if isinstance(value, list) and self.element is not None:
            inner = self.element
            return arrays.write(value, inner.delimiter, inner.text, of_lists=inner.has_lists)
        if isinstance(value, dict) and set(value) == {"base64"}:
            return self._bytes_text(value["base64"])
        what = "a list" if isinstance(value, list) else "an object"
        raise Unfit(what)

    def example(self) -> str:
        """A value of the type, as JSON writes it."""
        if self.element is not None:
            return f"[{self.element.example()}]"
        known = _EXAMPLES.get(self.name) or _EXAMPLES_OF_KINDS.get(self.kind)
        return known or "the text that a SELECT of such a column shows"

    def _bytes_text(self, encoded: Any) -> str:
        if self.oid != _BYTEA:
            what = "bytes"
            raise Unfit(what)
        try:
            return "\\x" + base64.b64decode(encoded, validate=True).hex()
        except (ValueError, TypeError):  # of another character than ASCII, too
            what = "{base64: …} that does not decode: encode the bytes again"
            raise Unfit(what) from None


class Types:
    """The types of one database, as far as they were needed.

    A type of the server's own is kept for good. The others are looked up for each statement: they may be renamed, or
    dropped and made again.
    """

    def __init__(self) -> None:
        self._fixed: dict[int, Type] = {}

    def missing(self, oids: Iterable[int]) -> str:
        """The unknown ones of some numbers as a parameter of `LOOKUP`; empty if there is none."""
        unknown = sorted(set(oids) - self._fixed.keys())
        return "{" + ",".join(map(str, unknown)) + "}" if unknown else ""

    def known(self, oids: Iterable[int], rows: Iterable[tuple[Any, ...]] = ()) -> list[Type]:
        """The types of some numbers.

        Args:
            oids: the numbers.
            rows: what `LOOKUP` has found for those that were missing.
        """
        found = {int(row[0]): row for row in rows}
        made = dict(self._fixed)
        types = [_made(oid, found, made) for oid in oids]
        self._fixed.update({oid: one for oid, one in made.items() if oid < _FIXED and oid in found})
        return types


def _made(oid: int, rows: Mapping[int, tuple[Any, ...]], made: dict[int, Type]) -> Type:
    """The type of a number, of its row and those of its parts."""
    if oid in made:
        return made[oid]
    if oid not in rows:  # dropped since, or hidden
        return Type(oid, f"type {oid}")
    _, name, kind, delimiter, base, element = rows[oid]
    if element is not None:
        inner = _made(int(element), rows, made)
        item = _base64 if inner.oid == _BYTEA else inner.decode
        decode: Decode = partial(arrays.read, delimiter=inner.delimiter, decode=item, of_lists=inner.has_lists)
        if inner.oid in _JSON:
            decode = partial(_json_array, read=decode)
        made[oid] = Type(oid, f"{inner.name}[]", kind, delimiter, inner, decode)
    elif int(base):
        # A value of a domain is one of its base type.
        under = _made(int(base), rows, made)
        made[oid] = Type(under.oid, name, under.kind, delimiter, under.element, under.decode)
    else:
        made[oid] = Type(oid, name, kind, delimiter, None, _decode(oid))
    return made[oid]


def _decode(oid: int) -> Decode | None:
    if oid in _SMALL_INTEGERS:
        return int
    if oid in _INTEGERS:
        return exact_int
    if oid in _FLOATS:
        return _float
    if oid in _JSON:
        return from_json
    return {_BOOLEAN: _boolean, _BYTEA: _bytes}.get(oid)


def _boolean(text: str) -> bool:
    return text == "t"


def _float(text: str) -> float | str:
    return text if text in _NOT_FINITE else float(text)


def _base64(text: str) -> dict[str, str] | str:
    found = _bytes(text)
    return found if isinstance(found, str) else {"base64": base64.b64encode(found).decode()}


def _json_array(text: str, read: Decode) -> Any:
    """The array, or its text where a null of JSON would be taken for NULL."""
    value = read(text)
    return text if isinstance(value, list) and any(item is JSON_NULL for item in value) else value


def _bytes(text: str) -> bytes | str:
    # A statement may have chosen the other form, which is text.
    return bytes.fromhex(text[2:]) if text.startswith("\\x") else text


def _json_text(value: Any) -> str:
    """JSON as it is written; a text that is none is a string of JSON, unless it looks like a mistake."""
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    try:
        parsed(value)
    except ValueError:
        return value if value.lstrip()[:1] in ("{", "[", '"', "") else json.dumps(value, ensure_ascii=False)
    return value


_EXAMPLES: Final = {
    **dict.fromkeys(("int2", "int4", "int8", "oid", "xid", "cid", "xid8"), "42"),
    **dict.fromkeys(("float4", "float8"), "1.5"),
    **dict.fromkeys(("text", "varchar", "bpchar", "name", "char", "citext"), '"a"'),
    **dict.fromkeys(("json", "jsonb"), '{"a": 1} or its text'),
    "numeric": '"12.50"',
    "money": '"12.50"',
    "bool": "true",
    "bytea": '{"base64": "AP8="}',
    "date": '"2026-01-31"',
    "time": '"23:59:59"',
    "timetz": '"23:59:59+01"',
    "timestamp": '"2026-01-31 23:59:59"',
    "timestamptz": '"2026-01-31 23:59:59+01"',
    "interval": '"1 mon 2 days 03:00:00"',
    "uuid": '"5b0f3a2e-0000-4000-8000-000000000001"',
    "inet": '"192.0.2.1"',
    "cidr": '"192.0.2.0/24"',
    "macaddr": '"08:00:2b:01:02:03"',
    "macaddr8": '"08:00:2b:01:02:03:04:05"',
    "bit": '"101"',
    "varbit": '"101"',
    "xml": '"<a/>"',
    "point": '"(1,2)"',
    "lseg": '"[(0,0),(1,1)]"',
    "box": '"(1,1),(0,0)"',
    "circle": '"<(0,0),1>"',
    "hstore": '"\\"a\\"=>\\"1\\""',
}
_EXAMPLES_OF_KINDS: Final = {
    "r": '"[1,5)", with ends of its own type',
    "m": '"{[1,5),[7,8)}", with ends of its own type',
    "c": '"(1,a)", one part for each column of the row',
    "e": "one of its labels",
}
