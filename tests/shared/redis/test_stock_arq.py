"""An unmodified client of arq 0.28 against the scripts: what its methods answer in each state of a job.

Its jobs are enqueued without a record; a sweep adopts them, and aborts them where the client asks for that. The end to
end test with a worker is `tests/workers/engine/test_arq_client.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from arq import create_pool
from arq.connections import ArqRedis, RedisSettings
from arq.jobs import Job, JobStatus, ResultNotFound

from offloop import JobError
from offloop.queue.client import JobQueue
from offloop.queue.record import Cancelled, Done
from offloop.redis import codec, schema
from support.caller import ALICE, BOUNDS, Nothing, kind
from support.steps import Steps
from support.waiting import eventually

pytestmark = pytest.mark.anyio

QUEUE = schema.queue_key("default")
PAST = -5
"""Seconds: arq takes the time from the client's clock, which may be ahead of the server's."""


@pytest.fixture
async def client(redis: ArqRedis, valkey: str) -> AsyncIterator[ArqRedis]:
    """Arq's own pool; `redis` empties the server before, and checks afterwards that each key expires."""
    await redis.ping()
    pool = await create_pool(RedisSettings.from_dsn(valkey), job_serializer=codec.pack, job_deserializer=codec.unpack)
    yield pool
    await pool.aclose(close_connection_pool=True)


async def _enqueue(
    client: ArqRedis, job_id: str | None = None, *, defer: float = PAST, expires: float | None = None
) -> Job:
    job = await client.enqueue_job(
        "do_nothing", _job_id=job_id, _queue_name=QUEUE, _defer_by=defer, _expires=expires, number=1
    )
    assert job is not None
    return job


async def _waits(job: Job) -> bool:
    """Whether `result` waits, instead of raising that there is nothing to wait for."""
    with pytest.raises(asyncio.TimeoutError):
        await job.result(timeout=0.05, poll_delay=0.02)
    return True


async def _queued(client: ArqRedis) -> list[str | None]:
    return [job.job_id for job in await client.queued_jobs(queue_name=QUEUE)]


async def test_a_job_is_adopted_run_and_ended(client: ArqRedis, worker: Steps) -> None:
    """Arq's own `enqueue_job` writes no record; the sweep makes one, at batch level."""
    job = await _enqueue(client)
    assert (await job.status(), await _waits(job)) == (JobStatus.queued, True)
    assert await worker.sweep() == 1
    assert await worker.sweep() == 0
    assert await worker.subqueue("", "batch") == [job.job_id]
    assert (await job.status(), await _waits(job), await _queued(client)) == (JobStatus.queued, True, [job.job_id])
    taken = await worker.claim_one(job.job_id)
    assert (taken.kind, taken.principal, taken.allowed, taken.references) == ("", "", 1, None)
    assert codec.unpack(taken.payload or b"")["k"] == {"number": 1}
    assert (await job.status(), await _waits(job)) == (JobStatus.in_progress, True)
    info = await job.info()
    assert info is not None
    assert (info.function, info.kwargs, info.score is not None) == ("do_nothing", {"number": 1}, True)
    assert await worker.finish(taken, Done({"words": 1}))
    assert (await job.status(), (await job.result(timeout=30))["output"]) == (JobStatus.complete, {"words": 1})
    found = await job.result_info()
    assert found is not None
    assert (found.success, found.job_id) == (True, job.job_id)
    assert (await worker.depth(), await worker.leased(), await _queued(client)) == ({}, {}, [])


async def test_jobs_are_run_in_the_order_in_which_they_were_due(client: ArqRedis, worker: Steps) -> None:
    for number in (3, 1, 2):
        await _enqueue(client, f"{number}", defer=PAST + number)
    await worker.sweep()
    assert [claim.job_id for claim in await worker.claim(3)] == ["1", "2", "3"]


async def test_result_waits_while_a_lost_job_is_requeued(client: ArqRedis, worker: Steps) -> None:
    job = await _enqueue(client)
    await worker.sweep()
    await worker.claim_one(job.job_id)
    await worker.lose(job.job_id)
    assert (await job.status(), await _waits(job)) == (JobStatus.queued, True)
    taken = await worker.claim_one(job.job_id)
    assert (taken.tries, taken.allowed) == (2, 1), "its worker ends it, for it is not run twice"


async def test_a_job_id_is_enqueued_once(client: ArqRedis, worker: Steps) -> None:
    job = await _enqueue(client, "once")

    async def again() -> Job | None:
        return await client.enqueue_job("do_nothing", _job_id="once", _queue_name=QUEUE)

    assert await again() is None
    await worker.sweep()
    assert await again() is None
    taken = await worker.claim_one(job.job_id)
    assert await again() is None
    await worker.finish(taken)
    assert await again() is None, "its result is there"


