"""Failures of children, workers, front ends and Redis: no job is lost, no call hangs, others continue."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from typing import NamedTuple

import httpx2
import pytest

from offloop.redis import schema
from support.processes import alive
from support.stack.client import begin_call
from support.stack.gates import Gate
from support.stack.stack import Stack, log_lines
from support.waiting import eventually, until

pytestmark = pytest.mark.anyio
NewStack = Callable[..., Stack]


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


async def test_killing_the_front_end_between_call_and_job_status_loses_nothing(new_stack: NewStack, gate: Gate) -> None:
    """The job continues in its worker, and every other front end can read it, including links."""
    own = new_stack()
    worker, first = own.begin_worker(), own.front_end()
    own.await_worker(worker)
    key = own.new_key()
    async with own.client(first, key=key) as caller:
        job_id = (await caller.call("hold", gate=gate.argument, wait_seconds=0)).job_id
        note = (await caller.call("write_note", text="kept")).job_id
        await gate.entered()
        first.kill()
    second = own.front_end()
    async with own.client(second, key=key) as caller:
        assert (await caller.call("job_status", job_id=job_id)).state == "running"
        gate.open()
        assert (await caller.call("job_status", job_id=job_id, wait_seconds=10)).output["attempt"] == 1
        [artifact] = (await caller.call("job_status", job_id=note)).data["artifacts"]
        assert await caller.download(artifact) == b"kept"


async def test_without_a_worker_a_call_reports_it_and_the_job_runs_later(
    new_stack: NewStack,
) -> None:
    """/readyz reports the same; the answer is no error, because the job is not lost."""
    own = new_stack()
    front_end = own.front_end()
    ready = httpx2.get(f"{front_end.base}/readyz", trust_env=False)
    assert ready.status_code == 503
    assert "default" in ready.text
    async with own.client() as caller:
        begun = time.monotonic()
        answer = await caller.call("nap", wait_seconds=1)
        assert time.monotonic() - begun < 4
        assert (answer.is_error, answer.state) == (False, "queued")
        assert "No worker serves the queue 'default'" in answer.text
        assert "offloop worker" in answer.text
        own.worker()
        assert (await caller.call("job_status", job_id=answer.job_id, wait_seconds=20)).state == "completed"
    assert httpx2.get(f"{front_end.base}/readyz", trust_env=False).status_code == 200


async def test_children_of_a_killed_worker_end_and_another_worker_finishes_its_job(
    new_stack: NewStack, gate: Gate
) -> None:
    """The kind has retries; a job without retries fails with a message that states the reason."""
    own = new_stack()
    first, front_end = own.begin_worker(), own.begin_front_end()
    own.await_front_end(front_end)
    own.await_worker(first)
    async with own.client() as caller:
        again = (await caller.call("hold_again", gate=gate.argument, wait_seconds=0)).job_id
        once = (await caller.call("hold", gate=gate.argument, wait_seconds=0)).job_id
        await gate.entered(2)
        children = gate.running
        assert len(children) == 2
        first.kill()
        until(lambda: not any(map(alive, children)), "the children of the killed worker are gone")
        own.worker()  # which also deletes the temporary folders of the killed one
        failed = await caller.call("job_status", job_id=once, wait_seconds=30)
        assert (failed.is_error, failed.state, failed.data["error"]["code"]) == (True, "failed", "crashed")
        assert "lost with its worker" in failed.text
        assert "allows no retries" in failed.text
        await gate.entered(3)
        gate.open()
        done = await caller.call("job_status", job_id=again, wait_seconds=20)
        assert done.output["attempt"] == 2
    assert len(gate.pids) == 3


async def test_a_killed_valkey_is_a_clear_error_within_bounds_and_nothing_queued_is_lost(
    new_stack: NewStack, gate: Gate
) -> None:
    """Both sides recover once it is back on the same data; the running job's result arrives too."""
    own = new_stack(persistent=True, slots=1)
    worker, front_end = own.begin_worker(), own.begin_front_end()
    own.await_front_end(front_end)
    own.await_worker(worker)
    async with own.client() as caller:
        running = (await caller.call("hold_again", gate=gate.argument, wait_seconds=0)).job_id
        await gate.entered()
        queued = (await caller.call("nap", wait_seconds=0)).job_id
        own.valkey.kill()
        for tool, arguments in (
            ("nap", {"wait_seconds": 1}),
            ("job_status", {"job_id": queued}),
            ("list_jobs", {}),
            ("cancel_job", {"job_id": queued}),
            ("create_upload", {"name": "x"}),
        ):
            begun = time.monotonic()
            answer = await caller.call_with(tool, arguments)
            assert time.monotonic() - begun < 10
            assert answer.is_error
            assert "Redis" in answer.text
            assert "Try again" in answer.text
        assert httpx2.get(f"{front_end.base}/healthz", trust_env=False).status_code == 200
        assert httpx2.get(f"{front_end.base}/readyz", trust_env=False, timeout=20).status_code == 503
        own.valkey.start()
        gate.open()
        for job_id in (running, queued):
            assert (await caller.call("job_status", job_id=job_id, wait_seconds=30)).state == "completed"
        assert (await caller.call("nap")).state == "completed"
    assert worker.running
    assert front_end.running


