"""Sweep: forgotten subqueues and jobs of lost workers."""

from __future__ import annotations

import pytest
from arq.connections import ArqRedis

from offloop.queue.record import State
from offloop.redis import schema
from support.caller import ALICE, Caller, Nothing, kind
from support.steps import LEASE_MS, Steps

pytestmark = pytest.mark.anyio


async def _submit(caller: Caller, *job_ids: str) -> None:
    for job_id in job_ids:
        await caller.submit(kind, Nothing(), job_id=job_id)


async def test_a_forgotten_subqueue_wakes_one_worker_with_a_free_slot(
    redis: ArqRedis, caller: Caller, one: Steps, two: Steps
) -> None:
    """Each sweep wakes the next of them."""
    await _submit(caller, "a")
    async with one.listening() as first, two.listening() as second:
        for worker in (one, two):
            await worker.advertise(0)
        await redis.zadd(schema.FREE_SLOTS + "default", {"one": 2, "two": 1})
        await one.sweep()
        assert await first.next() == ("wake", None)
        await second.none()
        await one.sweep()
        assert await second.next() == ("wake", None)
        await one.sweep()
        await first.none()
    assert [taken.job_id for taken in await one.advertise(1)] == ["a"]


async def test_a_job_of_a_lost_worker_is_swept_up_when_its_lease_has_lapsed(
    caller: Caller, one: Steps, two: Steps
) -> None:
    await _submit(caller, "a")
    await one.claim_one("a")
    assert await two.sweep() == 0
    assert (await caller.get("a")).state is State.RUNNING
    await one.lapse("a")
    assert await two.sweep() == 1
    assert (await two.subqueue(ALICE), await two.leased()) == (["a"], {})
    record = await caller.get("a")
    assert (record.state, record.attempt, record.started) == (State.QUEUED, 1, None)
    assert await two.sweep() == 0


async def test_jobs_of_a_lost_worker_go_before_those_that_have_waited_less(
    caller: Caller, one: Steps, two: Steps
) -> None:
    await _submit(caller, "a", "b", "c")
    await one.claim(2)
    await one.lose("a", "b")
    assert (await two.subqueue(ALICE))[-1] == "c"
    assert {taken.job_id for taken in await two.claim(2)} == {"a", "b"}


async def test_after_a_pause_of_all_sweeps_living_workers_have_half_a_lease_to_show_themselves(
    caller: Caller, one: Steps, two: Steps
) -> None:
    """A server that was frozen would take every job from its worker otherwise."""
    await _submit(caller, "kept", "lost")
    kept, lost = await one.claim(2)
    await one.lapse("kept", "lost")
    assert await two.sweep(idle_ms=LEASE_MS // 2 + 1000) == 0
    now = await two.now()
    assert all(abs(until - now - LEASE_MS // 2) < 5000 for until in (await two.leased()).values())
    assert await one.renew(kept) == ([], [])
    assert (await two.leased())["kept"] > (await two.leased())["lost"]
    await one.lapse("lost")
    assert await two.sweep() == 1
    assert await one.renew(kept, lost) == (["lost"], [])


async def test_a_short_pause_of_the_sweeps_gives_no_grace(caller: Caller, one: Steps, two: Steps) -> None:
    await _submit(caller, "a")
    await one.claim_one("a")
    await one.lapse("a")
    assert await two.sweep(idle_ms=LEASE_MS // 2 - 5000) == 1


async def test_grace_never_shortens_a_lease(caller: Caller, one: Steps) -> None:
    await _submit(caller, "a")
    await one.claim_one("a")
    before = await one.leased()
    await one.sweep(idle_ms=LEASE_MS)
    assert await one.leased() == before


async def test_a_lease_of_a_job_that_is_gone_is_cleared_away(redis: ArqRedis, caller: Caller, one: Steps) -> None:
    await _submit(caller, "a")
    await one.claim_one("a")
    await redis.delete(schema.RECORD + "a", schema.PAYLOAD + "a")
    await one.lapse("a")
    assert await one.sweep() == 0
    assert await one.leased() == {}


async def test_only_one_process_sweeps_at_a_time(redis: ArqRedis, caller: Caller, one: Steps, two: Steps) -> None:
    await _submit(caller, "a")
    await one.claim_one("a")
    assert await one.sweep() == 0
    await one.lapse("a")
    assert await two.sweep(locked=True) == -1
    assert await two.subqueue(ALICE) == []
    assert 0 < await redis.pttl(schema.sweep_keys("default")[0]) <= 60_000
