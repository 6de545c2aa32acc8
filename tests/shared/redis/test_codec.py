"""Codec: only plain data and failures pass through Redis; callers cannot steer the names of keys."""

from __future__ import annotations

import asyncio
from typing import Any

import msgpack
import pytest

from offloop.errors import JobError, LimitExceeded
from offloop.redis import codec, schema


@pytest.mark.parametrize(
    "value",
    [None, True, 0, -(2**63), 2**64 - 1, 1.5, "ü\0", b"\xff\0", [], [1, [2]], {}, {"a": {"b": [None]}}, {1: "one"}],
)
def test_plain_data_comes_back_as_it_was(value: Any) -> None:
    assert codec.unpack(codec.pack(value)) == value


def test_a_failure_keeps_code_message_and_whether_to_retry() -> None:
    for error in (JobError("why", code="own", retryable=True), LimitExceeded("too long")):
        found = codec.unpack(codec.pack(error))
        assert isinstance(found, JobError)
        assert found.to_wire() == error.to_wire()


def test_any_other_exception_becomes_a_failure_of_bounded_length() -> None:
    found = codec.unpack(codec.pack(ValueError("x" * 10_000)))
    assert isinstance(found, JobError)
    assert found.message.startswith("ValueError: xxx")
    assert len(found.message) <= 2000


def test_a_cancellation_comes_back_as_one() -> None:
    assert isinstance(codec.unpack(codec.pack(asyncio.CancelledError())), asyncio.CancelledError)


@pytest.mark.parametrize("value", [object(), {1, 2}, print, 2**64])
def test_objects_that_are_not_plain_data_are_refused(value: object) -> None:
    with pytest.raises((TypeError, OverflowError)):
        codec.pack(value)


def test_an_unknown_extension_is_data_and_runs_nothing() -> None:
    assert codec.unpack(msgpack.packb(msgpack.ExtType(99, b"x"))) == msgpack.ExtType(99, b"x")


def test_failures_within_failures_are_data_however_deep() -> None:
    """They come from arq's clients and from children; a decoder that followed them would crash the worker."""
    data = msgpack.packb(JobError("why").to_wire())
    for _ in range(100_000 // len(data)):
        data = msgpack.packb(msgpack.ExtType(2, data))
    nested = msgpack.packb({"message": "why", "code": "own", "retryable": False, "more": msgpack.ExtType(2, data)})
    found = codec.unpack(msgpack.packb(msgpack.ExtType(2, nested)))
    assert isinstance(found, JobError)
    assert found.message == "why"
    with pytest.raises((KeyError, TypeError)):
        codec.unpack(msgpack.packb(msgpack.ExtType(2, data)))


def test_the_text_of_an_idempotency_key_never_reaches_the_name_of_a_key() -> None:
    key = schema.idempotency_key("alice", "a:b\n*")
    assert key != schema.idempotency_key("alice", "a:b\n**")
    assert key != schema.idempotency_key("bob", "a:b\n*")
    assert key.removeprefix("offloop:key:alice:").isalnum()


def test_a_push_may_hold_bytes_that_are_no_text() -> None:
    assert codec.unpack_push(msgpack.packb(["id", [[b"k", b"\xff"], None]])) == ("id", [[b"k", b"\xff"], None])


def test_the_names_of_keys_do_not_meet() -> None:
    """For any queue, level, principal or fingerprint."""
    names = [
        *(name for queue in ("a", "b") for name in schema.sweep_keys(queue)),
        *(schema.same_input_key(principal, print_) for principal in ("a", "b") for print_ in ("a", "b")),
        schema.idempotency_key("a", "a"),
        schema.index_key("a"),
        schema.heartbeats_key("a"),
        schema.queue_key("a"),
        schema.artifact_key("a"),
        *(prefix + "a" for prefix in (schema.RECORD, schema.LEASES, schema.DEPTH, schema.PACE)),
        *(prefix + "a:batch" for prefix in (schema.ROTATION, schema.SUBQUEUE)),
        schema.FENCE,
        schema.ROTATION_COUNTER,
    ]
    assert len(set(names)) == len(names)
    assert all(name.startswith(("offloop:", "arq:queue:")) for name in names)