async def test_a_call_answers_its_job_id_even_if_valkey_dies_while_it_waits(new_stack: NewStack) -> None:
    """The job was accepted, so the answer at the end of the wait budget has its id, and it runs later."""
    own = new_stack(persistent=True)
    own.front_end()
    async with own.client() as caller:
        call = asyncio.create_task(caller.call("nap", wait_seconds=1.5))
        await eventually(own.open_jobs, "the job is queued")
        own.valkey.kill()
        answer = await call
        assert (answer.is_error, answer.state) == (False, "queued")
        own.valkey.start()
        own.worker()
        assert (await caller.call("job_status", job_id=answer.job_id, wait_seconds=20)).state == "completed"


async def test_a_frozen_valkey_holds_no_call_beyond_its_bounds(new_stack: NewStack) -> None:
    """Half-open connections are the worst case; the call still gets an answer in time."""
    own = new_stack()
    own.front_end()
    async with own.client() as caller:
        assert (await caller.call("list_jobs")).data["jobs"] == []
        own.valkey.freeze()
        try:
            begun = time.monotonic()
            answer = await caller.call("list_jobs")
            took = time.monotonic() - begun
        finally:
            own.valkey.thaw()
        assert answer.is_error
        assert "Redis" in answer.text
        assert took < 30
        assert not (await caller.call("list_jobs")).is_error


async def test_sigterm_lets_a_running_job_end_within_the_drain(new_stack: NewStack, gate: Gate) -> None:
    """The worker claims no more jobs, finishes the running one, and exits with 0."""
    own = new_stack(drain_seconds=5)
    worker, front_end = own.begin_worker(), own.begin_front_end()
    own.await_front_end(front_end)
    own.await_worker(worker)
    async with own.client() as caller:
        job_id = (await caller.call("hold", gate=gate.argument, wait_seconds=0)).job_id
        await gate.entered()
        worker.signal(signal.SIGTERM)
        until(lambda: any(line["event"] == "draining" for line in log_lines(worker)), "the worker drains")
        gate.open()
        assert (await caller.call("job_status", job_id=job_id, wait_seconds=10)).output["attempt"] == 1
        assert await asyncio.to_thread(worker.wait) == 0


async def test_sigterm_returns_a_longer_job_to_the_queue_without_counting_the_attempt(
    new_stack: NewStack, gate: Gate
) -> None:
    """Even a kind without retries runs again: the worker returned the job to the queue."""
    own = new_stack(drain_seconds=0.3)
    worker, front_end = own.begin_worker(), own.begin_front_end()
    own.await_front_end(front_end)
    own.await_worker(worker)
    async with own.client() as caller:
        job_id = (await caller.call("hold", gate=gate.argument, wait_seconds=0)).job_id
        child = await gate.entered()
        begun = time.monotonic()
        assert await asyncio.to_thread(worker.stop) == 0
        assert time.monotonic() - begun < 5
        assert not alive(child)
        assert (await caller.call("job_status", job_id=job_id)).state == "queued"
        own.worker()
        await gate.entered(2)
        gate.open()
        assert (await caller.call("job_status", job_id=job_id, wait_seconds=10)).output["attempt"] == 2


async def test_a_front_end_that_is_stopped_answers_the_call_that_is_running(new_stack: NewStack, gate: Gate) -> None:
    """SIGTERM ends the wait, not the job: the answer is its current state, and the job continues."""
    own = new_stack(drain_seconds=5)
    worker, front_end = own.begin_worker(), own.begin_front_end()
    own.await_front_end(front_end)
    own.await_worker(worker)
    connection = begin_call(front_end.endpoint, own.new_key(), "hold", {"gate": gate.argument, "wait_seconds": 20})
    try:
        await gate.entered()
        front_end.signal(signal.SIGTERM)
        answer = connection.getresponse().read().decode()
        assert '"state":"running"' in answer
        assert "job_status(job_id=" in answer
    finally:
        connection.close()
    until(lambda: not front_end.running, "the front end has ended")
    with own.valkey.redis() as redis:
        (job,) = redis.scan_iter(schema.RECORD + "*")
        assert redis.hget(job, "state") == b"running"
        gate.open()
        until(lambda: redis.hget(job, "state") == b"completed", "the job ends as if nothing had happened")


async def test_without_keys_everybody_is_one_principal_and_needs_none(new_stack: NewStack) -> None:
    own = new_stack(keys=False)
    worker, front_end = own.begin_worker(), own.begin_front_end()
    own.await_front_end(front_end)
    own.await_worker(worker)
    async with own.client() as first, own.client(mode="legacy") as second:
        job_id = (await first.call("nap")).job_id
        assert (await second.call("job_status", job_id=job_id)).state == "completed"
