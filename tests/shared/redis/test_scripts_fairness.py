"""Fairness: principals rotate, a flood delays only itself, and no level starves."""

from __future__ import annotations

import pytest
from arq.connections import ArqRedis

from offloop import declare
from offloop.errors import Busy
from offloop.queue.client import Bounds, JobQueue
from offloop.redis import schema
from support.caller import BOUNDS, Nothing, kind
from support.steps import Steps

pytestmark = pytest.mark.anyio


other = declare("do_other", Nothing, Nothing, description="d", queue="other")


@pytest.fixture
def queue(redis: ArqRedis) -> JobQueue:
    """The client side."""
    return JobQueue(redis, BOUNDS)


async def _submit(queue: JobQueue, principal: str, *job_ids: str, wait_seconds: float = 5) -> None:
    for job_id in job_ids:
        await queue.submit(kind, Nothing(), principal=principal, job_id=job_id, wait_seconds=wait_seconds)


async def _served(worker: Steps, most: int = 1000) -> list[str]:
    """The ids in the order in which a worker with one slot takes them."""
    found: list[str] = []
    while len(found) < most and (taken := await worker.claim()):
        found.append(taken[0].job_id)
    return found


@pytest.mark.parametrize("late", ["aaron", "zoe"])
async def test_a_principal_after_a_flood_is_served_second(queue: JobQueue, worker: Steps, late: str) -> None:
    """Independent of the sort order of the names."""
    await _submit(queue, "mallory", *(f"m{number}" for number in range(300)))
    await _submit(queue, late, "first", "second")
    order = await _served(worker)
    assert order.index("first") <= 1
    assert order.index("second") <= 3
    assert [job_id for job_id in order if job_id.startswith("m")] == [f"m{number}" for number in range(300)]


async def test_a_principal_during_a_flood_waits_for_one_job_of_it(queue: JobQueue, worker: Steps) -> None:
    await _submit(queue, "alice", *(f"a{number}" for number in range(30)))
    await _served(worker, 10)
    await _submit(queue, "bob", "b")
    assert "b" in await _served(worker, 2)


async def test_principals_rotate_within_one_claim_as_well(queue: JobQueue, worker: Steps) -> None:
    for principal in ("alice", "bob", "carol"):
        await _submit(queue, principal, *(f"{principal}{number}" for number in range(3)))
    taken = [taken.principal for taken in await worker.claim(9)]
    assert [set(taken[start : start + 3]) for start in (0, 3, 6)] == [{"alice", "bob", "carol"}] * 3


async def test_a_principal_that_always_has_one_job_waiting_does_not_starve_others(
    queue: JobQueue, worker: Steps
) -> None:
    """A subqueue that is empty for a moment does not move its principal to the front."""
    await _submit(queue, "zoe", "z0", "z1")
    served = []
    for number in range(4):
        await _submit(queue, "alice", f"a{number}")
        served += await _served(worker, 1)
    assert {"z0", "z1"} <= set(served)


async def test_a_principals_jobs_of_other_queues_are_not_touched(
    redis: ArqRedis, queue: JobQueue, worker: Steps
) -> None:
    await queue.submit(other, Nothing(), principal="alice", job_id="elsewhere")
    await _submit(queue, "alice", "here")
    assert await _served(worker) == ["here"]
    assert await _served(Steps(redis, queue="other")) == ["elsewhere"]


async def test_both_levels_are_served_and_the_worker_says_which(queue: JobQueue, worker: Steps) -> None:
    """Batch jobs do not starve: a worker that looks for them claims them, whatever else waits."""
    await _submit(queue, "alice", "waited0", "waited1", "waited2")
    await _submit(queue, "alice", "batch0", "batch1", wait_seconds=0)
    assert [taken.job_id for taken in await worker.claim(level="batch")] == ["batch0"]
    assert [taken.job_id for taken in await worker.claim(level="interactive")] == ["waited0"]
    assert await _served(worker) == ["waited1", "waited2", "batch1"]
    assert await worker.claim(level="batch") == await worker.claim(level="interactive") == []


async def test_levels_have_rotations_of_their_own(queue: JobQueue, worker: Steps) -> None:
    await _submit(queue, "alice", "a0", "a1")
    await _submit(queue, "bob", "b0")
    await _submit(queue, "alice", "batch", wait_seconds=0)
    assert [taken.job_id for taken in await worker.claim(level="batch")] == ["batch"]
    assert (await _served(worker))[:2] == ["a0", "b0"]


async def test_a_released_job_keeps_its_level_and_subqueue(queue: JobQueue, worker: Steps) -> None:
    await _submit(queue, "alice", "batch0", "batch1", wait_seconds=0)
    (taken,) = await worker.claim(level="batch")
    assert await worker.release(taken, counted=False)
    assert await worker.subqueue("alice", "batch") == ["batch0", "batch1"]
    assert await worker.claim(level="interactive") == []


