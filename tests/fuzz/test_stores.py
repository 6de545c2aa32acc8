"""Queries and commands that callers send to document and key stores: what is passed on was allowed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import bson
from hypothesis import example, given
from hypothesis import strategies as st

from offloop.errors import BadInput
from offloop_server.io.mongodb.guard import Guard
from offloop_server.io.mongodb.operators import OPERATORS, STAGES
from offloop_server.io.redis.commands import COMMANDS, prepared
from offloop_server.io.redis.guard import OWN, Keyspace
from support.fuzzing import check_refusal

_REFUSED = ("$where", "$function", "$accumulator", "$out", "$merge", "$currentOp", "$ where", "$WHERE", "$$where")
_WRAPPERS = ("$oid", "$date", "$numberLong", "$binary", "$uuid", "$timestamp", "$minKey", "$regularExpression")
_PARTS = ("pipeline", "from", "coll", "let", "as", "a", "a.b", "", "base64", "subType", "pattern", "options", "t", "i")
_names = st.one_of(
    st.sampled_from(sorted(OPERATORS)),
    st.sampled_from(sorted(STAGES)),
    st.sampled_from([*_REFUSED, *_WRAPPERS, *_PARTS]),
    st.text(max_size=5),
)
_leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("orders")
_values = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=20,
)
_pipelines = st.lists(st.dictionaries(st.sampled_from([*sorted(STAGES), *_REFUSED]), _values, max_size=2), max_size=4)


def _dollars(value: Any) -> Iterator[str]:
    """Names in a checked value that MongoDB could take for an operator or stage."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name.startswith("$"):
                yield name
            yield from _dollars(item)
    if isinstance(value, list):
        for item in value:
            yield from _dollars(item)


@given(st.dictionaries(_names, _values, max_size=3))
@example({"a": {"$oid": {"$where": "1"}}})
@example({"a": {"$minKey": {"$where": "1"}}})
def test_a_filter_that_passes_has_only_listed_operators(value: dict[str, Any]) -> None:
    try:
        checked = Guard().value(value)
    except BadInput as refused:
        check_refusal(refused)
        return
    assert set(_dollars(checked)) <= OPERATORS
    with contextlib.suppress(bson.errors.BSONError, OverflowError, UnicodeError):  # the driver answers with a refusal
        bson.encode({"filter": checked})


@given(_pipelines)
def test_a_pipeline_that_passes_has_only_listed_stages(stages: list[Any]) -> None:
    try:
        checked = Guard().pipeline(stages)
    except BadInput as refused:
        check_refusal(refused)
        return
    assert set(_dollars(checked)) <= OPERATORS | STAGES
    assert all(set(stage) <= STAGES for stage in checked)


@given(
    st.sampled_from(sorted(COMMANDS)) | st.text(max_size=12),
    st.lists(st.binary(max_size=12) | st.sampled_from([b"shop:1", b"offloop:a", b"arq:a", b"MATCH", b"*"]), max_size=6),
    st.lists(st.sampled_from(["shop:", "", "off", "*"]), min_size=1, max_size=2),
)
def test_a_command_that_passes_names_only_allowed_keys(name: str, arguments: list[bytes], prefixes: list[str]) -> None:
    keyspace = Keyspace(tuple(prefixes))
    try:
        prepared(name, arguments, keyspace)
    except BadInput as refused:
        check_refusal(refused)
        return
    command = COMMANDS[name.strip().upper()]
    keys = {"first": arguments[:1], "all": arguments, "none": []}[command.keys]
    assert all(key.startswith(tuple(prefix.encode() for prefix in prefixes)) for key in keys)
    assert not any(key.startswith(OWN) for key in keys)
