"""Failures of children, workers, front ends and Redis: no job is lost, no call hangs, others continue."""

from __future__ import annotations

import asyncio
import signal
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest

from support.processes import alive
from support.stack.client import PLAIN, begin_call, connected
from support.stack.full import PIXEL
from support.stack.gates import Gate
from support.stack.guests import guest_front_end, guest_worker, occupied
from support.stack.stack import FrontEnd, Stack, log_lines
from support.waiting import eventually, until

pytestmark = pytest.mark.anyio


class ChildFailure(NamedTuple):
    """A call whose child fails, and the expected error."""

    tool: str
    arguments: dict[str, int]
    code: str
    message: str


CHILD_FAILURES = {
    "a crash": ChildFailure("crash_once", {}, "crashed", "SIGSEGV"),
    "too much memory": ChildFailure("hog_memory", {"amount": 500}, "limit_exceeded", "64 MiB"),
    "too much time": ChildFailure("overrun", {}, "limit_exceeded", "limit of 1 seconds"),
    "an exception": ChildFailure("stumble", {}, "job_failed", "ValueError"),
}


@pytest.mark.parametrize("failure", CHILD_FAILURES.values(), ids=CHILD_FAILURES)
async def test_a_child_that_fails_fails_only_its_own_job(stack: Stack, gate: Gate, failure: ChildFailure) -> None:
    """The job in the other slot continues, the next one runs; the message discloses nothing of the exception."""
    async with stack.client() as caller:
        other = await caller.call("hold", gate=gate.argument, wait_seconds=0)
        child = await gate.entered()
        answer = await caller.call_with(failure.tool, failure.arguments)
        assert (answer.is_error, answer.state) == (True, "failed")
        assert answer.data["error"]["code"] == failure.code
        assert failure.message in answer.text
        assert "a secret of the server" not in answer.text
        assert alive(child)
        assert (await caller.call("nap")).state == "completed"
        gate.open()
        assert (await caller.call("job_status", job_id=other.job_id, wait_seconds=10)).output["pid"] == child


async def test_a_job_within_its_memory_is_not_disturbed(stack: Stack) -> None:
    async with stack.client() as caller:
        assert (await caller.call("hog_memory", amount=30)).output["steps"] == 30 << 20


async def test_a_job_that_may_be_retried_is_run_again_after_its_child_crashed(stack: Stack) -> None:
    async with stack.client() as caller:
        answer = await caller.call("crash_first")
    assert answer.output["attempt"] == 2


async def test_killing_the_front_end_between_call_and_job_status_loses_nothing(full_stack: Stack, gate: Gate) -> None:
    """The job continues in its worker, and every other front end can read it, including links."""
    key = full_stack.new_key()
    with guest_front_end(full_stack) as first:
        async with full_stack.client(first, key=key) as caller:
            job_id = (await caller.call("hold", gate=gate.argument, wait_seconds=0)).job_id
            note = (await caller.call("write_note", text="kept")).job_id
            await gate.entered()
            first.kill()
    async with full_stack.client(key=key) as caller:
        assert (await caller.call("job_status", job_id=job_id)).state == "running"
        gate.open()
        assert (await caller.call("job_status", job_id=job_id, wait_seconds=20)).output["attempt"] == 1
        [artifact] = (await caller.call("job_status", job_id=note)).data["artifacts"]
        assert await caller.download(artifact) == b"kept"


async def test_without_a_worker_a_call_reports_it_and_the_job_runs_later(full_stack: Stack) -> None:
    """/readyz reports the same; the answer is no error, because the job is not lost."""
    base = full_stack.front_ends[0].base
    ready = httpx2.get(f"{base}/readyz", trust_env=False, verify=PLAIN)
    assert ready.status_code == 503
    assert "image" in ready.text
    async with full_stack.client() as caller:
        answer = await caller.call("transform_image", image=PIXEL, format="webp", wait_seconds=1)
        assert (answer.is_error, answer.state) == (False, "queued")
        assert "No worker serves the queue 'image'" in answer.text
        assert "offloop worker" in answer.text
        with guest_worker(full_stack, queues="image"):
            assert (await caller.call("job_status", job_id=answer.job_id, wait_seconds=40)).state == "completed"
            assert httpx2.get(f"{base}/readyz", trust_env=False, verify=PLAIN).status_code == 200


async def test_children_of_a_killed_worker_end_and_another_worker_finishes_its_job(
    full_stack: Stack, gate: Gate, tmp_path: Path
) -> None:
    """The kind has retries; a job without retries fails with a message that states the reason."""
    async with occupied(full_stack, tmp_path) as others, full_stack.client() as caller:
        with guest_worker(full_stack, queues="default") as first:
            again = (await caller.call("hold_again", gate=gate.argument, wait_seconds=0)).job_id
            once = (await caller.call("hold", gate=gate.argument, wait_seconds=0)).job_id
            await gate.entered(2)
            children = gate.running
            assert len(children) == 2
            first.kill()
            until(lambda: not any(map(alive, children)), "the children of the killed worker are gone")
            others.open()
            failed = await caller.call("job_status", job_id=once, wait_seconds=40)
            assert (failed.is_error, failed.state, failed.data["error"]["code"]) == (True, "failed", "crashed")
            assert "lost with its worker" in failed.text
            assert "allows no retries" in failed.text
            await gate.entered(3)
            gate.open()
            done = await caller.call("job_status", job_id=again, wait_seconds=20)
            assert done.output["attempt"] == 2
    assert len(gate.pids) == 3


