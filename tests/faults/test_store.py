"""Faults of the job store: restart, freeze, lost hints, and network faults in front of it."""

from __future__ import annotations

import asyncio
import time

import pytest

from faults.cluster import Cluster
from faults.proxy import Mode
from offloop.queue.record import Done, Record
from support.waiting import poll

pytestmark = [pytest.mark.anyio, pytest.mark.faults, pytest.mark.timeout(120)]


async def _submit_with_retries(cluster: Cluster, kind: str) -> Record:
    """Submit until accepted, for at most 15 s."""
    async with asyncio.timeout(15):
        while True:
            try:
                return await cluster.submit(kind)
            except Exception:  # noqa: BLE001 -- every error must be temporary
                await asyncio.sleep(0.05)


async def _serves(cluster: Cluster, seconds: float) -> float:
    """Seconds until a new job has completed."""
    begun = time.monotonic()
    record = await _submit_with_retries(cluster, "noop")
    await cluster.until_state(record.job_id, "completed", seconds=seconds)
    return time.monotonic() - begun


async def test_a_restarted_redis_loses_no_job_and_no_worker(cluster: Cluster) -> None:
    """Running, queued and ended jobs survive an outage of two seconds; running jobs are not restarted."""
    workers = [await cluster.worker(), await cluster.worker()]
    ended = [await cluster.submit("effect") for _ in range(10)]
    await cluster.until_ended(ended)
    running = [await cluster.submit("nap", seconds) for seconds in (1.0, 3.0, 5.0, 5.0)]  # one ends during the outage
    await poll(lambda: all(record.job_id in cluster.executions() for record in running), "four jobs run")
    queued = [await cluster.submit("effect") for _ in range(20)]
    cluster.kill_valkey()
    await asyncio.sleep(2)
    await cluster.start_valkey()
    ends = await cluster.until_ended([*ended, *running, *queued])
    assert [(end.state.value, end.attempt) for end in ends] == [("completed", 1)] * 34
    assert all(worker.running for worker in workers)
    assert {len(attempts) for attempts in cluster.executions().values()} == {1}


async def test_running_jobs_are_not_restarted_after_a_frozen_redis(cluster: Cluster) -> None:
    """No lease could be renewed for longer than its term; workers get time to renew before a lease expires."""
    await cluster.worker()
    await cluster.worker()
    running = [await cluster.submit("nap", 10.0) for _ in range(3)]
    await poll(lambda: all(record.job_id in cluster.executions() for record in running), "three jobs run")
    cluster.freeze_valkey()
    await asyncio.sleep(6)
    cluster.thaw_valkey()
    ends = await cluster.until_ended(running)
    assert [(end.state.value, end.attempt) for end in ends] == [("completed", 1)] * 3


async def test_a_job_that_ended_while_redis_was_frozen_keeps_its_result(cluster: Cluster) -> None:
    """The worker retries the write of the outcome."""
    await cluster.worker()
    record = await cluster.submit("nap", 2.0)
    await poll(lambda: record.job_id in cluster.executions(), "it runs")
    cluster.freeze_valkey()
    await asyncio.sleep(6)
    cluster.thaw_valkey()
    [end] = await cluster.until_ended([record])
    assert isinstance(end.outcome, Done), end
    assert end.attempt == 1


async def test_forgotten_free_slots_delay_jobs_by_seconds_and_lose_none(cluster: Cluster) -> None:
    """Free slots are hints: heartbeats advertise them again and claim waiting jobs."""
    worker = await cluster.worker(slots=1)
    first = await cluster.submit("nap", 1.0)
    await poll(lambda: first.job_id in cluster.executions(), "the only slot is taken")
    waiting = [await cluster.submit("effect", wait_seconds=wait) for wait in (0, 0, 5, 5)]
    await cluster.forget_free_slots()
    begun = time.monotonic()
    assert {end.state.value for end in await cluster.until_ended([first, *waiting])} == {"completed"}
    assert time.monotonic() - begun < 5
    assert worker.running


async def test_forgotten_scripts_are_sent_again(cluster: Cluster) -> None:
    """As after a failover to a server without them."""
    await cluster.worker()
    record = await cluster.submit("nap", 1.0)
    await cluster.redis.script_flush()
    assert [end.state.value for end in await cluster.until_ended([record])] == ["completed"]
    assert await _serves(cluster, 10) < 5


@pytest.mark.parametrize(
    "mode", [Mode.REFUSE, Mode.FREEZE, Mode.RESET, Mode.DELAY, Mode.TRICKLE], ids=lambda mode: mode.name.lower()
)
async def test_a_network_fault_shorter_than_a_lease_restarts_no_job(cluster: Cluster, mode: Mode) -> None:
    """Two seconds between worker and Redis; afterwards new jobs are served as before."""
    worker = await cluster.worker(via_proxy=True)
    running = await cluster.submit("nap", 4.5)
    await poll(lambda: running.job_id in cluster.executions(), "a job runs")
    await cluster.proxy.set(mode)
    meanwhile = await cluster.submit("effect_again")
    await asyncio.sleep(2)
    await cluster.proxy.set(Mode.CALM)
    ends = await cluster.until_ended([running, meanwhile])
    assert [end.state.value for end in ends] == ["completed"] * 2
    assert ends[0].attempt == 1
    assert await _serves(cluster, 10) < 5
    assert worker.running


async def test_a_worker_disconnected_for_longer_than_its_lease_recovers(cluster: Cluster) -> None:
    """Meanwhile another worker takes its job; it drops its own attempt and serves again."""
    disconnected = await cluster.worker(via_proxy=True)
    record = await cluster.submit("nap_again", 6.0)
    await poll(lambda: record.job_id in cluster.executions(), "it runs")
    other = await cluster.worker()
    await cluster.proxy.set(Mode.FREEZE)
    await poll(lambda: 2 in cluster.executions()[record.job_id], "the other worker has taken it")
    await cluster.proxy.set(Mode.CALM)
    [end] = await cluster.until_ended([record])
    assert isinstance(end.outcome, Done), end
    assert (end.attempt, end.outcome.output["attempt"]) == (2, 2)
    other.kill()
    assert await _serves(cluster, 15) < 10
    assert disconnected.running


async def test_half_open_connections_of_a_worker_are_replaced(cluster: Cluster) -> None:
    """As behind a restarted router: open connections drop all data, new ones work."""
    worker = await cluster.worker(via_proxy=True)
    assert await _serves(cluster, 10) < 5
    await cluster.proxy.set(Mode.HALF_OPEN)
    await cluster.proxy.set(Mode.CALM)
    assert await _serves(cluster, 40) < 30
    assert worker.running
