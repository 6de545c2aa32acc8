"""An unmodified arq 0.28 client against a real worker: enqueue, result, status, info, defer, expire, abort."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import arq
import pytest
from arq.connections import ArqRedis, RedisSettings
from arq.jobs import Job, JobStatus, ResultNotFound

import offloop.arq
from offloop.errors import JobError
from offloop.redis import codec, schema
from offloop_workers.children import payload
from offloop_workers.engine import dispatch, execution
from support.processes import alive
from support.serving import Begin
from support.steps import Steps
from support.waiting import eventually

pytestmark = pytest.mark.anyio

SOON = 0.02
QUEUE = "arq:queue:default"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the intervals of periodic work, so that tests need not wait for it."""
    monkeypatch.setattr(dispatch, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(dispatch, "SWEEP_SECONDS", 0.1)


@pytest.fixture
async def stock(valkey: str, redis: ArqRedis) -> AsyncIterator[ArqRedis]:
    """A pool of arq's own making, with the serializer of offloop and the name of a queue of its kinds."""
    assert await redis.dbsize() == 0
    pool = await arq.create_pool(
        RedisSettings.from_dsn(valkey),
        job_serializer=codec.pack,
        job_deserializer=codec.unpack,
        default_queue_name=QUEUE,
    )
    assert type(pool) is ArqRedis
    yield pool
    await pool.aclose(close_connection_pool=True)


async def _enqueued(pool: ArqRedis, kind: str, /, **options: Any) -> Job:
    job = await pool.enqueue_job(kind, **options)
    assert job
    return job


async def _is(job: Job, status: JobStatus) -> None:
    async def found() -> bool:
        return await job.status() is status

    await eventually(found, f"the status is {status}")


async def _pid(redis: ArqRedis, job: Job) -> int:
    """The pid that a job reports as its first progress."""

    async def reported() -> Any:
        return await redis.hget(schema.RECORD + job.job_id, "progress")  # type: ignore[misc]

    return int(codec.unpack(await eventually(reported, "it reports progress"))[2])


async def _now(redis: ArqRedis) -> int:
    """The server's time in ms."""
    seconds, micros = await redis.time()
    return int(seconds) * 1000 + int(micros) // 1000


async def test_a_result_is_waited_for_while_the_job_is_queued_and_while_it_runs(
    stock: ArqRedis, begin: Begin, tmp_path: Path
) -> None:
    """In both, a wait that is too short times out; it does not say that there is no such job."""
    job = await _enqueued(stock, "wait_for_file", text=str(tmp_path / "go"))
    with pytest.raises(TimeoutError):
        await job.result(timeout=3 * SOON, poll_delay=SOON)
    waiting = asyncio.create_task(job.result(timeout=30, poll_delay=SOON))
    await begin()
    await _is(job, JobStatus.in_progress)
    with pytest.raises(TimeoutError):
        await job.result(timeout=10 * SOON, poll_delay=SOON)
    assert not waiting.done()
    (tmp_path / "go").touch()
    result = await waiting
    assert (result["output"]["number"], result["artifacts"], result["warnings"]) == (1, [], [])
    assert await job.result(timeout=0) == result


async def test_the_status_goes_from_deferred_to_complete(stock: ArqRedis, begin: Begin, tmp_path: Path) -> None:
    job = await _enqueued(stock, "wait_for_file", text=str(tmp_path / "go"), _defer_by=0.4)
    assert await job.status() is JobStatus.deferred
    await _is(job, JobStatus.queued)
    await begin()
    await _is(job, JobStatus.in_progress)
    (tmp_path / "go").touch()
    await _is(job, JobStatus.complete)
    assert await offloop.arq.job("another", stock).status() is JobStatus.not_found


@pytest.mark.parametrize("how", ["by", "until"])
async def test_a_deferred_job_does_not_run_before_its_time(
    redis: ArqRedis, stock: ArqRedis, begin: Begin, how: str
) -> None:
    await begin()
    when: dict[str, Any] = (
        {"_defer_by": timedelta(seconds=0.6)}
        if how == "by"
        else {"_defer_until": datetime.now(UTC) + timedelta(seconds=0.6)}
    )
    job = await _enqueued(stock, "echo", text="later", **when)
    info = await job.info()
    assert info
    assert info.score
    due = info.score
    assert due > await _now(redis)
    assert (await job.result(timeout=30, poll_delay=SOON))["output"]["text"] == "later"
    assert int(await redis.hget(schema.RECORD + job.job_id, "started")) >= due  # type: ignore[misc]


async def test_an_id_names_one_job_while_it_waits_runs_and_has_ended(
    stock: ArqRedis, begin: Begin, tmp_path: Path
) -> None:
    async def again() -> Job | None:
        return await stock.enqueue_job("echo", _job_id="mine")

    job = await _enqueued(stock, "wait_for_file", text=str(tmp_path / "go"), _job_id="mine")
    assert await again() is None
    await begin()
    await _is(job, JobStatus.in_progress)
    assert await again() is None
    (tmp_path / "go").touch()
    await job.result(timeout=30, poll_delay=SOON)
    assert await again() is None


async def test_a_job_that_expired_before_it_began_says_so(stock: ArqRedis, begin: Begin) -> None:
    job = await _enqueued(stock, "echo", _expires=0.05)

    async def expired() -> bool:
        return not await stock.exists(schema.PAYLOAD + job.job_id)

    await eventually(expired)
    await begin()
    with pytest.raises(JobError, match="waited longer than it is kept"):
        await job.result(timeout=30, poll_delay=SOON)
    assert await stock.zcard(QUEUE) == 0


async def test_waiting_and_running_jobs_are_listed_with_their_arguments(
    stock: ArqRedis, begin: Begin, tmp_path: Path
) -> None:
    running = await _enqueued(stock, "wait_for_file", text=str(tmp_path / "go"))
    await begin(slots=1)
    await _is(running, JobStatus.in_progress)
    waiting = await _enqueued(stock, "echo", text="next", number=2)
    deferred = await _enqueued(stock, "echo", text="tomorrow", _defer_by=timedelta(days=1))
    listed = {found.job_id: found for found in await stock.queued_jobs()}
    assert set(listed) == {running.job_id, waiting.job_id, deferred.job_id}
    assert (listed[waiting.job_id].function, listed[waiting.job_id].kwargs) == ("echo", {"text": "next", "number": 2})
    (tmp_path / "go").touch()
    await waiting.result(timeout=30, poll_delay=SOON)
    assert [found.job_id for found in await stock.queued_jobs()] == [deferred.job_id]
    assert await deferred.abort(timeout=30, poll_delay=SOON)


async def test_an_ended_job_is_described(stock: ArqRedis, begin: Begin) -> None:
    job = await _enqueued(stock, "echo", text="a")
    before = await job.info()
    assert before
    assert (before.function, before.kwargs) == ("echo", {"text": "a"})
    await begin()
    await job.result(timeout=30, poll_delay=SOON)
    info = await job.result_info()
    assert info
    assert (info.success, info.function, info.job_try, info.job_id) == (True, "echo", 1, job.job_id)
    assert info.queue_name == QUEUE
    assert info.result["output"]["text"] == "a"
    assert [found.job_id for found in await stock.all_job_results()] == [job.job_id]


async def test_a_failure_is_raised_where_its_result_is_asked_for(stock: ArqRedis, begin: Begin) -> None:
    await begin()
    refused = await _enqueued(stock, "refuse", text="this")
    with pytest.raises(JobError, match="this is too much: send less") as failed:
        await refused.result(timeout=30, poll_delay=SOON)
    assert (failed.value.reason, failed.value.retryable) == ("too_much", True)
    cases: list[tuple[str, list[str], dict[str, Any], str]] = [
        ("no_such_kind", [], {}, "this worker does not know 'no_such_kind'"),
        ("echo", ["positional"], {}, "echo takes named arguments only"),
        ("echo", [], {"number": "many"}, "echo: number: "),
    ]
    for kind, positional, named, message in cases:
        job = await stock.enqueue_job(kind, *positional, **named)
        assert job
        with pytest.raises(JobError, match=message):
            await job.result(timeout=30, poll_delay=SOON)


async def test_an_abort_ends_the_child_of_a_running_job(redis: ArqRedis, stock: ArqRedis, begin: Begin) -> None:
    """And it answers only when the child is gone."""
    await begin()
    job = await _enqueued(stock, "spin")
    pid = await _pid(redis, job)
    assert alive(pid)
    assert await job.abort(timeout=30, poll_delay=SOON)
    assert not alive(pid)
    assert await job.status() is JobStatus.complete
    with pytest.raises(asyncio.CancelledError):
        await job.result(timeout=1)
    assert await redis.zcard("arq:abort") == 0


@pytest.mark.parametrize("options", [{}, {"_defer_by": 3600}], ids=["queued", "deferred"])
async def test_an_aborted_job_that_has_not_begun_does_not_run(
    stock: ArqRedis, begin: Begin, tmp_path: Path, options: dict[str, Any]
) -> None:
    held = await _enqueued(stock, "wait_for_file", text=str(tmp_path / "go"))
    await begin(slots=1)
    await _is(held, JobStatus.in_progress)
    notes = tmp_path / "notes"
    job = await _enqueued(stock, "note_runs", text=str(notes), **options)
    assert await job.abort(timeout=30, poll_delay=SOON)
    (tmp_path / "go").touch()
    await held.result(timeout=30, poll_delay=SOON)
    later = await _enqueued(stock, "echo")
    await later.result(timeout=30, poll_delay=SOON)
    assert not os.path.exists(notes)  # noqa: ASYNC240, PTH110 -- takes no time
    assert await stock.zcard(QUEUE) == 0


async def test_an_abort_of_an_ended_or_unknown_job_reports_that_it_ended_nothing(stock: ArqRedis, begin: Begin) -> None:
    await begin()
    job = await _enqueued(stock, "echo")
    await job.result(timeout=30, poll_delay=SOON)
    assert not await job.abort(timeout=30, poll_delay=SOON)
    never = offloop.arq.job("never", stock)
    assert not await never.abort(timeout=30, poll_delay=SOON)
    with pytest.raises(ResultNotFound):
        await never.result()

    async def forgotten() -> bool:
        return not await stock.exists("arq:abort")

    await eventually(forgotten, "a sweep has seen the requests to abort")


async def test_a_pickled_job_is_refused(valkey: str, redis: ArqRedis, begin: Begin) -> None:
    """Pickle is arq's own default; reading it would run whatever it names."""
    pool = await arq.create_pool(RedisSettings.from_dsn(valkey), default_queue_name=QUEUE)
    job = await _enqueued(pool, "echo", text="a")
    await begin()
    with pytest.raises(JobError, match="enqueue it with offloop's serializer"):
        await offloop.arq.job(job.job_id, _ready(redis)).result(timeout=30, poll_delay=SOON)
    await pool.aclose(close_connection_pool=True)


def _ready(redis: ArqRedis) -> ArqRedis:
    redis.default_queue_name = QUEUE
    return redis


async def test_a_payload_that_was_lost_with_its_worker_is_not_read_again(
    stock: ArqRedis, redis: ArqRedis, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be what ended the worker: each of them would read it, and end."""
    job = await _enqueued(stock, "echo")
    dead = Steps(redis, "dead")
    await eventually(dead.sweep)
    await dead.claim_one(job.job_id)
    await dead.lose(job.job_id)
    read: list[bytes] = []
    for module in (execution, payload):
        monkeypatch.setattr(module, "kind_of", read.append)
    await begin()
    with pytest.raises(JobError, match=r"^The job was lost with its worker 1 time\(s\)"):
        await job.result(timeout=30, poll_delay=SOON)
    assert read == []


async def test_the_name_of_an_unknown_kind_is_repeated_in_part(stock: ArqRedis, redis: ArqRedis, begin: Begin) -> None:
    await begin()
    job = await _enqueued(stock, "x" * 1_000_000)
    with pytest.raises(JobError, match="does not know 'xxx"):
        await job.result(timeout=30, poll_delay=SOON)
    assert await redis.strlen(schema.RESULT + job.job_id) < 1000


async def test_the_pool_of_offloop_is_arqs_ready_made(valkey: str, redis: ArqRedis, begin: Begin) -> None:
    """The code that a user of arq would write."""
    await begin(queues=("default", "other"))
    assert await redis.dbsize() >= 0
    pool = await offloop.arq.create_pool(valkey)
    job = await pool.enqueue_job("echo", text="a")
    elsewhere = await pool.enqueue_job("echo_elsewhere", text="b", _queue_name=offloop.arq.queue_name("other"))
    assert job
    assert elsewhere
    assert (await job.result(timeout=30, poll_delay=SOON))["output"]["text"] == "a"
    assert (await elsewhere.result(timeout=30, poll_delay=SOON))["output"]["text"] == "b"
    assert (type(pool), await offloop.arq.job(job.job_id, pool).status()) == (ArqRedis, JobStatus.complete)
    await pool.aclose()
