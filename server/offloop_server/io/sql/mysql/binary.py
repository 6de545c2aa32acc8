"""Binary protocol of prepared statements: parameters as the server reads them, rows as Python values.

Numbers are numbers; decimals, dates and times are text, written as the server writes them; binary strings are bytes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pymysql.constants import FIELD_TYPE, FLAG
from pymysql.protocol import FieldDescriptorPacket

from offloop.errors import BadInput
from offloop_server.io.results.values import from_json

_BINARY: Final = 63
"""Number of the character set ``binary``."""
_VECTOR: Final = 242
_MAX_FRACTION: Final = 6
"""Digits of a fraction of a second; a higher number means that the type has no fixed number."""
_MARK_LENGTHS: Final = {0xFC: 2, 0xFD: 3, 0xFE: 8}
"""Bytes of a length after each mark; a smaller first byte is the length itself."""
_INT64: Final = (-(2**63), 2**63, 2**64)
_UNSIGNED: Final = 0x8000
"""Flag of a parameter's type."""
_LENGTH_STEPS: Final = ((0xFB, b"", 1), (1 << 16, b"\xfc", 2), (1 << 24, b"\xfd", 3), (1 << 64, b"\xfe", 8))

Reader = Callable[[bytes, int], tuple[Any, int]]
"""Reads a value at a position of a row; returns it with the position after it."""


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a result.

    Attributes:
        name: as the statement names it.
        type: as the database calls it.
        read: reads a value of the column.
    """

    name: str
    type: str
    read: Reader = field(repr=False)


def field_of(packet: bytes) -> Field:
    """The column that a definition of the server describes."""
    found = FieldDescriptorPacket(packet, "utf-8")
    return Field(found.name, _type_name(found), _reader(found))


def row_of(fields: Sequence[Field], packet: bytes) -> list[Any]:
    """The values of a row."""
    row: list[Any] = []
    position = 1 + (len(fields) + 9) // 8
    for bit, one in enumerate(fields, 2):  # the bitmap of the NULLs has two unused bits in front
        if packet[1 + (bit >> 3)] >> (bit & 7) & 1:
            row.append(None)
        else:
            value, position = one.read(packet, position)
            row.append(value)
    return row


def packed(parameters: Sequence[Any]) -> bytes:
    """The parameters of an execution: bitmap of the NULLs, types, values.

    Raises:
        BadInput: the protocol has no type for one of them.
    """
    if not parameters:
        return b""
    nulls = sum(1 << index for index, value in enumerate(parameters) if value is None)
    bitmap = nulls.to_bytes((len(parameters) + 7) // 8, "little")
    pairs = [_packed(value, number) for number, value in enumerate(parameters, 1)]
    return bitmap + b"\x01" + b"".join(struct.pack("<H", kind) for kind, _ in pairs) + b"".join(raw for _, raw in pairs)


def _packed(value: Any, number: int) -> tuple[int, bytes]:  # noqa: PLR0911 -- one for each type
    """Type and bytes of one parameter."""
    low, high, highest = _INT64
    match value:
        case None:
            return FIELD_TYPE.NULL, b""
        case bool():
            return FIELD_TYPE.TINY, bytes([value])
        case int() if low <= value < high:
            return FIELD_TYPE.LONGLONG, struct.pack("<q", value)
        case int() if 0 <= value < highest:
            return FIELD_TYPE.LONGLONG | _UNSIGNED, struct.pack("<Q", value)
        case float() if math.isfinite(value):
            return FIELD_TYPE.DOUBLE, struct.pack("<d", value)
        case str():
            return FIELD_TYPE.VAR_STRING, _with_length(_encoded(value, number))
        case bytes():
            return FIELD_TYPE.BLOB, _with_length(value)
    kind = "number out of range" if isinstance(value, (int, float)) else type(value).__name__
    message = f"Parameter {number} is a {kind}: send a number, a text, true, false, null or bytes; JSON as a text."
    raise BadInput(message)


def _encoded(text: str, number: int) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        message = f"Parameter {number} has half of a surrogate pair in it, which is no character: send it without."
        raise BadInput(message) from None


def _with_length(data: bytes) -> bytes:
    for bound, mark, width in _LENGTH_STEPS:
        if len(data) < bound:
            return mark + len(data).to_bytes(width, "little") + data
    raise AssertionError


def _reader(column: FieldDescriptorPacket) -> Reader:
    kind, unsigned = column.type_code, bool(column.flags & FLAG.UNSIGNED)
    if kind == FIELD_TYPE.YEAR:  # the year zero as the server writes it: its 0 is the year 2000
        return lambda data, at: (int.from_bytes(data[at : at + 2], "little") or "0000", at + 2)
    if kind in _INTEGERS:
        width = _INTEGERS[kind]
        return lambda data, at: (int.from_bytes(data[at : at + width], "little", signed=not unsigned), at + width)
    if kind in _DATES:
        return lambda data, at: _date(data, at, kind, column.scale)
    if kind in _CONTENT:
        convert = _CONTENT[kind]
    elif kind in _BLOBS and column.charsetnr == _BINARY:
        convert = bytes
    else:
        convert = _text
    return _FLOATS.get(kind) or (lambda data, at: _content(data, at, convert))


def _content(data: bytes, at: int, convert: Callable[[bytes], Any]) -> tuple[Any, int]:
    """A value that has its length in front."""
    length, begin = data[at], at + 1
    if width := _MARK_LENGTHS.get(length):
        length, begin = int.from_bytes(data[begin : begin + width], "little"), begin + width
    end = begin + length
    if end > len(data):
        raise IndexError
    return convert(data[begin:end]), end


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _json(data: bytes) -> Any:
    return from_json(_text(data))


def _bits(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _float(data: bytes, at: int) -> tuple[float, int]:
    """A number of four bytes, with as few digits as identify it: 1.1 instead of 1.100000023841858."""
    (value,) = struct.unpack_from("<f", data, at)
    for digits in range(6, 10):
        short = float(f"{value:.{digits}g}")
        if struct.pack("<f", short) == data[at : at + 4]:
            return short, at + 4
    return value, at + 4


def _double(data: bytes, at: int) -> tuple[float, int]:
    return struct.unpack_from("<d", data, at)[0], at + 8


def _date(data: bytes, at: int, kind: int, scale: int) -> tuple[str, int]:
    """A date, a date with a time, or a time, which may be negative or longer than a day."""
    length = data[at]
    raw = data[at + 1 : at + 1 + length]
    if len(raw) != length:
        raise IndexError
    if kind == FIELD_TYPE.TIME:
        text = _time(raw, scale)
    else:
        year, month, day = struct.unpack("<HBB", raw[:4]) if length else (0, 0, 0)
        text = f"{year:04}-{month:02}-{day:02}"
        if kind not in (FIELD_TYPE.DATE, FIELD_TYPE.NEWDATE):
            hours, minutes, seconds = raw[4:7] or (0, 0, 0)
            text += f" {hours:02}:{minutes:02}:{seconds:02}{_fraction(raw[7:], scale)}"
    return text, at + 1 + length


def _time(raw: bytes, scale: int) -> str:
    if not raw:
        return f"00:00:00{_fraction(b'', scale)}"
    negative, days, hours, minutes, seconds = struct.unpack("<BIBBB", raw[:8])
    sign = "-" if negative else ""
    return f"{sign}{days * 24 + hours:02}:{minutes:02}:{seconds:02}{_fraction(raw[8:], scale)}"


def _fraction(raw: bytes, scale: int) -> str:
    digits = f"{int.from_bytes(raw, 'little'):06}"
    if scale > _MAX_FRACTION:
        return f".{digits}" if raw else ""
    return f".{digits[:scale]}" if scale else ""


def _type_name(column: FieldDescriptorPacket) -> str:
    kind, binary = column.type_code, column.charsetnr == _BINARY
    if column.flags & FLAG.ENUM:
        return "enum"
    if column.flags & FLAG.SET:
        return "set"
    name, of_bytes = _NAMES.get(kind, ("", ""))
    if kind in _INTEGERS and kind != FIELD_TYPE.YEAR and column.flags & FLAG.UNSIGNED:
        return f"{name} unsigned"
    return of_bytes if binary and of_bytes else name


_INTEGERS: Final = {
    FIELD_TYPE.TINY: 1,
    FIELD_TYPE.SHORT: 2,
    FIELD_TYPE.YEAR: 2,
    FIELD_TYPE.LONG: 4,
    FIELD_TYPE.INT24: 4,
    FIELD_TYPE.LONGLONG: 8,
}
_FLOATS: Final[dict[int, Reader]] = {FIELD_TYPE.FLOAT: _float, FIELD_TYPE.DOUBLE: _double}
_DATES: Final = (FIELD_TYPE.DATE, FIELD_TYPE.NEWDATE, FIELD_TYPE.DATETIME, FIELD_TYPE.TIMESTAMP, FIELD_TYPE.TIME)
_BLOBS: Final = (
    *(FIELD_TYPE.TINY_BLOB, FIELD_TYPE.MEDIUM_BLOB, FIELD_TYPE.LONG_BLOB, FIELD_TYPE.BLOB),
    *(FIELD_TYPE.VAR_STRING, FIELD_TYPE.STRING, FIELD_TYPE.VARCHAR),
)
"""Types that hold text or bytes, as their character set says."""
_CONTENT: Final[dict[int, Callable[[bytes], Any]]] = {
    FIELD_TYPE.BIT: _bits,
    FIELD_TYPE.JSON: _json,
    FIELD_TYPE.GEOMETRY: bytes,
    _VECTOR: bytes,
}
_NAMES: Final[dict[int, tuple[str, str]]] = {
    FIELD_TYPE.DECIMAL: ("decimal", ""),
    FIELD_TYPE.NEWDECIMAL: ("decimal", ""),
    FIELD_TYPE.TINY: ("tinyint", ""),
    FIELD_TYPE.SHORT: ("smallint", ""),
    FIELD_TYPE.INT24: ("mediumint", ""),
    FIELD_TYPE.LONG: ("int", ""),
    FIELD_TYPE.LONGLONG: ("bigint", ""),
    FIELD_TYPE.FLOAT: ("float", ""),
    FIELD_TYPE.DOUBLE: ("double", ""),
    FIELD_TYPE.NULL: ("null", ""),
    FIELD_TYPE.TIMESTAMP: ("timestamp", ""),
    FIELD_TYPE.DATE: ("date", ""),
    FIELD_TYPE.NEWDATE: ("date", ""),
    FIELD_TYPE.TIME: ("time", ""),
    FIELD_TYPE.DATETIME: ("datetime", ""),
    FIELD_TYPE.YEAR: ("year", ""),
    FIELD_TYPE.BIT: ("bit", ""),
    FIELD_TYPE.JSON: ("json", ""),
    FIELD_TYPE.GEOMETRY: ("geometry", ""),
    _VECTOR: ("vector", ""),
    FIELD_TYPE.VARCHAR: ("varchar", "varbinary"),
    FIELD_TYPE.VAR_STRING: ("varchar", "varbinary"),
    FIELD_TYPE.STRING: ("char", "binary"),
    **dict.fromkeys(_BLOBS[:4], ("text", "blob")),
}