async def test_counts_are_exact_through_a_whole_life(redis: ArqRedis, queue: JobQueue, worker: Steps) -> None:
    """Submitted, claimed, cancelled, released, lost, dropped, expired: each moves the counts by one, once."""
    await _submit(queue, "alice", "a", "b", "c")
    await _submit(queue, "alice", "a")
    await _submit(queue, "bob", "d", wait_seconds=0)
    assert await worker.depth() == {"alice": 3, "bob": 1, "*": 4}
    taken = await worker.claim_one("a")
    assert await worker.depth() == {"alice": 2, "bob": 1, "*": 3}
    assert await worker.release(taken, counted=False)
    assert await worker.depth() == {"alice": 3, "bob": 1, "*": 4}
    assert not await worker.release(taken, counted=False)
    await queue.cancel("b", principal="alice")
    await queue.cancel("b", principal="alice")
    assert await worker.depth() == {"alice": 2, "bob": 1, "*": 3}
    taken = await worker.claim_one("a")
    await worker.lose("a")
    assert await worker.depth() == {"alice": 2, "bob": 1, "*": 3}
    taken = await worker.claim_one("a")
    await worker.finish(taken)
    assert await worker.depth() == {"alice": 1, "bob": 1, "*": 2}
    await redis.hset(schema.RECORD + "c", "deadline", "1")  # type: ignore[misc]
    assert await worker.claim(level="interactive") == []
    assert await worker.depth() == {"bob": 1, "*": 1}
    await redis.delete(schema.RECORD + "d", schema.PAYLOAD + "d")
    assert await worker.claim() == []
    assert await worker.depth() == {}


async def test_a_cancelled_job_whose_record_has_expired_is_not_counted_again(
    redis: ArqRedis, queue: JobQueue, worker: Steps
) -> None:
    await _submit(queue, "alice", "gone", "kept0", "kept1")
    await queue.cancel("gone", principal="alice")
    await redis.delete(schema.RECORD + "gone", schema.RESULT + "gone")
    assert (await worker.claim_one("kept0")).job_id == "kept0"
    assert await worker.depth() == {"alice": 1, "*": 1}


async def test_submitting_and_cancelling_over_and_over_piles_nothing_up(queue: JobQueue, worker: Steps) -> None:
    """Even while no worker is there to pass over what has ended."""
    for number in range(50):
        await _submit(queue, "alice", f"{number}")
        await queue.cancel(f"{number}", principal="alice")
    assert await worker.subqueue("alice") == []
    assert await worker.depth() == {}


async def test_a_full_queue_refuses_all_principals_and_a_full_share_only_its_owner(
    redis: ArqRedis, worker: Steps
) -> None:
    queue = JobQueue(redis, Bounds(retention_seconds=600, max_queued=3, max_queued_per_principal=2))
    await _submit(queue, "alice", "a0", "a1")
    with pytest.raises(Busy, match=r"'default' is full \(2 of your jobs wait in it\); nothing was queued"):
        await _submit(queue, "alice", "a2")
    await _submit(queue, "bob", "b0")
    with pytest.raises(Busy, match=r"'default' is full \(3 jobs wait in it\); nothing was queued"):
        await _submit(queue, "carol", "c0")
    await queue.submit(other, Nothing(), principal="alice", job_id="elsewhere")
    await worker.claim_one("a0")
    await _submit(queue, "carol", "c0")
    assert await worker.depth() == {"alice": 1, "bob": 1, "carol": 1, "*": 3}


async def test_busy_says_how_long_a_job_of_this_queue_takes(redis: ArqRedis, worker: Steps) -> None:
    """A second at least and a minute at most, whatever was measured."""
    queue = JobQueue(redis, Bounds(retention_seconds=600, max_queued=1, max_queued_per_principal=1))
    await _submit(queue, "alice", "a")

    async def seconds() -> float:
        with pytest.raises(Busy) as refused:
            await _submit(queue, "bob", "b")
        assert refused.value.retry_after == int(refused.value.retry_after)
        assert f"Try again in {refused.value.retry_after} seconds" in refused.value.message
        return refused.value.retry_after

    assert await seconds() == 1
    for pace, expected in ((20, 1), (4200, 5), (3_600_000, 60)):
        await redis.set(schema.PACE + "default", pace, px=60_000)
        assert await seconds() == expected
    await redis.set(schema.PACE + "default", 5000, px=60_000)
    await worker.pace(10_000)
    assert int(await redis.get(schema.PACE + "default") or 0) == 6000
    assert await redis.pttl(schema.PACE + "default") > 0
