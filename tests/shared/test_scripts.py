"""The steps of a worker: who may take a job, keep it, end it or hand it back; and what a lost worker leaves."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from arq.connections import ArqRedis

from offloop import Model, declare, wire
from offloop.record import Cancelled, Done, Progress, State
from parts.caller import ALICE, Caller, calling
from parts.steps import LEASE_MS, Steps, Taken

pytestmark = pytest.mark.anyio


class Nothing(Model):
    """An input without fields."""


kind = declare("do_nothing", Nothing, Nothing, description="d", retries=2)


@pytest.fixture
async def caller(redis: ArqRedis) -> AsyncIterator[Caller]:
    """Alice, behind a front end."""
    async with calling(redis) as found:
        yield found


@pytest.fixture
def one(redis: ArqRedis) -> Steps:
    """A worker."""
    return Steps(redis, "one")


@pytest.fixture
def two(redis: ArqRedis) -> Steps:
    """Another worker."""
    return Steps(redis, "two")


async def _submit(caller: Caller, *job_ids: str) -> None:
    for job_id in job_ids:
        await caller.submit(kind, Nothing(), job_id=job_id)


async def test_a_claim_answers_all_a_worker_needs(redis: ArqRedis, caller: Caller, one: Steps) -> None:
    await _submit(caller, "a")
    taken = await one.claim_one("a")
    assert (taken.tries, taken.allowed, taken.attempt, taken.principal) == (1, 3, 1, ALICE)
    assert (taken.kind, taken.token.startswith("one:"), taken.payload != b"") == ("do_nothing", True, True)
    assert 0 < await redis.pttl(wire.LEASE + "a") <= LEASE_MS
    record = await caller.get("a")
    assert (record.state, record.attempt, record.started is not None) == (State.RUNNING, 1, True)


async def test_a_claim_passes_over_what_is_leased_unknown_or_not_due(
    redis: ArqRedis, caller: Caller, one: Steps, two: Steps
) -> None:
    await _submit(caller, "leased", "later", "free")
    await one.claim_one("leased")
    seconds, _ = await redis.time()
    await redis.zadd(wire.queue_key("default"), {"later": (seconds + 60) * 1000})
    assert [taken.job_id for taken in await two.claim("leased", "unknown", "later", "free", "free")] == ["free"]
    assert not await redis.exists(wire.RECORD + "unknown")


async def test_every_claim_counts_and_has_a_token_of_its_own(caller: Caller, one: Steps, two: Steps) -> None:
    await _submit(caller, "a")
    seen: list[Taken] = []
    for worker in (one, two, one):
        seen.append(await worker.claim_one("a"))
        await worker.lapse("a")
    assert [(taken.tries, taken.attempt) for taken in seen] == [(1, 1), (2, 2), (3, 3)]
    assert len({taken.token for taken in seen}) == 3


async def test_a_job_whose_payload_has_expired_is_still_claimed(redis: ArqRedis, caller: Caller, one: Steps) -> None:
    """So that somebody says so; see the worker's tests."""
    await _submit(caller, "a")
    await redis.delete(wire.PAYLOAD + "a")
    assert (await one.claim_one("a")).payload == b""


async def test_renewing_extends_the_lease(redis: ArqRedis, caller: Caller, one: Steps) -> None:
    await _submit(caller, "a")
    taken = await one.claim_one("a")
    await redis.pexpire(wire.LEASE + "a", 1000)
    assert await one.renew(taken) == ([], [])
    assert await redis.pttl(wire.LEASE + "a") > 1000


async def test_a_lapsed_lease_that_nobody_took_is_taken_again(
    redis: ArqRedis, caller: Caller, one: Steps, two: Steps
) -> None:
    await _submit(caller, "a")
    taken = await one.claim_one("a")
    await one.lapse("a")
    assert await one.renew(taken) == ([], [])
    assert await redis.exists(wire.LEASE + "a")
    assert await two.claim("a") == []
    assert await one.finish(taken)


async def test_a_lease_that_somebody_took_is_lost(redis: ArqRedis, caller: Caller, one: Steps, two: Steps) -> None:
    await _submit(caller, "a")
    late = await one.claim_one("a")
    await one.lapse("a")
    taken = await two.claim_one("a")
    assert await one.renew(late) == (["a"], [])
    assert await redis.get(wire.LEASE + "a") == taken.token.encode()


async def test_a_lost_attempt_changes_nothing_any_more(redis: ArqRedis, caller: Caller, one: Steps, two: Steps) -> None:
    """The fence: its outcome, its progress and its release are refused, even when its worker knows nothing yet."""
    await _submit(caller, "a")
    late = await one.claim_one("a")
    await one.lapse("a")
    taken = await two.claim_one("a")
    before = await redis.hgetall(wire.RECORD + "a")  # type: ignore[misc]
    assert not await one.finish(late)
    assert not await one.progress(late, Progress(1, 1, "late"))
    assert not await one.release(late, counted=True)
    assert await redis.hgetall(wire.RECORD + "a") == before  # type: ignore[misc]
    assert not await redis.exists(wire.RESULT + "a")
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
    assert await caller.queue.cancel("a", principal=ALICE) == ended
    assert await one.claim("a") == []
    assert await caller.get("a") == ended
    assert not await redis.exists(wire.LEASE + "a")


