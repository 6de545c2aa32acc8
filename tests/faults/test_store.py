"""Faults of the job store: restart, freeze, lost hints, and network faults in front of it."""

from __future__ import annotations

import asyncio

import pytest

from faults.cluster import Cluster
from faults.proxy import Mode
from offloop.queue.record import Done, Record
from offloop.redis import schema
from support.processes import alive
from support.waiting import eventually, poll

pytestmark = [pytest.mark.anyio, pytest.mark.faults, pytest.mark.timeout(240)]


OUTAGE_SECONDS = 2.0
FREEZE_SECONDS = 6.0
"""Longer than a lease (4 s), and than the silence after which a connection counts as dead (5 s)."""
HELD_THROUGH, ENDS_MEANWHILE = 0, 1
"""Numbers of held jobs: some end after the fault, some during it."""


async def _serves(cluster: Cluster) -> None:
    """Check that a new job completes; every error of its submission must be temporary."""

    async def submitted() -> Record | None:
        try:
            return await cluster.submit("noop")
        except Exception:  # noqa: BLE001 -- the failure names the condition
            return None

    record = await eventually(submitted, "a job is accepted", 40)
    assert record
    assert (await cluster.until_state(record.job_id, "completed", "failed")).state.value == "completed"


async def _renewed(cluster: Cluster, held: list[Record]) -> bool:
    """Whether the workers have renewed the leases of these jobs in the last second."""
    leases = await cluster.leases()
    return all(leases.get(record.job_id, 0) > schema.LEASE_MS - 1000 for record in held)


async def _hold(cluster: Cluster) -> tuple[list[Record], Record]:
    """Start three jobs that run through the fault and one that ends meanwhile."""
    through = [await cluster.submit("hold", number=HELD_THROUGH) for _ in range(3)]
    meanwhile = await cluster.submit("hold", number=ENDS_MEANWHILE)
    await cluster.until_running(*through, meanwhile)
    return through, meanwhile


async def test_a_restarted_redis_loses_no_job_and_no_worker(cluster: Cluster) -> None:
    """Running, queued and ended jobs survive an outage of two seconds; running jobs are not restarted."""
    workers = await asyncio.gather(cluster.worker(), cluster.worker())
    ended = [await cluster.submit("effect") for _ in range(10)]
    await cluster.until_ended(ended)
    through, meanwhile = await _hold(cluster)
    queued = [await cluster.submit("effect") for _ in range(20)]
    cluster.valkey.kill()
    cluster.release(ENDS_MEANWHILE)
    await asyncio.sleep(OUTAGE_SECONDS)
    await cluster.start_valkey()
    await eventually(lambda: _renewed(cluster, through), "the leases are renewed", 40)
    cluster.release(HELD_THROUGH)
    ends = await cluster.until_ended([*ended, *through, meanwhile, *queued])
    assert [(end.state.value, end.attempt) for end in ends] == [("completed", 1)] * 34
    assert all(worker.running for worker in workers)
    assert {len(attempts) for attempts in cluster.executions().values()} == {1}


async def test_a_redis_frozen_for_longer_than_a_lease_restarts_no_job(cluster: Cluster) -> None:
    """Workers get time to renew before a lease expires; the outcome of a job that ended meanwhile is written again."""
    await asyncio.gather(cluster.worker(), cluster.worker())
    through, meanwhile = await _hold(cluster)
    cluster.valkey.freeze()
    cluster.release(ENDS_MEANWHILE)
    await asyncio.sleep(FREEZE_SECONDS)
    cluster.valkey.thaw()
    await eventually(lambda: _renewed(cluster, through), "the leases are renewed", 40)
    cluster.release(HELD_THROUGH)
    ends = await cluster.until_ended([*through, meanwhile])
    assert [(end.state.value, end.attempt) for end in ends] == [("completed", 1)] * 4
    assert [list(attempts) for attempts in cluster.executions().values()] == [[1]] * 4


async def test_forgotten_free_slots_lose_no_job(cluster: Cluster) -> None:
    """Free slots are hints: heartbeats advertise them again and claim waiting jobs."""
    worker = await cluster.worker(slots=1)
    first = await cluster.submit("hold")
    await cluster.until_running(first)
    waiting = [await cluster.submit("effect", wait_seconds=wait) for wait in (0, 0, 40, 40)]
    await cluster.forget_free_slots()
    cluster.release()
    assert {end.state.value for end in await cluster.until_ended([first, *waiting])} == {"completed"}
    assert worker.running


async def test_forgotten_scripts_are_sent_again(cluster: Cluster) -> None:
    """As after a failover to a server without them."""
    await cluster.worker()
    record = await cluster.submit("hold")
    await cluster.until_running(record)
    await cluster.redis.script_flush()
    cluster.release()
    assert [end.state.value for end in await cluster.until_ended([record])] == ["completed"]
    await _serves(cluster)


async def test_network_faults_shorter_than_a_lease_restart_no_job(cluster: Cluster) -> None:
    """Two seconds of each between worker and Redis; afterwards new jobs are served as before."""
    worker = await cluster.worker(via_proxy=True)
    running = await cluster.submit("hold")
    await cluster.until_running(running)
    for mode in (Mode.REFUSE, Mode.FREEZE, Mode.RESET, Mode.DELAY, Mode.TRICKLE):
        await cluster.proxy.set(mode)
        meanwhile = await cluster.submit("effect_again")
        await asyncio.sleep(OUTAGE_SECONDS)
        await cluster.proxy.set(Mode.CALM)
        assert [end.state.value for end in await cluster.until_ended([meanwhile])] == ["completed"], mode
        await _serves(cluster)
        await eventually(lambda: _renewed(cluster, [running]), f"the lease is renewed after {mode}", 40)
        assert list(cluster.executions()[running.job_id]) == [1], mode
        assert worker.running, mode
    cluster.release()
    [end] = await cluster.until_ended([running])
    assert (end.state.value, end.attempt) == ("completed", 1)


async def test_a_worker_disconnected_for_longer_than_its_lease_recovers(cluster: Cluster) -> None:
    """Meanwhile another worker takes its job; it drops its own attempt and serves again."""
    disconnected = await cluster.worker(via_proxy=True)
    record = await cluster.submit("hold_again")
    await cluster.until_running(record)
    other = await cluster.worker()
    await cluster.proxy.set(Mode.FREEZE)
    await cluster.lapse(disconnected)
    await cluster.until_attempt(2, record)
    await cluster.proxy.set(Mode.CALM)
    child = cluster.pid_of(record.job_id)
    await poll(lambda: not alive(child), "it drops its own attempt", 40)
    cluster.release(attempt=2)
    [end] = await cluster.until_ended([record])
    assert isinstance(end.outcome, Done), end
    assert (end.attempt, end.outcome.output["attempt"]) == (2, 2)
    other.kill()
    await _serves(cluster)
    assert disconnected.running


@pytest.mark.parametrize("impatient", [True, pytest.param(False, marks=pytest.mark.soak)])
async def test_half_open_connections_of_a_worker_are_replaced(cluster: Cluster, *, impatient: bool) -> None:
    """As behind a restarted router: open connections drop all data, new ones work."""
    worker = await cluster.worker(via_proxy=True, impatient=impatient)
    await _serves(cluster)
    await cluster.proxy.set(Mode.HALF_OPEN)
    await cluster.proxy.set(Mode.CALM)
    await _serves(cluster)
    assert worker.running
