"""Scripts of a worker: claim, renew, finish and release a job."""

from __future__ import annotations

import pytest
from arq.connections import ArqRedis

from offloop.queue.record import Cancelled, Done, Progress, State
from offloop.redis import schema
from support.caller import ALICE, Caller, Nothing, kind
from support.steps import LEASE_MS, LEVELS, Steps, Taken

pytestmark = pytest.mark.anyio


async def _submit(caller: Caller, *job_ids: str) -> None:
    for job_id in job_ids:
        await caller.submit(kind, Nothing(), job_id=job_id)


async def test_a_claim_answers_all_a_worker_needs(redis: ArqRedis, caller: Caller, one: Steps) -> None:
    await _submit(caller, "a")
    taken = await one.claim_one("a")
    assert (taken.tries, taken.allowed, taken.attempt, taken.principal) == (1, 3, 1, ALICE)
    assert (taken.kind, taken.token.startswith("one:"), taken.payload != b"") == ("do_nothing", True, True)
    assert 0 < await redis.pttl(schema.LEASE + "a") <= LEASE_MS
    record = await caller.get("a")
    assert (record.state, record.attempt, record.started is not None) == (State.RUNNING, 1, True)


async def test_a_claim_passes_over_expired_and_running_jobs(
    redis: ArqRedis, caller: Caller, one: Steps, two: Steps
) -> None:
    await _submit(caller, "leased", "expired", "free", "more")
    await one.claim_one("leased")
    await redis.delete(schema.RECORD + "expired", schema.PAYLOAD + "expired")
    assert [taken.job_id for taken in await two.claim(1)] == ["free"]
    assert not await redis.exists(schema.RECORD + "expired")
    assert await redis.zscore(schema.queue_key("default"), "expired") is None
    assert [taken.job_id for taken in await two.claim(9)] == ["more"]
    assert await two.claim() == []


async def test_a_claim_takes_as_many_as_there_are_slots(caller: Caller, one: Steps) -> None:
    await _submit(caller, "a", "b", "c")
    assert [taken.job_id for taken in await one.claim(2)] == ["a", "b"]
    assert [taken.job_id for taken in await one.claim(2)] == ["c"]


async def test_every_claim_counts_and_has_a_token_of_its_own(caller: Caller, one: Steps, two: Steps) -> None:
    await _submit(caller, "a")
    seen: list[Taken] = []
    for worker in (one, two, one):
        seen.append(await worker.claim_one("a"))
        await worker.lose("a")
    assert [(taken.tries, taken.attempt) for taken in seen] == [(1, 1), (2, 2), (3, 3)]
    assert len({taken.token for taken in seen}) == 3


async def test_an_execution_too_many_is_no_attempt(caller: Caller, one: Steps) -> None:
    """The job is only taken to be ended, so that callers read how often it was really run."""
    await _submit(caller, "a")
    for _ in range(3):
        await one.claim_one("a")
        await one.lose("a")
    taken = await one.claim_one("a")
    assert (taken.tries, taken.allowed, taken.attempt) == (4, 3, 3)


async def test_a_job_whose_payload_has_expired_is_still_claimed(redis: ArqRedis, caller: Caller, one: Steps) -> None:
    """The worker ends it as expired; see its tests."""
    await _submit(caller, "a")
    await redis.delete(schema.PAYLOAD + "a")
    assert (await one.claim_one("a")).payload == b""


async def test_renewing_extends_the_lease(redis: ArqRedis, caller: Caller, one: Steps) -> None:
    await _submit(caller, "a")
    taken = await one.claim_one("a")
    await redis.pexpire(schema.LEASE + "a", 1000)
    before = await one.leased()
    await redis.zadd(schema.LEASES + "default", {"a": before["a"] - 20_000})
    assert await one.renew(taken) == ([], [])
    assert await redis.pttl(schema.LEASE + "a") > 1000
    assert (await one.leased())["a"] >= before["a"]


async def test_a_lapsed_lease_of_an_unclaimed_job_is_renewed(
    redis: ArqRedis, caller: Caller, one: Steps, two: Steps
) -> None:
    await _submit(caller, "a")
    taken = await one.claim_one("a")
    await one.lapse("a")
    assert await one.renew(taken) == ([], [])
    assert await redis.exists(schema.LEASE + "a")
    assert await two.sweep() == 0
    assert await two.claim() == []
    assert await one.finish(taken)


