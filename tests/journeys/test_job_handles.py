"""Job handles: job ids, polling, other front ends, waiting for several jobs, cancellation."""

from __future__ import annotations

import asyncio
import time

import pytest

from offloop.redis import schema
from support.processes import alive
from support.stack.client import Answer, Caller, begin_call
from support.stack.gates import Gate
from support.stack.stack import Stack
from support.waiting import eventually, until

pytestmark = pytest.mark.anyio


async def begin(caller: Caller, gate: Gate, tool: str = "hold") -> str:
    """Start a job and wait until it runs; returns its id."""
    answer = await caller.call(tool, gate=gate.argument, wait_seconds=0)
    await gate.entered()
    return answer.job_id


async def eventually_gone(pid: int) -> None:
    """Wait, without blocking the loop, until a process has ended."""

    async def gone() -> bool:
        return not alive(pid)

    await eventually(gone, "the child is gone")


async def finished(caller: Caller, job_id: str) -> Answer:
    """The final answer of a job."""
    return await caller.call("job_status", job_id=job_id, wait_seconds=10)


async def test_wait_seconds_0_answers_without_waiting_and_job_status_has_the_output_later(
    stack: Stack, gate: Gate
) -> None:
    """The first answer is no error, and its text names the tool to call next."""
    async with stack.client() as caller:
        begun = time.monotonic()
        answer = await caller.call("hold", gate=gate.argument, wait_seconds=0)
        assert time.monotonic() - begun < 2
        assert not answer.is_error
        assert answer.state in ("queued", "running")
        assert answer.data["output"] is None
        assert answer.data["poll_after_ms"] > 0
        assert f'job_status(job_id="{answer.job_id}"' in answer.text
        await gate.entered()
        assert (await caller.call("job_status", job_id=answer.job_id)).state == "running"
        gate.open()
        last = await finished(caller, answer.job_id)
        assert last.output["attempt"] == 1
        assert last.data["poll_after_ms"] is None
        assert last.data["created_at"] <= last.data["started_at"] <= last.data["finished_at"] < last.data["expires_at"]


async def test_a_wait_budget_that_runs_out_is_no_error_and_loses_nothing(stack: Stack, gate: Gate) -> None:
    async with stack.client() as caller:
        answer = await caller.call("hold", gate=gate.argument, wait_seconds=0.3)
        assert (answer.is_error, answer.state) == (False, "running")
        gate.open()
        assert (await finished(caller, answer.job_id)).state == "completed"


async def test_job_status_with_a_wait_answers_as_soon_as_the_job_ends(stack: Stack, gate: Gate) -> None:
    async with stack.client() as caller:
        job_id = await begin(caller, gate)
        waiting = asyncio.create_task(caller.call("job_status", job_id=job_id, wait_seconds=50))
        done, _ = await asyncio.wait({waiting}, timeout=0.3)
        assert not done
        begun = time.monotonic()
        gate.open()
        assert (await waiting).state == "completed"
        assert time.monotonic() - begun < 5


async def test_a_job_begun_at_one_front_end_is_asked_for_at_another(stack: Stack, gate: Gate) -> None:
    """Two front ends on one Redis serve the same jobs, while they run and afterwards."""
    first, second = stack.front_ends[:2]
    key = stack.new_key()
    async with stack.client(first, key=key) as here, stack.client(second, key=key, mode="legacy") as there:
        job_id = await begin(here, gate)
        assert (await there.call("job_status", job_id=job_id)).state == "running"
        waiting = asyncio.create_task(there.call("job_status", job_id=job_id, wait_seconds=20))
        gate.open()
        assert (await waiting).output["attempt"] == 1
        assert (await here.call("job_status", job_id=job_id)).state == "completed"


