"""MongoDB Extended JSON (v2): values of a caller as BSON types, and documents as JSON."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal

from bson import Binary, Code, DatetimeMS, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp, json_util
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import BSONError

from offloop.errors import BadInput
from offloop_server.io.exact_json import EXACT, MAX_DEPTH

Mode = Literal["relaxed", "canonical"]

CODEC: Final[CodecOptions[dict[str, Any]]] = CodecOptions(
    document_class=dict,
    unicode_decode_error_handler="surrogateescape",
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,  # dates beyond the year 9999 as milliseconds
)
"""Decodes every document that a server may hold."""

_INT64: Final = 2**63
_DATES: Final = (-62135596800000, 253402300799999)
"""Milliseconds of the dates that Python has: of the years 1 to 9999."""
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_REGEX_OPTIONS: Final = frozenset("ilmsux")
_OPTIONS: Final = {"relaxed": json_util.RELAXED_JSON_OPTIONS, "canonical": json_util.CANONICAL_JSON_OPTIONS}
_WRAPPERS: Final = frozenset(
    {
        *("$oid", "$date", "$numberLong", "$numberInt", "$numberDouble", "$numberDecimal", "$binary", "$uuid"),
        *("$regularExpression", "$timestamp", "$minKey", "$maxKey"),
    }
)
"""Keys that make an object with nothing else in it a value: {"$oid": "…"}."""
_TYPES: Final[dict[type, str]] = {
    ObjectId: "objectId",
    str: "string",
    bool: "bool",
    int: "int",
    Int64: "long",
    float: "double",
    Decimal128: "decimal",
    datetime: "date",
    DatetimeMS: "date",
    bytes: "binData",
    Binary: "binData",
    Regex: "regex",
    Timestamp: "timestamp",
    Code: "javascript",
    MinKey: "minKey",
    MaxKey: "maxKey",
    dict: "object",
    list: "array",
}


def is_value(fields: Mapping[str, Any]) -> bool:
    """Whether an object of JSON is a wrapped value such as {"$oid": "…"}."""
    return len(fields) == 1 and next(iter(fields)) in _WRAPPERS


def from_json(fields: Mapping[str, Any]) -> Any:
    """The BSON value of a wrapped one.

    Raises:
        BadInput: it is not written as Extended JSON has it.
    """
    [(name, content)] = fields.items()
    if name == "$date" and isinstance(content, dict) and list(content) == ["$numberLong"]:
        content = from_json(content)
        if isinstance(content, int) and not _DATES[0] <= content <= _DATES[1] and -_INT64 <= content < _INT64:
            return DatetimeMS(content + 0)  # Int64 is no plain int
    elif name == "$date" and isinstance(content, str) and _DAY.fullmatch(content):
        content = f"{content}T00:00:00Z"  # as MongoDB's shell takes it
    try:
        found = json_util.object_hook({name: content}, json_util.CANONICAL_JSON_OPTIONS)
    except (ValueError, TypeError, KeyError, ArithmeticError, BSONError):
        found = None
    # An object is no value, and nothing unchecked may pass. Unknown options would be dropped.
    if found is None or isinstance(found, (dict, list)) or (isinstance(found, Regex) and not _has_options(content)):
        message = f"A value {{{name}: …}} is not written as Extended JSON has it, such as {_EXAMPLES[name]}."
        raise BadInput(message)
    return found


def _has_options(expression: Mapping[str, Any]) -> bool:
    return set(expression["options"]) <= _REGEX_OPTIONS


def to_json(value: Any, mode: Mode, depth: int = 0) -> Any:
    """A BSON value as Extended JSON.

    Relaxed keeps numbers as JSON numbers, except integers beyond 2**53, which JSON readers would round.
    """
    if depth > MAX_DEPTH:
        return "…"
    if isinstance(value, dict):
        return {name: to_json(item, mode, depth + 1) for name, item in value.items()}
    if isinstance(value, list):
        return [to_json(item, mode, depth + 1) for item in value]
    if value is None or type(value) in (str, bool):
        return value
    return _number(value) if mode == "relaxed" and isinstance(value, (int, float)) else _scalar(value, mode)


def type_name(value: Any) -> str | None:
    """The type as $type calls it; None for null."""
    if value is None:
        return None
    return next((_TYPES[base] for base in type(value).__mro__ if base in _TYPES), type(value).__name__)


def _number(value: Any) -> Any:
    """A number in the relaxed form, where JSON can hold it without loss."""
    if isinstance(value, float):
        return value if math.isfinite(value) else _scalar(value, "relaxed")
    return int(value) if -EXACT <= value <= EXACT else {"$numberLong": str(int(value))}


def _scalar(value: Any, mode: Mode) -> Any:
    found = json_util.default(value, _OPTIONS[mode])
    return dict(found) if isinstance(found, Mapping) else found


_EXAMPLES: Final = {
    "$oid": '{"$oid": "65f0c0ffee0123456789abcd"}',
    "$date": '{"$date": "2026-01-31T12:00:00Z"}',
    "$numberLong": '{"$numberLong": "9007199254740993"}',
    "$numberInt": '{"$numberInt": "1"}',
    "$numberDouble": '{"$numberDouble": "NaN"}',
    "$numberDecimal": '{"$numberDecimal": "1.50"}',
    "$binary": '{"$binary": {"base64": "AP8=", "subType": "00"}}',
    "$uuid": '{"$uuid": "3f2b…"}',
    "$regularExpression": '{"$regularExpression": {"pattern": "^a", "options": "i"}}',
    "$timestamp": '{"$timestamp": {"t": 1, "i": 2}}',
    "$minKey": '{"$minKey": 1}',
    "$maxKey": '{"$maxKey": 1}',
}
