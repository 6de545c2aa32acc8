"""Front ends killed while they submit or wait: no accepted job is lost."""

from __future__ import annotations

import asyncio
import time

import pytest

from faults.cluster import Cluster
from faults.proxy import Mode
from offloop.errors import OffloopError
from offloop_server.client import Offloop
from support.waiting import eventually, poll

pytestmark = [pytest.mark.anyio, pytest.mark.faults, pytest.mark.timeout(120)]


async def _call(cluster: Cluster, number: int, kind: str, seconds: float, **budget: object) -> dict[str, object]:
    arguments = {**cluster.input_of(kind, seconds).model_dump(), **budget}
    async with Offloop(f"{cluster.front_ends[number].address}/mcp") as client:
        result = await client.call(kind, arguments)
        assert isinstance(result.structured_content, dict), result
        return result.structured_content


async def test_a_front_end_killed_while_a_call_waits_loses_nothing(cluster: Cluster) -> None:
    """A retry with the same idempotency key on another front end gets the same job, which runs once."""
    await cluster.worker()
    first = await cluster.front_end()
    await cluster.front_end()
    waiting = asyncio.create_task(_call(cluster, 0, "nap", 2.0, idempotency_key="k", wait_seconds=20))
    await poll(cluster.executions, "the job runs")
    first.kill()
    with pytest.raises((OffloopError, ExceptionGroup, OSError)):
        await waiting
    answer = await _call(cluster, 1, "nap", 2.0, idempotency_key="k", wait_seconds=20)
    assert answer["state"] == "completed"
    assert {job_id: list(attempts) for job_id, attempts in cluster.executions().items()} == {answer["job_id"]: [1]}


async def test_a_front_end_killed_after_it_answered_the_id_loses_nothing(cluster: Cluster) -> None:
    """Another front end needs only the id."""
    await cluster.worker()
    first = await cluster.front_end()
    submitted = await _call(cluster, 0, "nap", 1.0, wait_seconds=0)
    first.kill()
    await cluster.front_end()
    async with Offloop(f"{cluster.front_ends[1].address}/mcp") as client:
        result = await client.call("job_status", {"job_id": submitted["job_id"], "wait_seconds": 20})
        listed = await client.call("list_jobs", {})
    assert result.structured_content
    assert result.structured_content["state"] == "completed"
    assert listed.structured_content
    assert [job["job_id"] for job in listed.structured_content["jobs"]] == [submitted["job_id"]]


async def test_a_call_waits_through_a_restart_of_redis(cluster: Cluster) -> None:
    """The same call returns the result, even if the push about it was lost."""
    await cluster.worker()
    await cluster.front_end()
    waiting = asyncio.create_task(_call(cluster, 0, "nap", 2.5, wait_seconds=20))
    await poll(cluster.executions, "the job runs")
    cluster.kill_valkey()
    await asyncio.sleep(1.0)
    await cluster.start_valkey()
    begun = time.monotonic()
    assert (await waiting)["state"] == "completed"
    assert time.monotonic() - begun < 6


async def test_a_half_open_subscription_of_a_front_end_is_replaced(cluster: Cluster) -> None:
    """Until then, the check once a second answers the calls; afterwards pushes do again."""
    await cluster.worker()
    await cluster.front_end(via_proxy=True)
    arguments = {**cluster.input_of("nap", 0.1).model_dump(), "wait_seconds": 20}
    async with Offloop(f"{cluster.front_ends[0].address}/mcp") as client:

        async def quick() -> bool:
            begun = time.monotonic()
            result = await client.call("nap", arguments)
            assert result.structured_content
            assert result.structured_content["state"] == "completed"
            return time.monotonic() - begun < 0.7

        await eventually(quick, "calls are answered by pushes", 15)
        await cluster.proxy.set(Mode.HALF_OPEN)
        await cluster.proxy.set(Mode.CALM)
        assert not await quick()
        await eventually(quick, "calls are answered by pushes again", 30)


async def test_the_same_request_from_four_callers_on_two_front_ends_is_one_job(cluster: Cluster) -> None:
    """All four use one idempotency key; each gets an answer."""
    await cluster.worker()
    await cluster.front_end()
    await cluster.front_end()
    answers = await asyncio.gather(
        *(_call(cluster, number % 2, "effect", 0, idempotency_key="k", wait_seconds=20) for number in range(4))
    )
    assert {answer["state"] for answer in answers} == {"completed"}
    [job_id] = {answer["job_id"] for answer in answers}
    assert {key: list(attempts) for key, attempts in cluster.executions().items()} == {job_id: [1]}
