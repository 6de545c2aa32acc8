"""Guard of MongoDB queries: stages and operators by allow-list, bounded in depth and size."""

from __future__ import annotations

from typing import Any

import pytest
from bson import Decimal128, Int64, ObjectId

from offloop.errors import BadInput
from offloop_server.io.mongodb.guard import Guard, collection_name
from offloop_server.io.mongodb.operators import OPERATORS, STAGES

CODE = {"body": "function() { while (true) {} }", "args": [], "lang": "js"}
WRITES = [{"$out": "stolen"}, {"$merge": {"into": "stolen"}}]


def nested(levels: int) -> dict[str, Any]:
    """A filter of that many levels."""
    value: dict[str, Any] = {"a": 1}
    for _ in range(levels):
        value = {"$and": [value]}
    return value


@pytest.mark.parametrize(
    "value",
    [
        {"$where": "sleep(60000) || true"},
        {"a": {"$not": {"$where": "1"}}},
        {"$or": [{"a": 1}, {"$and": [{"$where": "1"}]}]},
        {"$expr": {"$function": CODE}},
        {"a": {"$elemMatch": {"b": {"$where": "1"}}}},
        {"$expr": {"$eq": [1, {"$let": {"vars": {"x": {"$function": CODE}}, "in": "$$x"}}]}},
        {"$expr": {"$literal": {"$function": CODE}}},
        {"$accumulator": CODE},
        {"a": {"$made_up": 1}},
        {"$comment": {"$where": "1"}},
        {"a": {"$oid": "65f0c0ffee0123456789abcd", "$where": "1"}},
    ],
)
def test_an_operator_that_is_not_listed_is_refused_at_any_depth(value: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="is not available"):
        Guard().value(value)


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize(
    "around",
    [
        lambda stage: [stage],
        lambda stage: [{"$match": {}}, stage],
        lambda stage: [{"$facet": {"a": [stage]}}],
        lambda stage: [{"$lookup": {"from": "b", "pipeline": [stage], "as": "c"}}],
        lambda stage: [{"$unionWith": {"coll": "b", "pipeline": [stage]}}],
        lambda stage: [{"$lookup": {"from": "b", "pipeline": [{"$facet": {"a": [stage]}}], "as": "c"}}],
    ],
)
def test_a_stage_that_writes_is_refused_in_every_pipeline(around: Any, write: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="is not available: it writes"):
        Guard().pipeline(around(write))


