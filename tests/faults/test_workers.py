"""Workers that are killed, stopped or drained: the outcome of their jobs, and the time it takes."""

from __future__ import annotations

import asyncio
import signal
import statistics
import time

import pytest

from faults.cluster import PRINCIPAL, Cluster, ClusterProcess
from offloop.queue.record import Done, Failed, Record
from support.processes import alive, kill_pid
from support.waiting import poll

pytestmark = [pytest.mark.anyio, pytest.mark.faults, pytest.mark.timeout(240)]

SLOTS_OF_FIRST = 8
"""Slots of the worker that gets the job: more than the other has."""

RECOVERY_SECONDS = 12.0
"""Twice the six seconds that it takes at most on a quiet machine: a lease of 4 s, then a sweep each second."""


async def _running_on(cluster: Cluster, kind: str, worker: ClusterProcess, number: int = 0) -> Record:
    """Submit a job and wait until it runs on this worker: the only one, or the one with most free slots."""
    record = await cluster.submit(kind, number=number)
    await cluster.until_running(record)
    assert record.job_id in await cluster.held_by(worker)
    return record


async def test_the_jobs_of_a_killed_worker_run_elsewhere_or_fail_clearly(cluster: Cluster) -> None:
    """Within seconds, though none of them would end; its children end with it, and queued jobs are not affected."""
    # The other has a slot for each: a job also fails only when a worker claims it.
    first, _ = await asyncio.gather(cluster.worker(slots=SLOTS_OF_FIRST), cluster.worker(slots=4))
    again = await _running_on(cluster, "hold_again", first)
    once = await _running_on(cluster, "hold", first)
    stuck = await _running_on(cluster, "spin", first)
    queued = [await cluster.submit("nap_again", 0.2) for _ in range(12)]
    await poll(lambda: len(first.descendants) >= 1 + SLOTS_OF_FIRST, "the zygote and its children run")
    children = first.descendants
    killed = time.time()
    first.kill()
    await poll(lambda: not [pid for pid in children if alive(pid)], "children are gone")

    lost = await cluster.until_state(once.job_id, "completed", "failed")
    assert isinstance(lost.outcome, Failed)
    assert lost.outcome.error.reason == "crashed"
    assert "lost with its worker" in lost.outcome.error.message
    assert lost.outcome.error.retryable
    assert list(cluster.executions()[once.job_id]) == [1]  # its progress is unknown, so it never runs twice

    await cluster.until_attempt(2, again, stuck)
    assert cluster.executions()[again.job_id][2][0] - killed <= RECOVERY_SECONDS
    cluster.release(attempt=2)
    ended = await cluster.until_state(again.job_id, "completed", "failed")
    assert isinstance(ended.outcome, Done)
    assert ended.attempt == 2
    await cluster.queue.cancel(stuck.job_id, principal=PRINCIPAL)
    assert {end.state.value for end in await cluster.until_ended(queued)} == {"completed"}


async def test_a_stopped_worker_drops_its_late_result_and_kills_its_child(cluster: Cluster) -> None:
    """It is stopped for longer than its leases, and continues while other attempts own its jobs."""
    stopped = await cluster.worker()
    finished = await _running_on(cluster, "hold_again", stopped)
    stuck = await _running_on(cluster, "spin", stopped)
    child = cluster.pid_of(stuck.job_id)
    await cluster.worker()
    stopped.signal(signal.SIGSTOP)
    cluster.release()  # its child continues, and ends the job while the worker is stopped
    await cluster.lapse(stopped)
    await cluster.until_attempt(2, finished, stuck)
    stopped.signal(signal.SIGCONT)
    await poll(lambda: "late outcome dropped" in stopped.output or "lease lost" in stopped.output, "it drops them")
    await poll(lambda: not alive(child), "the child is gone")
    cluster.release(attempt=2)
    ended = await cluster.until_state(finished.job_id, "completed", "failed")
    assert isinstance(ended.outcome, Done)
    assert ended.outcome.output["attempt"] == ended.attempt == 2
    await cluster.queue.cancel(stuck.job_id, principal=PRINCIPAL)
    await cluster.until_state(stuck.job_id, "cancelled")
    served = await cluster.submit("noop")
    await cluster.until_state(served.job_id, "completed")


