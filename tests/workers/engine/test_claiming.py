"""Claims: the order in which a worker looks for jobs, and what its scripts are called with."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import pytest

from offloop.queue.record import Cancelled, unpack_outcome
from offloop.redis import codec, schema
from offloop_workers.engine.claiming import BATCH_EVERY, Claim, Claimer

pytestmark = pytest.mark.anyio

ROW: Final = {
    "job_id": "job",
    "kind": "count_words",
    "queue": "pdf",
    "token": "me:1",
    "payload": b"\xc1\xff",
    "tries": 1,
    "allowed": 3,
    "attempt": 4,
    "principal": "alice",
    "references": codec.pack(["artifact:a"]),
}


class Script:
    """Keeps the calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[str], list[Any]]] = []

    async def __call__(self, keys: list[str], args: list[Any]) -> str:
        self.calls.append((keys, args))
        return "answer"


def row(**changes: Any) -> bytes:
    """A row of an answer; a value of None is left out."""
    return codec.pack_for_lua({name: value for name, value in {**ROW, **changes}.items() if value is not None})


async def looks(claimer: Claimer, steps: int) -> list[list[str]]:
    """The rotations of so many looks, each of which found a job."""
    script = Script()
    for _ in range(steps):
        assert await claimer(script) == "answer"  # type: ignore[arg-type]
        claimer.read([row()])
    return [keys for keys, _ in script.calls]


def lane(queue: str, level: str = "interactive") -> str:
    """The key of a lane."""
    return schema.rotation_key(queue, level)


def test_a_claim_is_read_from_its_row() -> None:
    expected = Claim("job", "count_words", "pdf", "me:1", b"\xc1\xff", 1, 3, 4, "alice", ["artifact:a"], assigned=False)
    assert Claim.read(row()) == expected
    assert Claim.read(row(), assigned=True).assigned
    bare = Claim.read(row(payload=None, references=None))
    assert (bare.payload, bare.references) == (None, None)
    assert Claim.read(row(payload=b"", references=codec.pack([]))).references == []


async def test_a_script_gets_the_terms_of_the_worker() -> None:
    claimer, script = Claimer("me", ("pdf", "image"), 5, 3600), Script()
    await claimer(script, "more", 7)  # type: ignore[arg-type]
    [(_, [owner, pool, slots, pending, terms, *more])] = script.calls
    assert (owner, pool, slots, pending) == ("me", schema.pool_name(("pdf", "image")), 5, 86_400_000)
    assert more == ["more", 7]
    found = codec.unpack_row(terms, binary=("abandoned",))
    lanes = found.pop("lanes")
    assert [tuple(each) for each in lanes] == [
        ("image", "interactive"), ("pdf", "interactive"), ("image", "batch"), ("pdf", "batch"),
    ]  # fmt: skip
    assert unpack_outcome(found.pop("abandoned")) == Cancelled()
    assert found == {"queues": ["pdf", "image"], "lease": schema.LEASE_MS, "retention": 3_600_000}


@pytest.mark.parametrize(("retention", "pending"), [(10, 86_400_000), (90_000, 90_000_000)])
async def test_a_job_is_kept_for_a_day_or_as_long_as_its_result(retention: int, pending: int) -> None:
    claimer = Claimer("me", ["pdf"], 1, retention)
    assert (claimer.retention_ms, claimer.pending_ms) == (retention * 1000, pending)


async def test_a_paused_worker_has_no_slots() -> None:
    claimer, script = Claimer("me", ["pdf"], 5, 60), Script()
    claimer.paused = True
    await claimer(script)  # type: ignore[arg-type]
    assert script.calls[0][1][2] == 0


async def test_a_look_that_finds_nothing_does_not_advance_the_rotation() -> None:
    claimer, script = Claimer("me", ["pdf", "image"], 1, 60), Script()
    for _ in range(3):
        await claimer(script)  # type: ignore[arg-type]
        assert claimer.read([]) == []
    await claimer(script)  # type: ignore[arg-type]
    assert len(claimer.read([row(), row(attempt=5)])) == 2
    await claimer(script)  # type: ignore[arg-type]
    first = [keys[0] for keys, _ in script.calls]
    assert first == [lane("image")] * 4 + [lane("pdf")]


@pytest.mark.parametrize("number", [1, 2, 3, 7, 8, 9])
async def test_each_queue_is_first_equally_often_on_each_level(number: int) -> None:
    """Every eighth look is for batch jobs first; all lanes are looked at each time."""
    queues = [f"queue{index}" for index in range(number)]
    seen = await looks(Claimer("me", queues, 1, 60), BATCH_EVERY * number)
    lanes = {lane(queue, level) for queue in queues for level in ("interactive", "batch")}
    assert all(set(keys) == lanes and len(keys) == len(lanes) for keys in seen)
    first = Counter(keys[0] for keys in seen)
    assert {first[lane(queue)] for queue in queues} == {BATCH_EVERY - 1}
    assert {first[lane(queue, "batch")] for queue in queues} == {1}
    batch = [index for index, keys in enumerate(seen, 1) if keys[0] in {lane(queue, "batch") for queue in queues}]
    assert batch == [BATCH_EVERY * (index + 1) for index in range(number)]


async def test_the_order_of_a_look_is_by_level_then_by_queue_and_comes_round() -> None:
    claimer = Claimer("me", ["a", "b", "c"], 1, 60)
    seen = await looks(claimer, 2 * 3 * BATCH_EVERY)
    interactive = [lane(queue) for queue in ("b", "c", "a")]
    assert seen[0] == [*interactive, *(lane(queue, "batch") for queue in ("b", "c", "a"))]
    assert seen[7] == [*(lane(queue, "batch") for queue in ("b", "c", "a")), *interactive]
    assert seen[: 3 * BATCH_EVERY] == seen[3 * BATCH_EVERY :]
    assert len(claimer._looks) == 3 * BATCH_EVERY, "looks are prepared once"