async def test_an_id_whose_result_was_deleted_is_run_again(client: ArqRedis, worker: Steps) -> None:
    job = await _enqueue(client, "again")
    await worker.sweep()
    await worker.finish(await worker.claim_one("again"))
    await client.delete(schema.RESULT + "again")
    job = await _enqueue(client, "again")
    assert await worker.sweep() == 1
    taken = await worker.claim_one("again")
    assert (taken.tries, taken.attempt) == (1, 1)
    assert await worker.finish(taken)
    assert await job.result(timeout=30)


@pytest.mark.parametrize("until", [False, True])
async def test_a_deferred_job_is_not_run_before_its_time(client: ArqRedis, worker: Steps, *, until: bool) -> None:
    when = timedelta(hours=1)
    job = await client.enqueue_job(
        "do_nothing",
        _queue_name=QUEUE,
        _defer_by=None if until else when,
        _defer_until=datetime.now(UTC) + when if until else None,
    )
    assert job is not None
    assert (await job.status(), await _waits(job)) == (JobStatus.deferred, True)
    assert await worker.sweep() == 0
    assert await worker.claim() == []
    await client.zadd(QUEUE, {job.job_id: await worker.now() - 1})  # an hour later
    assert await worker.sweep() == 1
    await worker.claim_one(job.job_id)


async def test_a_job_that_becomes_due_is_found_within_a_sweep_however_long_the_queue_is(
    redis: ArqRedis, client: ArqRedis, worker: Steps
) -> None:
    """All ids with a record are accounted for; only where one is missing the latest are looked through."""
    queue = JobQueue(redis, BOUNDS)
    for number in range(1200):
        await queue.submit(kind, Nothing(), principal=ALICE, job_id=f"{number}")
    job = await _enqueue(client, defer=0.05)
    await asyncio.sleep(0.06)
    assert await worker.sweep() == 1
    assert await worker.subqueue("", "batch") == [job.job_id]


async def test_an_older_job_is_found_page_by_page(redis: ArqRedis, client: ArqRedis, worker: Steps) -> None:
    """A client's clock may be far behind; a sweep looks through the 500 latest and through one page more."""
    queue = JobQueue(redis, BOUNDS)
    for number in range(1200):
        await queue.submit(kind, Nothing(), principal=ALICE, job_id=f"{number}")
    await _enqueue(client, "old", defer=-3600)
    assert [await worker.sweep() for _ in range(3)] == [0, 1, 0]
    assert await worker.subqueue("", "batch") == ["old"]


async def test_jobs_of_principals_are_in_arqs_queue_while_they_wait(
    redis: ArqRedis, client: ArqRedis, worker: Steps
) -> None:
    await JobQueue(redis, BOUNDS).submit(kind, Nothing(), principal=ALICE, job_id="ours")
    job = Job("ours", client, _queue_name=QUEUE, _deserializer=codec.unpack)
    assert (await _queued(client), await job.status(), await _waits(job)) == (["ours"], JobStatus.queued, True)
    await worker.claim_one("ours")
    assert (await _queued(client), await job.status()) == ([], JobStatus.in_progress)
    assert await worker.sweep() == 0


async def test_an_expired_job_fails_and_says_so(client: ArqRedis, worker: Steps) -> None:
    job = await _enqueue(client, expires=0.05)
    await asyncio.sleep(0.06)
    assert await worker.sweep() == 0
    with pytest.raises(JobError, match="waited longer than it is kept") as raised:
        await job.result(timeout=30)
    assert raised.value.reason == "expired"
    assert (await job.status(), await _queued(client)) == (JobStatus.complete, [])


@pytest.mark.parametrize(
    ("job_id", "found"),
    [
        *(("jäb".encode(), 1), ("\u0800\ud7ff\ue000\uffff".encode(), 1), ("\U00010000\U0010ffff\0".encode(), 1)),
        *((b"\xff", 0), (b"a\x80", 0), (b"\xc3", 0), (b"\xc0\x80", 0), (b"\xe0\xc2\x80\x80\x80", 0)),
        *((b"\xed\xa0\x80", 0), (b"\xf0\x80\x80\x80", 0), (b"\xf4\x90\x80\x80", 0)),
    ],
)
async def test_an_id_that_is_no_text_reaches_no_worker(
    redis: ArqRedis, worker: Steps, job_id: bytes, found: int
) -> None:
    """Arq's own clients write text; a worker that cannot name a job would end with it, and the next one as well."""
    await redis.set(schema.PAYLOAD.encode() + job_id, b"x", px=60_000)
    await redis.zadd(QUEUE, {job_id: 1})
    assert await worker.sweep() == found
    assert [claim.job_id.encode() for claim in await worker.claim()] == [job_id] * found
    assert await redis.zcard(QUEUE) == found
    await redis.flushall()