async def test_a_drained_attempt_does_not_count_as_a_retry(cluster: Cluster) -> None:
    """A rolling restart returns jobs to the queue; even a kind without retries runs again."""
    first, second = await asyncio.gather(
        cluster.worker(drain_seconds=0.2, slots=SLOTS_OF_FIRST), cluster.worker(drain_seconds=0.2)
    )
    record = await _running_on(cluster, "hold", first)
    cluster.release(attempt=2)
    first.signal(signal.SIGTERM)
    await first.ended()
    ended = await cluster.until_state(record.job_id, "completed", "failed")
    assert isinstance(ended.outcome, Done)
    assert ended.attempt == 2
    assert second.running


async def test_a_rolling_restart_loses_and_repeats_nothing(cluster: Cluster) -> None:
    """Every worker is replaced once during a stream of short jobs."""
    old = await asyncio.gather(cluster.worker(), cluster.worker())
    records: list[Record] = []
    stopped = asyncio.Event()

    async def submit() -> None:
        while not stopped.is_set():
            records.append(await cluster.submit("effect"))
            await asyncio.sleep(0.01)

    submitting = asyncio.create_task(submit())
    for worker, _ in zip(old, await asyncio.gather(cluster.worker(), cluster.worker()), strict=True):
        worker.signal(signal.SIGTERM)
        await worker.ended()
    stopped.set()
    await submitting
    ends = await cluster.until_ended(records)
    assert len(ends) > 50
    assert {ended.state.value for ended in ends} == {"completed"}
    executions = cluster.executions()
    assert {ended.job_id: list(executions[ended.job_id]) for ended in ends} == {
        ended.job_id: [ended.attempt] for ended in ends
    }


async def test_cancelling_a_job_stuck_in_c_takes_less_than_a_tenth_of_a_second(cluster: Cluster) -> None:
    """From the request to the end of the child, median of 12; a busy machine has five rounds to show it."""
    worker = await cluster.worker()

    async def cancel_once() -> float:
        record = await _running_on(cluster, "spin", worker)
        requested = time.time()
        await cluster.queue.cancel(record.job_id, principal=PRINCIPAL)
        ended = await cluster.until_state(record.job_id, "cancelled")
        assert ended.finished
        return ended.finished / 1000 - requested

    medians: list[float] = []
    while len(medians) < 5 and min(medians, default=1.0) > 0.1:
        medians.append(statistics.median([await cancel_once() for _ in range(12)]))
    assert min(medians) <= 0.1, medians


async def test_a_killed_zygote_is_replaced_and_its_jobs_are_retried(cluster: Cluster) -> None:
    """Its children die with it; a kind with retries runs again, and the worker continues."""
    worker = await cluster.worker(slots=1)  # else the next attempt may run in the other dying child
    record = await _running_on(cluster, "hold_again", worker)
    cluster.release(attempt=2)
    kill_pid(worker.descendants[0])
    ended = await cluster.until_state(record.job_id, "completed", "failed")
    assert isinstance(ended.outcome, Done), ended
    assert ended.attempt == 2


async def test_a_worker_with_a_clock_an_hour_fast_does_no_harm(cluster: Cluster) -> None:
    """Leases, wait budgets and expiry use the clock of Redis."""
    await asyncio.gather(cluster.worker(skewed=True), cluster.worker())
    records = [await cluster.submit("nap", 0.3) for _ in range(8)]
    for record in records:
        ended = await cluster.until_state(record.job_id, "completed", "failed")
        assert isinstance(ended.outcome, Done)
        assert ended.attempt == 1
        assert ended.started
        assert ended.finished
        assert abs(ended.finished / 1000 - time.time()) < 60
