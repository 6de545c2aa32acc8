"""Kinds without isolation: many in parallel on the worker's loop, each with its limits, outcome and end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from offloop.artifacts.store import Artifact, ArtifactStore
from offloop.queue.record import Cancelled, Done, Failed, State
from support.caller import ALICE, Caller
from support.jobs import sample_jobs as jobs
from support.jobs.sample_jobs import Given
from support.serving import Begin
from support.waiting import eventually

pytestmark = pytest.mark.anyio


async def test_as_many_run_concurrently_in_the_worker_as_it_has_slots(caller: Caller, begin: Begin) -> None:
    await begin(slots=40)
    ids = [await caller.submit(jobs.meet, Given(number=40), job_id=f"job{number}") for number in range(40)]
    ended = [await caller.until(job_id) for job_id in ids]
    outcomes = [record.outcome for record in ended]
    assert all(isinstance(outcome, Done) and outcome.warnings == ("met",) for outcome in outcomes)
    assert {outcome.output["pid"] for outcome in outcomes if isinstance(outcome, Done)} == {os.getpid()}


async def test_its_time_is_limited(caller: Caller, begin: Begin) -> None:
    await begin()
    record = await caller.until(await caller.submit(jobs.wait_too_long, Given()))
    assert isinstance(record.outcome, Failed)
    assert record.outcome.error.reason == "limit_exceeded"
    assert "stopped after its limit of 0.2 seconds" in record.outcome.error.message


async def test_a_cancellation_lets_it_clean_up_and_is_reported_when_it_is_gone(
    caller: Caller, begin: Begin, tmp_path: Path
) -> None:
    await begin()
    job_id = await caller.submit(jobs.wait_for_cancel, Given(text=str(tmp_path / "gone")))
    await caller.progress(job_id)
    await caller.queue.cancel(job_id, principal=ALICE)
    assert (await caller.until(job_id)).outcome == Cancelled()
    assert (tmp_path / "gone").exists()


async def test_a_drain_requeues_it(caller: Caller, begin: Begin, tmp_path: Path) -> None:
    worker = await begin()
    job_id = await caller.submit(jobs.wait_for_cancel, Given(text=str(tmp_path / "gone")))
    await caller.progress(job_id)
    await worker.drain(0.05)
    assert (await caller.get(job_id)).state is State.QUEUED


@pytest.mark.parametrize(
    ("how", "code", "part"),
    [
        ("foreseen", "none_today", "there is none today"),
        ("given up", "job_failed", "gave itself up"),
        ("late", "job_failed", "failed unexpectedly (TimeoutError)"),
        ("wrong", "job_failed", "failed unexpectedly (TypeError)"),
        ("secret", "job_failed", "failed unexpectedly (ValueError)"),
    ],
)
async def test_every_exception_is_an_outcome(caller: Caller, begin: Begin, how: str, code: str, part: str) -> None:
    worker = await begin()
    record = await caller.until(await caller.submit(jobs.fail_at, Given(text=how)))
    assert isinstance(record.outcome, Failed)
    wired = record.outcome.error.to_wire()
    assert (wired["code"], part in wired["message"], "secret" in wired["message"]) == (code, True, False)
    assert record.attempt == 1

    async def idle() -> bool:
        return not worker.tasks

    await eventually(idle)


async def test_its_files_are_kept_and_bounded(
    caller: Caller, begin: Begin, store: ArtifactStore, tmp_path: Path
) -> None:
    await begin()
    record = await caller.until(await caller.submit(jobs.make_waiting, Given(number=1000), job_id="small"))
    assert isinstance(record.outcome, Done)
    artifact = Artifact(**record.outcome.artifacts[0])
    path = await store.local_path(await store.get(artifact.artifact_id, principal=ALICE), tmp_path)
    assert path.stat().st_size == 1000
    record = await caller.until(await caller.submit(jobs.make_waiting, Given(number=2 << 20), job_id="large"))
    assert isinstance(record.outcome, Failed)
    assert "larger than 1 MiB" in record.outcome.error.message
    assert list((tmp_path / "scratch").glob("worker-*/*")) == []