async def test_a_job_that_expires_in_its_subqueue_is_claimed_without_a_payload(client: ArqRedis, worker: Steps) -> None:
    """The worker ends it as expired; an execution does not extend the client's expiry either."""
    job = await _enqueue(client, "a", defer=PAST - 1, expires=0.3)
    other = await _enqueue(client, "b", expires=0.3)
    await worker.sweep()
    taken = await worker.claim_one("a")
    await worker.renew(taken)
    await asyncio.sleep(0.31)
    assert await worker.release(taken, counted=False)
    assert [claim.payload for claim in await worker.claim(2)] == [b"", b""]
    assert (await _waits(job), await _waits(other)) == (True, True)


async def test_abort_ends_a_queued_job(client: ArqRedis, worker: Steps) -> None:
    job = await _enqueue(client)
    await worker.sweep()
    aborting = asyncio.create_task(job.abort(timeout=30, poll_delay=0.02))
    await eventually(lambda: client.zcard("arq:abort"))
    await worker.sweep()
    assert await aborting is True
    assert (await worker.depth(), await worker.claim(), await _queued(client)) == ({}, [], [])
    with pytest.raises(asyncio.CancelledError):
        await job.result(timeout=30)


@pytest.mark.parametrize("defer", [PAST, 3600])
async def test_abort_ends_a_job_that_no_sweep_has_seen(client: ArqRedis, worker: Steps, defer: float) -> None:
    job = await _enqueue(client, defer=defer)
    aborting = asyncio.create_task(job.abort(timeout=30, poll_delay=0.02))
    await eventually(lambda: client.zcard("arq:abort"))
    await worker.sweep()
    assert await aborting is True
    assert (await worker.claim(), await _queued(client)) == ([], [])


async def test_abort_stops_a_running_job(client: ArqRedis, worker: Steps) -> None:
    """A message stops the attempt; should it be lost, the next heartbeat does."""
    job = await _enqueue(client)
    await worker.sweep()
    taken = await worker.claim_one(job.job_id)
    aborting = asyncio.create_task(job.abort(timeout=30, poll_delay=0.02))
    await eventually(lambda: client.zcard("arq:abort"))
    async with worker.listening() as orders:
        await worker.sweep()
        assert await orders.next() == ("stop", taken.token)
    assert await worker.renew(taken) == ([], [job.job_id])
    assert not aborting.done()
    assert await worker.finish(taken, Cancelled())
    assert await aborting is True


async def test_abort_of_an_ended_or_unknown_job_leaves_nothing(client: ArqRedis, worker: Steps) -> None:
    job = await _enqueue(client)
    await worker.sweep()
    await worker.finish(await worker.claim_one(job.job_id))
    assert await job.abort(timeout=5) is False
    never = Job("never", client, _queue_name=QUEUE, _deserializer=codec.unpack)
    assert await never.abort(timeout=5) is False
    await worker.sweep()
    assert await client.exists("arq:abort") == 0
    assert (await job.result(timeout=30))["output"]
    with pytest.raises(ResultNotFound):
        await never.result(timeout=30)


async def test_an_abort_in_another_queue_is_left_to_its_own_sweep(
    redis: ArqRedis, client: ArqRedis, worker: Steps
) -> None:
    other = Steps(redis, "other", queue="other")
    await client.enqueue_job("do_nothing", _job_id="a", _queue_name=schema.queue_key("other"), _defer_by=PAST)
    await client.zadd("arq:abort", {"a": 1e12 * 2})
    await worker.sweep()
    assert await client.zcard("arq:abort") == 1
    await other.sweep()
    assert await client.zcard("arq:abort") == 0
    with pytest.raises(asyncio.CancelledError):
        await Job("a", client, _queue_name=schema.queue_key("other"), _deserializer=codec.unpack).result(timeout=30)


async def test_aborts_for_a_queue_without_a_worker_hold_up_no_other(client: ArqRedis, worker: Steps) -> None:
    for number in range(600):
        await client.enqueue_job("do_nothing", _job_id=f"{number}", _queue_name=schema.queue_key("other"))
    await client.zadd("arq:abort", {f"{number}": 1e12 * 2 for number in range(600)})
    job = await _enqueue(client)
    await client.zadd("arq:abort", {job.job_id: 1e12 * 3})

    async def aborted() -> bool:
        await worker.sweep()
        return await job.status() is JobStatus.complete

    await eventually(aborted)
    assert await client.zcard("arq:abort") == 600
    await client.flushall()


async def test_a_job_of_a_principal_is_not_aborted_behind_its_back(
    redis: ArqRedis, client: ArqRedis, worker: Steps
) -> None:
    """Others may share it; its principal cancels it."""
    await JobQueue(redis, BOUNDS).submit(kind, Nothing(), principal=ALICE, job_id="ours")
    await client.zadd("arq:abort", {"ours": 1e12 * 2})
    await worker.sweep()
    assert await client.zcard("arq:abort") == 0
    assert (await worker.claim_one("ours")).principal == ALICE
