"""The job store goes away, stands still, forgets its hints, or is reached through a bad network."""

from __future__ import annotations

import asyncio
import time

import pytest

from faults.cluster import Cluster
from faults.processes import until
from faults.proxy import Mode
from offloop.queue.record import Done, Record

pytestmark = [pytest.mark.anyio, pytest.mark.faults, pytest.mark.timeout(120)]


async def _submit_until_taken(cluster: Cluster, kind: str) -> Record:
    """As a client does that is told to try again."""
    async with asyncio.timeout(15):
        while True:
            try:
                return await cluster.submit(kind)
            except Exception:  # noqa: BLE001 -- whatever it is, it must pass
                await asyncio.sleep(0.05)


async def _serves(cluster: Cluster, seconds: float) -> float:
    """How long it takes until a new job is served."""
    begun = time.monotonic()
    record = await _submit_until_taken(cluster, "noop")
    await cluster.until_state(record.job_id, "completed", seconds=seconds)
    return time.monotonic() - begun


async def test_a_restarted_redis_loses_no_job_and_no_worker(cluster: Cluster) -> None:
    """Running, queued and ended jobs survive its being killed for two seconds; running ones are not begun again."""
    workers = [await cluster.worker(), await cluster.worker()]
    ended = [await cluster.submit("effect") for _ in range(10)]
    await cluster.until_ended(ended)
    running = [await cluster.submit("nap", seconds) for seconds in (1.0, 3.0, 5.0, 5.0)]  # one ends during the outage
    await until(lambda: all(record.job_id in cluster.noted() for record in running), "four jobs run")
    queued = [await cluster.submit("effect") for _ in range(20)]
    cluster.kill_valkey()
    await asyncio.sleep(2)
    await cluster.start_valkey()
    ends = await cluster.until_ended([*ended, *running, *queued])
    assert [(end.state.value, end.attempt) for end in ends] == [("completed", 1)] * 34
    assert all(worker.running for worker in workers)
    assert {len(attempts) for attempts in cluster.noted().values()} == {1}


async def test_a_frozen_redis_does_not_have_running_jobs_begun_again(cluster: Cluster) -> None:
    """For longer than a lease nobody could renew; whose worker still lives is not known before it had the chance."""
    await cluster.worker()
    await cluster.worker()
    running = [await cluster.submit("nap", 10.0) for _ in range(3)]
    await until(lambda: all(record.job_id in cluster.noted() for record in running), "three jobs run")
    cluster.freeze_valkey()
    await asyncio.sleep(6)
    cluster.thaw_valkey()
    ends = await cluster.until_ended(running)
    assert [(end.state.value, end.attempt) for end in ends] == [("completed", 1)] * 3


async def test_a_job_that_ended_while_redis_was_frozen_keeps_its_result(cluster: Cluster) -> None:
    """The outcome is offered until it is taken."""
    await cluster.worker()
    record = await cluster.submit("nap", 2.0)
    await until(lambda: record.job_id in cluster.noted(), "it runs")
    cluster.freeze_valkey()
    await asyncio.sleep(6)
    cluster.thaw_valkey()
    [end] = await cluster.until_ended([record])
    assert isinstance(end.outcome, Done), end
    assert end.attempt == 1


async def test_forgotten_places_cost_seconds_and_no_job(cluster: Cluster) -> None:
    """Places are hints: the heartbeats count them anew, and take what waits."""
    worker = await cluster.worker(slots=1)
    first = await cluster.submit("nap", 1.0)
    await until(lambda: first.job_id in cluster.noted(), "the only slot is taken")
    waiting = [await cluster.submit("effect", wait_seconds=wait) for wait in (0, 0, 5, 5)]
    await cluster.forget_places()
    begun = time.monotonic()
    assert {end.state.value for end in await cluster.until_ended([first, *waiting])} == {"completed"}
    assert time.monotonic() - begun < 5
    assert worker.running


async def test_forgotten_scripts_are_sent_again(cluster: Cluster) -> None:
    """As after a failover to a server that never saw them."""
    await cluster.worker()
    record = await cluster.submit("nap", 1.0)
    await cluster.redis.script_flush()
    assert [end.state.value for end in await cluster.until_ended([record])] == ["completed"]
    assert await _serves(cluster, 10) < 5


@pytest.mark.parametrize(
    "mode", [Mode.REFUSE, Mode.FREEZE, Mode.RESET, Mode.DELAY, Mode.TRICKLE], ids=lambda mode: mode.name.lower()
)
async def test_a_bad_network_between_worker_and_redis(cluster: Cluster, mode: Mode) -> None:
    """For two seconds, within which no lease lapses: the running job is not begun again, and then all is well."""
    worker = await cluster.worker(via_proxy=True)
    running = await cluster.submit("nap", 4.5)
    await until(lambda: running.job_id in cluster.noted(), "a job runs")
    await cluster.proxy.set(mode)
    meanwhile = await cluster.submit("effect_again")
    await asyncio.sleep(2)
    await cluster.proxy.set(Mode.CALM)
    ends = await cluster.until_ended([running, meanwhile])
    assert [end.state.value for end in ends] == ["completed"] * 2
    assert ends[0].attempt == 1
    assert await _serves(cluster, 10) < 5
    assert worker.running


async def test_a_worker_cut_off_for_longer_than_its_lease_comes_back(cluster: Cluster) -> None:
    """Another one takes its job meanwhile; it drops its own attempt and serves again."""
    lonely = await cluster.worker(via_proxy=True)
    record = await cluster.submit("nap_again", 6.0)
    await until(lambda: record.job_id in cluster.noted(), "it runs")
    other = await cluster.worker()
    await cluster.proxy.set(Mode.FREEZE)
    await until(lambda: 2 in cluster.noted()[record.job_id], "the other has taken it")
    await cluster.proxy.set(Mode.CALM)
    [end] = await cluster.until_ended([record])
    assert isinstance(end.outcome, Done), end
    assert (end.attempt, end.outcome.output["attempt"]) == (2, 2)
    other.kill()
    assert await _serves(cluster, 15) < 10
    assert lonely.running


async def test_a_half_open_connection_does_not_deafen_a_worker(cluster: Cluster) -> None:
    """Its connections die without a word, as behind a router that was restarted; new ones work."""
    worker = await cluster.worker(via_proxy=True)
    assert await _serves(cluster, 10) < 5
    await cluster.proxy.set(Mode.HALF_OPEN)
    await cluster.proxy.set(Mode.CALM)
    assert await _serves(cluster, 40) < 30
    assert worker.running