async def test_a_killed_valkey_is_a_clear_error_within_bounds_and_nothing_queued_is_lost(
    full_stack: Stack, gate: Gate
) -> None:
    """Both sides recover once it is back on the same data; the running job's result arrives too.

    The calls are made side by side. One that waits for its job at that moment answers the job's id at the end of its
    wait budget.
    """
    base = full_stack.front_ends[0].base
    async with full_stack.client() as caller:
        running = [(await caller.call("hold_again", gate=gate.argument, wait_seconds=0)).job_id for _ in range(2)]
        await gate.entered(2)
        queued = (await caller.call("nap", wait_seconds=0)).job_id
        waiting = asyncio.create_task(caller.call("nap", steps=1, wait_seconds=1.5))
        await eventually(partial(_has_open_jobs, full_stack, 4), "the waiting call's job is queued")
        full_stack.valkey.kill()
        begun = time.monotonic()
        answers = await asyncio.gather(
            caller.call("nap", wait_seconds=1),
            caller.call("job_status", job_id=queued),
            caller.call("list_jobs"),
            caller.call("cancel_job", job_id=queued),
            caller.call("create_upload", name="x"),
        )
        accepted = await waiting
        assert time.monotonic() - begun < 40
        for answer in answers:
            assert answer.is_error
            assert "Redis" in answer.text
            assert "Try again" in answer.text
        assert (accepted.is_error, accepted.state) == (False, "queued")
        async with httpx2.AsyncClient(trust_env=False, verify=PLAIN, timeout=30) as http:
            assert (await http.get(f"{base}/healthz")).status_code == 200
            assert (await http.get(f"{base}/readyz")).status_code == 503
        full_stack.valkey.start()
        gate.open()
        for job_id in (*running, queued, accepted.job_id):
            assert (await caller.call("job_status", job_id=job_id, wait_seconds=30)).state == "completed"
        assert (await caller.call("nap")).state == "completed"
    assert full_stack.workers[0].running
    assert full_stack.front_ends[0].running


async def _has_open_jobs(stack: Stack, count: int) -> bool:
    return await stack.open_jobs() == count


async def test_a_frozen_valkey_holds_no_call_beyond_its_bounds(full_stack: Stack) -> None:
    """Half-open connections are the worst case; the call still gets an answer in time."""
    async with full_stack.client() as caller:
        assert (await caller.call("list_jobs")).data["jobs"] == []
        full_stack.valkey.freeze()
        try:
            async with asyncio.timeout(30):
                answer = await caller.call("list_jobs")
        finally:
            full_stack.valkey.thaw()
        assert answer.is_error
        assert "Redis" in answer.text
        assert not (await caller.call("list_jobs")).is_error


async def test_sigterm_lets_a_running_job_end_within_the_drain(full_stack: Stack, gate: Gate, tmp_path: Path) -> None:
    """The worker claims no more jobs, finishes the running one, and exits with 0."""
    async with occupied(full_stack, tmp_path), full_stack.client() as caller:
        with guest_worker(full_stack, queues="default", drain_seconds=40) as worker:
            job_id = (await caller.call("hold", gate=gate.argument, wait_seconds=0)).job_id
            await gate.entered()
            worker.signal(signal.SIGTERM)
            until(lambda: any(line["event"] == "draining" for line in log_lines(worker)), "the worker drains")
            gate.open()
            assert (await caller.call("job_status", job_id=job_id, wait_seconds=20)).output["attempt"] == 1
            assert await asyncio.to_thread(worker.wait, 30) == 0


async def test_sigterm_returns_a_longer_job_to_the_queue_without_counting_the_attempt(
    full_stack: Stack, gate: Gate, tmp_path: Path
) -> None:
    """Even a kind without retries runs again: the worker returned the job to the queue."""
    async with occupied(full_stack, tmp_path) as others, full_stack.client() as caller:
        with guest_worker(full_stack, queues="default", drain_seconds=0.3) as worker:
            job_id = (await caller.call("hold", gate=gate.argument, wait_seconds=0)).job_id
            child = await gate.entered()
            assert await asyncio.to_thread(worker.stop, 30) == 0
            assert not alive(child)
            assert (await caller.call("job_status", job_id=job_id)).state == "queued"
            others.open()
            await gate.entered(2)
            gate.open()
            assert (await caller.call("job_status", job_id=job_id, wait_seconds=20)).output["attempt"] == 2


async def test_a_front_end_that_is_stopped_answers_the_call_that_is_running(full_stack: Stack, gate: Gate) -> None:
    """SIGTERM ends the wait, not the job: the answer is its current state, and the job continues."""
    key = full_stack.new_key()
    with guest_front_end(full_stack, drain_seconds=20) as front_end:
        connection = begin_call(front_end.endpoint, key, "hold", {"gate": gate.argument, "wait_seconds": 40})
        try:
            await gate.entered()
            front_end.signal(signal.SIGTERM)
            answer = connection.getresponse().read().decode()
            assert '"state":"running"' in answer
            assert "job_status(job_id=" in answer
        finally:
            connection.close()
        until(lambda: not front_end.running, "the front end has ended", 30)
    async with full_stack.client(key=key) as caller:
        [job] = (await caller.call("list_jobs")).data["jobs"]
        assert job["state"] == "running"
        gate.open()
        ended = await caller.call("job_status", job_id=job["job_id"], wait_seconds=20)
        assert ended.state == "completed", "the job ends as if nothing had happened"


async def test_without_keys_everybody_is_one_principal_and_needs_none(keyless: FrontEnd) -> None:
    async with (
        connected(keyless.endpoint, None, "auto") as first,
        connected(keyless.endpoint, None, "legacy") as second,
    ):
        job_id = (await first.call("nap")).job_id
        assert (await second.call("job_status", job_id=job_id)).state == "completed"
