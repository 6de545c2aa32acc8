"""Poison jobs fail with a clear error, affect no other job, and leave the worker running."""

from __future__ import annotations

import asyncio

import pytest

from faults.cluster import Cluster
from offloop.queue.record import Done, Failed

pytestmark = [pytest.mark.anyio, pytest.mark.faults, pytest.mark.timeout(240)]

EXPECTED = {
    "segfault": ("crashed", "SIGSEGV", 1),
    "segfault_again": ("crashed", "SIGSEGV", 3),
    "hog_memory": ("limit_exceeded", "64 MiB of memory", 1),
    "loop_in_c": ("limit_exceeded", "limit of 1 seconds", 1),
    "flood": ("limit_exceeded", "the limit is 1048576", 1),
    "fill_disk": ("limit_exceeded", "more than 8 MiB", 1),
}
"""Expected failure of each kind: error code, part of the message, number of executions."""


async def test_poison_jobs_fail_with_their_own_error_and_affect_no_other_job(cluster: Cluster) -> None:
    """All poison kinds concurrently on one worker, among harmless jobs."""
    worker = await cluster.worker()
    neighbours = [await cluster.submit("nap", 0.2) for _ in range(3)]
    poison = {kind: await cluster.submit(kind) for kind in EXPECTED}
    neighbours += [await cluster.submit(kind, 0.1) for kind in ("effect", "effect_again", "nap", "noop") * 3]
    for end in await cluster.until_ended(neighbours, 40):
        assert isinstance(end.outcome, Done), end
        assert end.attempt == 1, end
    executed = cluster.executions()
    for kind, record in poison.items():
        [end] = await cluster.until_ended([record])
        assert isinstance(end.outcome, Failed), end
        code, message, executions = EXPECTED[kind]
        assert end.outcome.error.reason == code
        assert message in end.outcome.error.message
        assert list(executed[record.job_id]) == list(range(1, executions + 1))
        assert end.attempt == executions
    assert worker.running


async def test_a_job_that_kills_every_worker_fails_after_its_retries(cluster: Cluster) -> None:
    """The message states the cause, and no third worker is affected."""
    workers = [await cluster.worker(slots=1)]
    record = await cluster.submit("end_worker")
    await cluster.until_running(record)
    workers += await asyncio.gather(cluster.worker(slots=1), cluster.worker(slots=1))
    for attempt in (1, 2):
        await cluster.until_attempt(attempt, record)
        [victim] = [worker for worker in workers if record.job_id in await cluster.held_by(worker)]
        workers.remove(victim)
        victim.kill()
        await cluster.lapse(victim)
    [end] = await cluster.until_ended([record])
    assert isinstance(end.outcome, Failed), end
    assert end.outcome.error.reason == "crashed"
    assert "seems to end every worker" in end.outcome.error.message
    assert list(cluster.executions()[record.job_id]) == [1, 2]
    assert [worker.running for worker in workers] == [True]