async def test_wait_for_jobs_any_answers_at_the_first_end_and_all_at_the_last(stack: Stack, gate: Gate) -> None:
    async with stack.client() as caller:
        slow = await begin(caller, gate)
        quick = (await caller.call("nap", seconds=0.2, wait_seconds=0)).job_id
        some = await caller.call("wait_for_jobs", job_ids=[slow, quick], until="any", wait_seconds=20)
        assert [job["job_id"] for job in some.data["jobs"]] == [slow, quick]
        assert [job["state"] for job in some.data["jobs"]] == ["running", "completed"]
        early = await caller.call("wait_for_jobs", job_ids=[slow, quick], until="all", wait_seconds=0.2)
        assert [job["state"] for job in early.data["jobs"]] == ["running", "completed"]
        assert not early.is_error
        waiting = asyncio.create_task(caller.call("wait_for_jobs", job_ids=[slow, quick], wait_seconds=20))
        gate.open()
        assert [job["state"] for job in (await waiting).data["jobs"]] == ["completed", "completed"]


async def test_list_jobs_is_newest_first_filtered_and_paged(stack: Stack, gate: Gate) -> None:
    async with stack.client() as caller:
        naps = [(await caller.call("nap")).job_id for _ in range(3)]
        failed = (await caller.call("stumble")).job_id
        held = await begin(caller, gate)

        async def listed(**filters: object) -> list[str]:
            answer = await caller.call_with("list_jobs", filters)
            return [job["job_id"] for job in answer.data["jobs"]]

        assert await listed() == [held, failed, *reversed(naps)]
        assert await listed(state="completed") == [*reversed(naps)]
        assert await listed(state="running") == [held]
        assert await listed(kind="stumble") == [failed]
        assert await listed(kind="nap", state="failed") == []
        first = await caller.call("list_jobs", kind="nap", limit=2)
        assert first.data["cursor"]
        rest = await caller.call("list_jobs", kind="nap", limit=2, cursor=first.data["cursor"])
        pages = [job["job_id"] for page in (first, rest) for job in page.data["jobs"]]
        assert pages == [*reversed(naps)]
        assert rest.data["cursor"] is None
        gate.open()
        await finished(caller, held)


async def test_a_job_that_never_returns_from_c_is_cancelled_and_its_process_is_gone(stack: Stack, gate: Gate) -> None:
    """The answer is cancelled only once the process has ended; the slot is free for the next job."""
    async with stack.client() as caller:
        job_id = await begin(caller, gate, "spin")
        child = await gate.entered()
        assert alive(child)
        answer = await caller.call("cancel_job", job_id=job_id)
        assert (answer.state, answer.is_error) == ("cancelled", False)
        assert not alive(child)
        assert (await caller.call("job_status", job_id=job_id)).state == "cancelled"
        assert (await caller.call("nap")).state == "completed"


async def test_a_queued_job_is_cancelled_and_never_runs(stack: Stack, gate: Gate) -> None:
    """All slots are in use, so the job is certainly queued."""
    async with stack.client() as caller:
        for _ in range(2):
            await caller.call("hold", gate=gate.argument, wait_seconds=0)
        await gate.entered(2)
        queued = await caller.call("hold", gate=gate.argument, wait_seconds=0.2)
        assert queued.state == "queued"
        answer = await caller.call("cancel_job", job_id=queued.job_id)
        assert (answer.state, answer.data["attempt"]) == ("cancelled", 0)
        gate.open()
        everything = await caller.call("list_jobs", state="running")
        ids = [job["job_id"] for job in everything.data["jobs"]]
        if ids:
            await caller.call("wait_for_jobs", job_ids=ids, wait_seconds=10)
        assert (await caller.call("job_status", job_id=queued.job_id)).state == "cancelled"
    assert len(gate.pids) == 2


async def test_cancelling_an_ended_job_changes_nothing(stack: Stack) -> None:
    async with stack.client() as caller:
        job_id = (await caller.call("nap")).job_id
        answer = await caller.call("cancel_job", job_id=job_id)
        assert (answer.state, answer.is_error) == ("completed", False)


async def test_a_disconnected_client_cancels_its_job(stack: Stack, gate: Gate) -> None:
    """No other caller has the job's id, so the job is cancelled, as the protocol requires."""
    key = stack.new_key()
    connection = begin_call(stack.front_ends[0].endpoint, key, "hold", {"gate": gate.argument, "wait_seconds": 50})
    try:
        child = await gate.entered()
    finally:
        connection.close()
    await eventually_gone(child)
    async with stack.client(key=key) as caller:

        async def cancelled() -> bool:
            jobs = (await caller.call("list_jobs")).data["jobs"]
            return [job["state"] for job in jobs] == ["cancelled"]

        await eventually(cancelled, "the job is cancelled")


