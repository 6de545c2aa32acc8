"""Dispatch of a busy worker: a flood starves no other queue, level or principal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import pytest
from arq.connections import ArqRedis

from offloop import declare
from offloop.kinds.catalogue import Catalogue
from offloop.kinds.kind import Kind
from offloop.queue.client import JobQueue, new_id
from offloop.queue.record import Done, Outcome, Progress
from offloop_workers.engine.attempt import AGAIN, Again
from offloop_workers.engine.claiming import BATCH_EVERY, Claim
from support.caller import BOUNDS, Nothing
from support.serving import serving
from support.waiting import eventually

pytestmark = pytest.mark.anyio


KINDS = [declare(f"do_{queue}", Nothing, Nothing, description="d", queue=queue) for queue in "abcdefgh"]
"""One kind for each of eight queues."""


class Noting:
    """Work that notes its principals in order, once its gate is open."""

    def __init__(self, enough: int) -> None:
        self.done: list[str] = []
        self.begun = asyncio.Event()
        self.let = asyncio.Event()
        self.ended = asyncio.Event()
        self._enough = enough

    async def __call__(self, claim: Claim, _tell: Callable[[Progress], None]) -> Outcome:
        self.begun.set()
        await self.let.wait()
        self.done.append(claim.principal)
        if len(self.done) == self._enough:
            self.ended.set()
        return Done({})


async def _submit(redis: ArqRedis, kind: Kind[Nothing, Nothing], principal: str, *, level: str = "interactive") -> str:
    wait, job_id = 60 if level == "interactive" else 0, new_id()
    await JobQueue(redis, BOUNDS).submit(kind, Nothing(), principal=principal, job_id=job_id, wait_seconds=wait)
    return job_id


async def _order(url: str, count: int, queues: Iterable[str]) -> list[str]:
    """Principals of the jobs that a worker with one slot runs, until so many are done."""
    noting = Noting(count)
    noting.let.set()
    async with serving(Catalogue(KINDS), noting, url, queues=list(queues), slots=1), asyncio.timeout(30):
        await noting.ended.wait()
    return noting.done


@pytest.mark.parametrize("number", [2, 8])
async def test_a_flood_in_one_queue_does_not_starve_the_others(redis: ArqRedis, valkey: str, number: int) -> None:
    """For each queue, and for any number of queues."""
    used = KINDS[:number]
    for kind in used:
        for _ in range(12):
            await _submit(redis, kind, kind.queue)
    order = await _order(valkey, 12 * number, [kind.queue for kind in used])
    for kind in used:
        assert order.index(kind.queue) <= 2 * number, order
        assert order[: 4 * number].count(kind.queue) >= 2, order


@pytest.mark.parametrize("number", [1, 2, 4, 8])
async def test_jobs_without_a_waiting_caller_go_on_while_others_pour_in(
    redis: ArqRedis, valkey: str, number: int
) -> None:
    """In each queue, even where all of them are flooded on both levels."""
    used = KINDS[:number]
    for kind in used:
        for _ in range(2 * BATCH_EVERY):
            await _submit(redis, kind, f"wait-{kind.queue}")
        for _ in range(3):
            await _submit(redis, kind, f"batch-{kind.queue}", level="batch")
    order = await _order(valkey, BATCH_EVERY * (number + 1), [kind.queue for kind in used])
    batch = [principal for principal in order if principal.startswith("batch")]
    assert {f"batch-{kind.queue}" for kind in used} == set(batch), order
    assert len(batch) <= number + 2, order


async def test_a_flood_by_one_delays_another_by_one_job(redis: ArqRedis, valkey: str) -> None:
    """For any names."""
    for late in ("aaa", "zzz"):
        await redis.flushall()
        for _ in range(30):
            await _submit(redis, KINDS[0], "flood")
        noting = Noting(5)
        async with serving(Catalogue(KINDS), noting, valkey, queues=["a"], slots=1), asyncio.timeout(30):
            await noting.begun.wait()
            await _submit(redis, KINDS[0], late)
            noting.let.set()
            await noting.ended.wait()
        assert noting.done.index(late) <= 2, noting.done


async def test_an_attempt_that_ends_does_not_forget_the_next_one(redis: ArqRedis, valkey: str) -> None:
    """A released job is claimed again in the same request, before the task of its first attempt is over."""
    second, let = asyncio.Event(), asyncio.Event()

    async def perform(claim: Claim, _tell: Callable[[Progress], None]) -> Outcome | Again:
        if claim.attempt == 1:
            return AGAIN
        second.set()
        await let.wait()
        return Done({})

    kind = declare("twice", Nothing, Nothing, description="d", queue="a", retries=1)
    async with serving(Catalogue([kind]), perform, valkey, queues=["a"], slots=2) as worker, asyncio.timeout(30):
        job_id = await _submit(redis, kind, "principal")
        await second.wait()

        async def first_is_over() -> bool:
            return [task.get_name() for task in asyncio.all_tasks()].count(f"job {job_id}") == 1

        async def all_is_over() -> bool:
            return not worker.tasks

        await eventually(first_is_over)
        assert [attempt.claim.attempt for attempt in worker.execution.running.values()] == [2]
        let.set()
        await eventually(all_is_over)
        assert worker.jobs_complete == 1