async def test_an_end_keeps_only_record_and_outcome(redis: ArqRedis, caller: Caller, one: Steps) -> None:
    await _submit(caller, "a")
    await one.finish(await one.claim_one("a"))
    left = {name for name in (wire.PAYLOAD, wire.LEASE, wire.TRIES, wire.WAITERS) if await redis.exists(name + "a")}
    assert left == set()
    assert await redis.zcard(wire.queue_key("default")) == 0


@pytest.mark.parametrize(("counted", "tries"), [(True, 2), (False, 1)])
async def test_a_job_is_handed_back_to_the_front(caller: Caller, one: Steps, *, counted: bool, tries: int) -> None:
    """A try that a drain cut short does not count; the attempt has happened all the same."""
    await _submit(caller, "a", "b")
    taken = await one.claim_one("a")
    await one.progress(taken, Progress(1, 2, "half"))
    assert await one.release(taken, counted=counted)
    record = await caller.get("a")
    assert (record.state, record.attempt, record.progress, record.started) == (State.QUEUED, 1, None, None)
    assert (await one.woken())[0] == "a"
    again = await one.claim_one("a")
    assert (again.tries, again.attempt) == (tries, 2)
    assert not await one.finish(taken)


async def test_a_sweep_wakes_for_lost_jobs_in_order_and_once(redis: ArqRedis, caller: Caller, one: Steps) -> None:
    await _submit(caller, "a", "b", "c")
    await redis.delete(wire.wake_key("default"))
    for number, job_id in enumerate(("a", "b", "c")):
        await redis.zadd(wire.queue_key("default"), {job_id: number})
    assert await one.sweep() == 3
    assert await one.woken() == ["a", "b", "c"]
    assert await one.sweep() == 0
    assert await one.woken() == ["a", "b", "c"]


async def test_a_sweep_leaves_living_tokens_and_clears_dead_ones(redis: ArqRedis, caller: Caller, one: Steps) -> None:
    await _submit(caller, "lost", "running", "waits")
    for number, job_id in enumerate(("lost", "running", "waits")):
        await redis.zadd(wire.queue_key("default"), {job_id: number})
    await redis.delete(wire.wake_key("default"))
    await redis.rpush(wire.wake_key("default"), "ended", "running", "waits")  # type: ignore[misc]
    await one.claim_one("running")
    assert await one.sweep() == 1
    assert await one.woken() == ["lost", "waits"]


async def test_a_job_of_a_lost_worker_is_swept_up_when_its_lease_has_lapsed(
    redis: ArqRedis, caller: Caller, one: Steps, two: Steps
) -> None:
    await _submit(caller, "a")
    await redis.delete(wire.wake_key("default"))
    await one.claim_one("a")
    assert await two.sweep() == 0
    await one.lapse("a")
    assert await two.sweep() == 1
    assert await two.woken() == ["a"]


async def test_only_one_process_sweeps_at_a_time(redis: ArqRedis, caller: Caller, one: Steps, two: Steps) -> None:
    await _submit(caller, "a")
    await redis.delete(wire.wake_key("default"))
    assert await one.sweep() == 1
    await redis.delete(wire.wake_key("default"))
    assert await two.sweep(locked=True) == -1
    assert await two.woken() == []
    assert 0 < await redis.pttl(wire.sweep_key("default")) <= 60_000


async def test_a_job_of_stock_arq_is_taken_and_ended(redis: ArqRedis, one: Steps) -> None:
    """Arq's own `enqueue_job` writes neither record nor wake token; the sweep finds the job, the claim makes both."""
    # Due for some seconds: arq takes the time from the client's clock, which may be ahead of the server's.
    job = await redis.enqueue_job("do_nothing", _queue_name=wire.queue_key("default"), _defer_by=-5)
    assert job is not None
    assert await one.sweep() == 1
    taken = await one.claim_one(job.job_id)
    assert (taken.kind, taken.principal, taken.allowed) == ("", "", 1)
    assert await one.finish(taken, Done({"words": 1}))
    assert (await job.result(timeout=5))["output"] == {"words": 1}


async def test_handing_back_after_the_count_has_expired_leaves_no_key_for_ever(
    redis: ArqRedis, caller: Caller, one: Steps
) -> None:
    """The fixture looks for keys without an end."""
    await _submit(caller, "a")
    taken = await one.claim_one("a")
    await redis.delete(wire.TRIES + "a")
    assert await one.release(taken, counted=False)
    assert (await one.claim_one("a")).tries == 1