async def test_a_call_cancelled_by_a_modern_client_stops_its_job(stack: Stack, gate: Gate) -> None:
    """The official client closes the stream when the caller's task is cancelled; its other calls continue."""
    async with stack.client() as caller:
        call = asyncio.create_task(caller.call("spin", gate=gate.argument, wait_seconds=50))
        child = await gate.entered()
        call.cancel()
        await asyncio.wait([call])
        await eventually_gone(child)
        assert (await caller.call("nap")).state == "completed"


async def test_a_job_with_an_idempotency_key_survives_its_client(stack: Stack, gate: Gate) -> None:
    """The key makes it reachable: the same call joins the same execution."""
    key = stack.new_key()
    arguments = {"gate": gate.argument, "wait_seconds": 50, "idempotency_key": "mine"}
    connection = begin_call(stack.front_ends[0].endpoint, key, "hold", arguments)
    try:
        child = await gate.entered()
    finally:
        connection.close()
    async with stack.client(stack.front_ends[1], key=key) as caller:
        again = await caller.call("hold", gate=gate.argument, wait_seconds=0.5, idempotency_key="mine")
        assert again.state == "running"
        assert alive(child)
        gate.open()
        last = await finished(caller, again.job_id)
        assert last.output["pid"] == child
    assert gate.pids == [child]


async def test_a_job_with_a_disclosed_id_survives_a_waiting_client_that_disconnects(stack: Stack, gate: Gate) -> None:
    """Ending the wait in job_status does not cancel the job."""
    key = stack.new_key()
    async with stack.client(key=key) as caller:
        job_id = await begin(caller, gate)
        arguments = {"job_id": job_id, "wait_seconds": 50}
        connection = begin_call(stack.front_ends[0].endpoint, key, "job_status", arguments)
        with stack.valkey.redis() as redis:
            until(lambda: redis.hexists(schema.RECORD + job_id, "waiters"), "the front end waits for the job")
        connection.close()
        still = await caller.call("job_status", job_id=job_id, wait_seconds=0.5)
        assert still.state == "running"
        gate.open()
        assert (await finished(caller, job_id)).state == "completed"


async def test_the_same_request_from_four_callers_on_two_front_ends_is_one_job(stack: Stack, gate: Gate) -> None:
    """All four use one idempotency key at the same time; each gets the answer."""
    key = stack.new_key()

    async def call(number: int) -> Answer:
        async with stack.client(stack.front_ends[number % 2], key=key) as caller:
            return await caller.call("hold", gate=gate.argument, wait_seconds=50, idempotency_key="k")

    calls = [asyncio.create_task(call(number)) for number in range(4)]
    await gate.entered()
    gate.open()
    answers = await asyncio.gather(*calls)
    assert {answer.state for answer in answers} == {"completed"}
    assert len({answer.job_id for answer in answers}) == 1
    assert len(gate.pids) == 1


async def test_an_idempotency_key_joins_and_refuses_other_arguments(stack: Stack, gate: Gate) -> None:
    """A key belongs to its principal: the same key of another principal is another job."""
    async with stack.client() as caller, stack.client() as other:
        first = await caller.call("hold", gate=gate.argument, wait_seconds=0, idempotency_key="k")
        same = await caller.call("hold", gate=gate.argument, wait_seconds=0, idempotency_key="k")
        assert same.job_id == first.job_id
        conflict = await caller.call("hold", gate=f"{gate.argument}-2", wait_seconds=0, idempotency_key="k")
        assert conflict.is_error
        assert "idempotency_key 'k'" in conflict.text
        assert "other arguments" in conflict.text
        foreign = await other.call("nap", idempotency_key="k")
        assert foreign.job_id != first.job_id
        gate.open()
        done = await caller.call("hold", gate=gate.argument, idempotency_key="k")
        assert (done.job_id, done.state) == (first.job_id, "completed")
    assert len(gate.pids) == 1
