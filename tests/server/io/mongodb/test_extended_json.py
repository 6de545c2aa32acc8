"""Extended JSON: values in and out, without loss."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import bson
import pytest
from bson import Binary, Code, DatetimeMS, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from hypothesis import given
from hypothesis import strategies as st

from offloop.errors import BadInput
from offloop_server.io.mongodb.extended_json import CODEC, Mode, from_json, is_value, to_json, type_name
from offloop_server.io.mongodb.guard import Guard

OID = ObjectId("65f0c0ffee0123456789abcd")
DATE = datetime(2026, 1, 31, 12, tzinfo=UTC).replace(tzinfo=None)

VALUES: list[tuple[Any, Any, str | None]] = [
    (OID, {"$oid": str(OID)}, "objectId"),
    (DATE, {"$date": "2026-01-31T12:00:00Z"}, "date"),
    (datetime(1960, 1, 1), {"$date": {"$numberLong": "-315619200000"}}, "date"),  # noqa: DTZ001 -- as bson has it
    (DatetimeMS(2**50), {"$date": {"$numberLong": "1125899906842624"}}, "date"),
    (DatetimeMS(-(2**63)), {"$date": {"$numberLong": "-9223372036854775808"}}, "date"),
    (Decimal128("1.50"), {"$numberDecimal": "1.50"}, "decimal"),
    (Decimal128("NaN"), {"$numberDecimal": "NaN"}, "decimal"),
    (Int64(5), 5, "long"),
    (Int64(2**53), 2**53, "long"),
    (Int64(2**53 + 1), {"$numberLong": "9007199254740993"}, "long"),
    (1.5, 1.5, "double"),
    (math.inf, {"$numberDouble": "Infinity"}, "double"),
    (b"\x00\xff", {"$binary": {"base64": "AP8=", "subType": "00"}}, "binData"),
    (Binary.from_uuid(UUID(int=5)), {"$binary": {"base64": "AAAAAAAAAAAAAAAAAAAABQ==", "subType": "04"}}, "binData"),
    (Regex("^a", "i"), {"$regularExpression": {"pattern": "^a", "options": "i"}}, "regex"),
    (Timestamp(1, 2), {"$timestamp": {"t": 1, "i": 2}}, "timestamp"),
    (MinKey(), {"$minKey": 1}, "minKey"),
    (MaxKey(), {"$maxKey": 1}, "maxKey"),
    (Code("x"), {"$code": "x"}, "javascript"),
    (True, True, "bool"),
    ("text", "text", "string"),
    (None, None, None),
    ([1, {"a": OID}], [1, {"a": {"$oid": str(OID)}}], "array"),
]


@pytest.mark.parametrize(("value", "expected", "kind"), VALUES)
def test_a_value_is_written_as_extended_json(value: Any, expected: Any, kind: str | None) -> None:
    stored = bson.decode(bson.encode({"v": value}), CODEC)["v"]
    assert to_json(stored, "relaxed") == expected
    assert type_name(stored) == kind
    json.dumps(to_json(stored, "relaxed"), allow_nan=False)


@pytest.mark.parametrize("value", [value for value, *_ in VALUES if not isinstance(value, (Code, list))])
@pytest.mark.parametrize("mode", ["relaxed", "canonical"])
def test_a_written_value_is_read_back(value: Any, mode: Mode) -> None:
    written = to_json(value, mode)
    read = from_json(written) if isinstance(written, dict) else written
    assert bson.encode({"v": read})[5:] == bson.encode({"v": value})[5:] or read == value
    if mode == "canonical" and not isinstance(value, (str, bool, type(None))):
        assert is_value(written)


def test_a_date_may_be_a_day() -> None:
    assert from_json({"$date": "2026-01-31"}) == from_json({"$date": "2026-01-31T00:00:00Z"})


def test_canonical_shows_the_type_of_each_number() -> None:
    document = {"i": 1, "l": Int64(1), "d": 1.0}
    written = {"i": {"$numberInt": "1"}, "l": {"$numberLong": "1"}, "d": {"$numberDouble": "1.0"}}
    assert to_json(document, "canonical") == written


def test_a_reference_to_a_document_keeps_its_parts() -> None:
    written = to_json(DBRef("orders", OID), "relaxed")
    assert written == {"$ref": "orders", "$id": {"$oid": str(OID)}}
    assert bson.encode({"v": Guard().value(written)}) == bson.encode({"v": DBRef("orders", OID)}), "it can be sent back"


def test_levels_nested_too_deeply_are_omitted() -> None:
    value: Any = 1
    for _ in range(300):
        value = [value]
    assert "…" in json.dumps(to_json(value, "relaxed"), ensure_ascii=False)


@pytest.mark.parametrize(
    "written",
    [
        {"$oid": "65f0"},
        {"$oid": 5},
        {"$oid": {"$where": "1"}},
        {"$date": "yesterday"},
        {"$date": {"$date": "2026-01-31T12:00:00Z"}},
        {"$date": {"$numberLong": "9" * 30}},
        {"$numberInt": "one"},
        {"$numberLong": {"$where": "1"}},
        {"$numberDouble": []},
        {"$numberDecimal": "1,5"},
        {"$binary": {"base64": "A", "subType": "00"}},
        {"$binary": 5},
        {"$uuid": "5"},
        {"$regularExpression": "^a"},
        {"$regularExpression": {"pattern": "^a", "options": "ig"}},
        {"$date": "2026-02-30"},
        {"$timestamp": 5},
    ],
)
def test_a_malformed_value_is_refused_with_an_example(written: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="is not written as Extended JSON has it, such as"):
        from_json(written)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@given(st.sampled_from(["$oid", "$date", "$numberLong", "$binary", "$uuid", "$timestamp", "$minKey"]), anything)
def test_no_wrapped_value_brings_an_object_along(name: str, content: Any) -> None:
    """Nothing unchecked may reach the server within a value."""
    try:
        found = from_json({name: content})
    except BadInput:
        return
    assert not isinstance(found, (dict, list))
