"""Outcomes and records: what is written is what is read, by us and by stock arq."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from arq.connections import ArqRedis
from arq.jobs import Job, JobResult, deserialize_result

from offloop.errors import JobError
from offloop.queue.record import (
    EXPIRED,
    Cancelled,
    Done,
    Failed,
    Outcome,
    Progress,
    Record,
    State,
    pack_outcome,
    sweep_args,
    unpack_outcome,
)
from offloop.redis import codec, schema
from offloop.redis.codec import timestamp
from offloop.redis.schema import SNAPSHOT_FIELDS

DONE = Done({"words": 3, "deep": {"list": [1, None]}}, ({"artifact_id": "a"},), ("dropped a picture",))
FAILED = Failed(JobError("send less", code="too_much", retryable=True))


def _packed(outcome: Outcome) -> bytes:
    return pack_outcome(outcome, job_id="id", kind="count_words", queue="default", attempt=2)


@pytest.mark.parametrize("outcome", [DONE, Done({}), Cancelled()])
def test_an_outcome_comes_back_as_it_was(outcome: Outcome) -> None:
    assert unpack_outcome(_packed(outcome)) == outcome


def test_a_failure_comes_back_with_its_code() -> None:
    found = unpack_outcome(_packed(FAILED))
    assert isinstance(found, Failed)
    assert found.error.to_wire() == FAILED.error.to_wire()


def test_an_outcome_that_cannot_be_stored_is_a_failure_and_not_a_loss() -> None:
    assert isinstance(unpack_outcome(_packed(Done({"odd": object()}))), Failed)


def test_a_result_of_another_shape_is_a_failure_and_not_a_crash() -> None:
    foreign = codec.pack({"t": 1, "f": "f", "a": (), "k": {}, "et": 0, "s": True, "r": 5, "st": 0, "ft": 0, "q": "q"})
    found = unpack_outcome(foreign)
    assert isinstance(found, Failed)
    assert "could not be read" in found.error.message


@pytest.mark.anyio
async def test_stock_arq_reads_our_results(redis: ArqRedis) -> None:
    """`Job.result()` of arq itself, with nothing of ours but the deserializer."""
    for job_id, outcome in (("done", DONE), ("failed", FAILED), ("cancelled", Cancelled())):
        await redis.set(schema.RESULT + job_id, _packed(outcome), px=60_000)
    done = await Job("done", redis, _deserializer=codec.unpack).result(timeout=30)
    assert done == {
        "output": DONE.output,
        "artifacts": [{"artifact_id": "a"}],
        "warnings": ["dropped a picture"],
    }
    with pytest.raises(JobError, match="send less"):
        await Job("failed", redis, _deserializer=codec.unpack).result(timeout=30)
    with pytest.raises(asyncio.CancelledError):
        await Job("cancelled", redis, _deserializer=codec.unpack).result(timeout=30)
    info = await Job("done", redis, _deserializer=codec.unpack).result_info()
    assert info is not None
    assert (info.function, info.success, info.job_try) == ("count_words", True, 2)


def test_an_outcome_is_stored_as_a_whole_result_of_arq() -> None:
    """Its times are 0: the record has them."""
    zero = datetime.fromtimestamp(0, UTC)
    assert deserialize_result(_packed(Done({})), deserializer=codec.unpack) == JobResult(
        function="count_words",
        args=[],  # type: ignore[arg-type]  # msgpack knows no tuples
        kwargs={},
        job_try=2,
        enqueue_time=zero,
        score=None,
        success=True,
        result={"output": {}, "artifacts": [], "warnings": []},
        start_time=zero,
        finish_time=zero,
        queue_name="default",
        job_id="id",
    )
    unnamed = pack_outcome(Cancelled(), job_id="", kind="", queue="default")
    assert deserialize_result(unnamed, deserializer=codec.unpack).job_try == 0


def test_an_outcome_that_arq_cannot_store_at_all_is_an_error_of_bounded_length() -> None:
    with pytest.raises(TypeError, match="the outcome of count_words cannot be stored: Done") as error:
        pack_outcome(Done({"text": "x" * 1000}), job_id="a", kind="count_words", queue="default", attempt=1 << 70)
    assert len(str(error.value)) == 500


def test_the_sweep_knows_its_terms_and_the_outcomes_it_stores() -> None:
    queue, lock, lease, keep, retention, aborted, expired = sweep_args("q", lock_ms=1, keep_ms=2, retention_ms=3)
    assert (queue, lock, lease, keep, retention) == ("q", 1, schema.LEASE_MS, 2, 3)
    assert isinstance(aborted, bytes)
    assert isinstance(expired, bytes)
    assert unpack_outcome(aborted) == Cancelled()
    ended = unpack_outcome(expired)
    assert isinstance(ended, Failed)
    assert ended.error.to_wire() == EXPIRED.to_wire()
    for packed in (aborted, expired):
        result = deserialize_result(packed, deserializer=codec.unpack)
        assert (result.function, result.job_id, result.queue_name) == ("", "", "q")


def test_a_record_is_read_from_its_hash() -> None:
    fields = {
        "principal": b"alice",
        "kind": b"count_words",
        "queue": b"default",
        "state": b"running",
        "attempt": b"2",
        "created": b"1000",
        "started": b"2000",
        "expires": b"9000",
        "progress": Progress(1, None, "half").pack(),
    }
    assert Record.from_redis("id", _shown(fields), _packed(DONE)) == Record(
        job_id="id",
        principal="alice",
        kind="count_words",
        queue="default",
        state=State.RUNNING,
        attempt=2,
        progress=Progress(1, None, "half"),
        created=1000,
        started=2000,
        finished=None,
        expires=9000,
        outcome=None,
    )
    ended = Record.from_redis("id", _shown(fields | {"state": b"completed", "finished": b"3000"}), _packed(DONE))
    assert ended
    assert (ended.outcome, ended.finished) == (DONE, 3000)


def test_a_record_that_stock_arq_began_is_read_too() -> None:
    """A job that arq's own `enqueue_job` put there has only what the claim wrote."""
    found = Record.from_redis("id", _shown({"state": b"running", "attempt": b"1"}), None)
    assert found
    assert (found.principal, found.kind, found.state) == ("", "", State.RUNNING)
    assert (found.created, found.expires) == (0, 0)
    queued = Record.from_redis("id", _shown({"state": b"queued"}), None)
    assert queued
    assert queued.attempt == 0


def test_a_missing_record_is_none() -> None:
    assert Record.from_redis("id", _shown({}), None) is None


def _shown(fields: Mapping[str, bytes]) -> list[bytes | None]:
    """The fields of a hash, as the scripts answer them."""
    return [fields.get(name) for name in SNAPSHOT_FIELDS]


def test_only_ended_states_are_terminal() -> None:
    assert {state for state in State if state.terminal} == {State.COMPLETED, State.FAILED, State.CANCELLED}


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_790_000_000_007, "2026-09-21T14:13:20.007Z"),
        (1_790_000_000_999, "2026-09-21T14:13:20.999Z"),
        (1_790_000_001_000, "2026-09-21T14:13:21.000Z"),
    ],
)
def test_a_timestamp_has_milliseconds(ms: int, text: str) -> None:
    assert timestamp(ms) == text