@pytest.mark.parametrize(
    "stage",
    [
        *("$currentOp", "$listSessions", "$listLocalSessions", "$collStats", "$indexStats", "$planCacheStats"),
        *("$changeStream", "$documents", "$search", "match", "$MATCH", "$match ", ""),
    ],
)
def test_a_stage_that_is_not_listed_is_refused(stage: str) -> None:
    with pytest.raises(BadInput, match=r"is not available here\. Stages: .*\$match"):
        Guard().pipeline([{stage: {}}])


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        ("$match", "a list of stages"),
        (["$match"], "one key"),
        ([{}], "one key"),
        ([{"$match": {}, "$out": "x"}], "one key"),
        ([{"$facet": [{"$out": "x"}]}], "takes an object"),
        ([{"$facet": {"a": {"$out": "x"}}}], "a list of stages"),
        ([{"$lookup": {"from": {"db": "admin", "coll": "system.users"}, "as": "a"}}], "the name of a collection"),
        ([{"$lookup": {"from": "system.users", "as": "a"}}], "cannot be read"),
        ([{"$lookup": {"pipeline": [], "as": "a"}}], "the name of a collection"),
        ([{"$unionWith": "system.profile"}], "cannot be read"),
        ([{"$unionWith": {"coll": "system.profile"}}], "cannot be read"),
        ([{"$graphLookup": {"from": "$cmd", "as": "a"}}], "cannot be read"),
        ([{"$graphLookup": {"from": "b", "restrictSearchWithMatch": {"$where": "1"}}}], "is not available"),
        ([{"$lookup": {"from": "b", "let": {"x": {"$function": CODE}}, "as": "a"}}], "is not available"),
        ([{"$group": {"_id": None, "x": {"$accumulator": CODE}}}], "is not available"),
        ([{"$project": {"x": {"$function": CODE}}}], "is not available"),
        ([{"$match": {}}] * 201, "more than 200 stages"),
        ([{"$facet": {"a": [{"$match": {}}] * 150, "b": [{"$match": {}}] * 150}}], "more than 200 stages"),
    ],
)
def test_a_malformed_pipeline_is_refused(pipeline: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Guard().pipeline(pipeline)


def test_depth_and_size_of_a_query_are_bounded() -> None:
    assert Guard().value(nested(20)) == nested(20)
    with pytest.raises(BadInput, match="levels"):
        Guard().value(nested(300))
    with pytest.raises(BadInput, match="values"):
        Guard().value({"a": {"$in": list(range(30_000))}})
    pipeline: list[Any] = [{"$match": {}}]
    for _ in range(40):
        pipeline = [{"$lookup": {"from": "a", "pipeline": pipeline, "as": "b"}}]
    with pytest.raises(BadInput, match="levels"):
        Guard().pipeline(pipeline)


def test_values_are_decoded_and_everything_else_stays() -> None:
    value = {
        "_id": {"$oid": "65f0c0ffee0123456789abcd"},
        "n": {"$gt": {"$numberLong": "9007199254740993"}, "$lt": 5.5},
        "price": {"$in": [{"$numberDecimal": "1.50"}, None, True]},
        "name": {"$regex": "^a", "$options": "i"},
    }
    assert Guard().value(value) == {
        "_id": ObjectId("65f0c0ffee0123456789abcd"),
        "n": {"$gt": Int64(9007199254740993), "$lt": 5.5},
        "price": {"$in": [Decimal128("1.50"), None, True]},
        "name": {"$regex": "^a", "$options": "i"},
    }


@pytest.mark.parametrize("value", [{"$oid": "65f0c0ffee0123456789abcd"}, {"$minKey": 1}, {"$numberInt": "1"}])
def test_a_single_value_in_place_of_fields_is_refused_with_the_argument(value: dict[str, Any]) -> None:
    [name] = value
    for argument in ("filter", "projection"):
        with pytest.raises(BadInput, match=rf"{argument} is an object of fields; \{name} makes"):
            Guard().fields(argument, value)
    with pytest.raises(BadInput, match="sort is an object of fields"):
        Guard().sort(value)


def test_a_direction_is_a_whole_number_or_metadata() -> None:
    given = {"a": -1.0, "b": 1, "c": {"$numberLong": "-1"}, "d": {"$numberDouble": "1"}, "e": {"$meta": "textScore"}}
    checked = Guard().sort(given)
    assert checked == {"a": -1, "b": 1, "c": -1, "d": 1, "e": {"$meta": "textScore"}}
    assert not any(isinstance(direction, float) for direction in checked.values())
    for direction in (None, 0.5, float("nan"), True, "asc", [1], {"$oid": "65f0c0ffee0123456789abcd"}):
        with pytest.raises(BadInput, match="sort: the direction of 'total' is 1, -1"):
            Guard().sort({"total": direction})
    with pytest.raises(BadInput, match="is not available"):
        Guard().sort({"$where": 1})


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**100])
def test_an_integer_beyond_64_bits_is_refused(number: int) -> None:
    with pytest.raises(BadInput, match="64 bits"):
        Guard().value({"a": number})


@pytest.mark.parametrize("name", ["", "a$b", "$cmd", "a\0b", "system.users", "system.js"])
def test_a_collection_of_the_server_itself_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        collection_name(name)


def test_a_field_name_with_nul_is_refused() -> None:
    with pytest.raises(BadInput, match="NUL"):
        Guard().value({"a\0b": 1})


def test_no_stage_is_an_operator_that_hides_a_pipeline() -> None:
    """Stages are checked only where a pipeline is; a name in both lists could stand in the wrong place."""
    assert {"$count"} == STAGES & OPERATORS
    assert not {"$where", "$function", "$accumulator", "$out", "$merge"} & (STAGES | OPERATORS)
