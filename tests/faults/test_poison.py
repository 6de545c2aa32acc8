"""Jobs that break what they can fail alone, in words that say so, and the worker serves on."""

from __future__ import annotations

import signal

import pytest

from faults.cluster import Cluster
from faults.processes import until
from offloop.queue.record import Done, Failed

pytestmark = [pytest.mark.anyio, pytest.mark.faults, pytest.mark.timeout(120)]

SAYS = {
    "segfault": ("crashed", "SIGSEGV", 1),
    "segfault_again": ("crashed", "SIGSEGV", 3),
    "hog_memory": ("limit_exceeded", "64 MiB of memory", 1),
    "loop_in_c": ("limit_exceeded", "limit of 1 seconds", 1),
    "flood": ("limit_exceeded", "the limit is 1048576", 1),
    "fill_disk": ("limit_exceeded", "more than 8 MiB", 1),
}
"""What each kind fails with: code, words of the message, executions."""


async def test_poison_fails_alone_and_says_so(cluster: Cluster) -> None:
    """All kinds of it at once on one worker, among jobs that have nothing to do with it."""
    worker = await cluster.worker()
    neighbours = [await cluster.submit("nap", 0.2) for _ in range(3)]
    poison = {kind: await cluster.submit(kind) for kind in SAYS}
    neighbours += [await cluster.submit(kind, 0.1) for kind in ("effect", "effect_again", "nap", "noop") * 3]
    for end in await cluster.until_ended(neighbours, 40):
        assert isinstance(end.outcome, Done), end
        assert end.attempt == 1, end
    noted = cluster.noted()
    for kind, record in poison.items():
        [end] = await cluster.until_ended([record])
        assert isinstance(end.outcome, Failed), end
        code, words, executions = SAYS[kind]
        assert end.outcome.error.reason == code
        assert words in end.outcome.error.message
        assert list(noted[record.job_id]) == list(range(1, executions + 1))
        assert end.attempt == executions
    assert worker.running


async def test_a_job_that_ends_every_worker_is_not_run_for_ever(cluster: Cluster) -> None:
    """After its tries it fails, and the message says why; it takes no third worker with it."""
    record = await cluster.submit("end_worker")
    for attempt in (1, 2):
        worker = await cluster.worker(doomed=True, slots=1)  # the job waits already, and may end it before it beats
        await until(lambda: attempt in cluster.noted().get(record.job_id, {}), f"execution {attempt}")  # noqa: B023 -- awaited at once
        worker.signal(signal.SIGKILL)
        await worker.ended()
    third = await cluster.worker(slots=1)
    [end] = await cluster.until_ended([record])
    assert isinstance(end.outcome, Failed), end
    assert end.outcome.error.reason == "crashed"
    assert "seems to end every worker" in end.outcome.error.message
    assert list(cluster.noted()[record.job_id]) == [1, 2]
    assert third.running
