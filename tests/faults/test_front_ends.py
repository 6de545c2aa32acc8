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

pytestmark = [pytest.mark.anyio, pytest.mark.faults, pytest.mark.timeout(240)]


async def _call(cluster: Cluster, front_end: int, kind: str, number: int, **budget: object) -> dict[str, object]:
    arguments = {**cluster.input_of(kind, number=number).model_dump(), **budget}
    async with Offloop(f"{cluster.front_ends[front_end].address}/mcp") as client:
        result = await client.call(kind, arguments)
        assert isinstance(result.structured_content, dict), result
        return result.structured_content


async def test_a_killed_front_end_loses_no_job(cluster: Cluster) -> None:
    """A retry with the same idempotency key on another front end gets the same job; else the id is enough."""
    first, _, _ = await asyncio.gather(cluster.front_end(), cluster.front_end(), cluster.worker())
    killed = cluster.front_ends.index(first)
    waiting = asyncio.create_task(_call(cluster, killed, "hold", 1, idempotency_key="k", wait_seconds=50))
    submitted = await _call(cluster, killed, "hold", 2, wait_seconds=0)
    await poll(lambda: len(cluster.executions()) == 2, "both jobs run", 40)
    first.kill()
    with pytest.raises((OffloopError, ExceptionGroup, OSError)):
        await waiting
    cluster.release(1)
    cluster.release(2)
    other = 1 - killed
    answer = await _call(cluster, other, "hold", 1, idempotency_key="k", wait_seconds=50)
    assert answer["state"] == "completed"
    async with Offloop(f"{cluster.front_ends[other].address}/mcp") as client:
        result = await client.call("job_status", {"job_id": submitted["job_id"], "wait_seconds": 50})
        listed = await client.call("list_jobs", {})
    assert result.structured_content
    assert result.structured_content["state"] == "completed"
    assert listed.structured_content
    ids = {str(answer["job_id"]), str(submitted["job_id"])}
    assert {job["job_id"] for job in listed.structured_content["jobs"]} == ids
    assert {(job_id, *attempts) for job_id, attempts in cluster.executions().items()} == {(job_id, 1) for job_id in ids}


async def test_a_call_waits_through_a_restart_of_redis(cluster: Cluster) -> None:
    """The same call returns the result of a job that ended during the outage, though no push could tell of it."""
    front_end, _ = await asyncio.gather(cluster.front_end(), cluster.worker())
    waiting = asyncio.create_task(_call(cluster, 0, "hold", 0, wait_seconds=50))
    await poll(cluster.executions, "the job runs", 40)
    cluster.valkey.kill()
    cluster.release()
    await poll(lambda: "Redis does not answer" in front_end.output, "the front end notices the outage", 40)
    await cluster.start_valkey()
    assert (await waiting)["state"] == "completed"


@pytest.mark.parametrize("impatient", [True, pytest.param(False, marks=pytest.mark.soak)])
async def test_a_half_open_subscription_of_a_front_end_is_replaced(cluster: Cluster, *, impatient: bool) -> None:
    """Until then, the check once a second answers the calls; afterwards pushes do again."""
    await asyncio.gather(cluster.worker(), cluster.front_end(via_proxy=True, impatient=impatient))
    arguments = {**cluster.input_of("nap", 0.1).model_dump(), "wait_seconds": 50}
    async with Offloop(f"{cluster.front_ends[0].address}/mcp") as client:

        async def quick() -> bool:
            begun = time.monotonic()
            result = await client.call("nap", arguments)
            assert result.structured_content
            assert result.structured_content["state"] == "completed"
            return time.monotonic() - begun < 0.7

        await eventually(quick, "calls are answered by pushes", 40)
        await cluster.proxy.set(Mode.HALF_OPEN)
        await cluster.proxy.set(Mode.CALM)
        assert not await quick()
        await eventually(quick, "calls are answered by pushes again", 40)