async def test_a_lease_is_lost_to_a_later_claim(redis: ArqRedis, caller: Caller, one: Steps, two: Steps) -> None:
    await _submit(caller, "a")
    late = await one.claim_one("a")
    await one.lose("a")
    taken = await two.claim_one("a")
    assert await one.renew(late) == (["a"], [])
    assert await redis.get(schema.LEASE + "a") == taken.token.encode()


async def test_a_lost_attempt_changes_nothing_any_more(redis: ArqRedis, caller: Caller, one: Steps, two: Steps) -> None:
    """The fence: its outcome, its progress and its release are refused, even when its worker knows nothing yet."""
    await _submit(caller, "a")
    late = await one.claim_one("a")
    await one.lose("a")
    taken = await two.claim_one("a")
    before = await redis.hgetall(schema.RECORD + "a")  # type: ignore[misc]
    assert not await one.finish(late)
    assert not await one.progress(late, Progress(1, 1, "late"))
    assert not await one.release(late, counted=True)
    assert await redis.hgetall(schema.RECORD + "a") == before  # type: ignore[misc]
    assert not await redis.exists(schema.RESULT + "a")
    assert await two.finish(taken, Done({"by": "two"}))
    assert (await caller.get("a")).outcome == Done({"by": "two"})


async def test_an_ended_job_never_changes_again(redis: ArqRedis, caller: Caller, one: Steps) -> None:
    await _submit(caller, "a")
    taken = await one.claim_one("a")
    assert await one.finish(taken, Done({"first": True}))
    ended = await caller.get("a")
    assert not await one.finish(taken, Cancelled())
    assert not await one.progress(taken, Progress(1, 1, "late"))
    assert not await one.release(taken, counted=False)
    assert await one.renew(taken) == (["a"], [])
    assert await caller.queue.cancel("a", principal=ALICE) == (ended, 0)
    assert not await caller.queue.abandon("a", "a")
    await one.lose("a")
    assert await one.claim() == []
    assert await caller.get("a") == ended
    assert not await redis.exists(schema.LEASE + "a")
    assert await one.leased() == {}


async def test_an_end_keeps_only_record_and_outcome(redis: ArqRedis, caller: Caller, one: Steps) -> None:
    await _submit(caller, "a")
    await one.finish(await one.claim_one("a"))
    left = {
        name for name in (schema.PAYLOAD, schema.LEASE, schema.JOINED, schema.GONE) if await redis.exists(name + "a")
    }
    assert left == set()
    assert await redis.zcard(schema.queue_key("default")) == 0
    assert (await one.leased(), await one.depth()) == ({}, {})


@pytest.mark.parametrize(("counted", "tries"), [(True, 2), (False, 1)])
async def test_a_job_is_released_to_the_front(caller: Caller, one: Steps, *, counted: bool, tries: int) -> None:
    """A try that a drain cut short does not count; the attempt has happened all the same."""
    await _submit(caller, "a", "b")
    taken = await one.claim_one("a")
    await one.progress(taken, Progress(1, 2, "half"))
    assert await one.release(taken, counted=counted)
    record = await caller.get("a")
    assert (record.state, record.attempt, record.progress, record.started) == (State.QUEUED, 1, None, None)
    assert await one.subqueue(ALICE) == ["a", "b"]
    assert await one.leased() == {}
    again = await one.claim_one("a")
    assert (again.tries, again.attempt) == (tries, 2)
    assert not await one.finish(taken)


async def test_the_request_that_ends_a_job_claims_the_next(caller: Caller, one: Steps) -> None:
    """In the order of the lanes."""
    for number, wait in enumerate((0, 0, 5, 5)):
        await caller.submit(kind, Nothing(), job_id=f"job{number}", wait_seconds=wait)
    first = await one.claim_one("job2")
    (second,) = await one.finish_and_claim(first, *LEVELS)
    assert (second.job_id, second.attempt) == ("job3", 1)
    (third,) = await one.finish_and_claim(second, *LEVELS)
    (fourth,) = await one.finish_and_claim(third, *LEVELS)
    assert [third.job_id, fourth.job_id] == ["job0", "job1"]
    assert await one.finish_and_claim(fourth, *LEVELS) == []
    assert await one.free_slots() == 1
    assert await one.depth() == {}
