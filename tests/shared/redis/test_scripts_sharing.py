"""Jobs of pure kinds are shared by equal input; a job that was never disclosed to its caller is not run late."""

from __future__ import annotations

import pytest
from arq.connections import ArqRedis

from offloop import FileReference, Model, declare
from offloop.errors import JobError
from offloop.queue.client import PATIENCE_SECONDS, new_id
from offloop.queue.record import Cancelled, Done, Failed, State
from offloop.redis import schema
from support.caller import ALICE, Caller
from support.steps import KEEP_MS, Steps

pytestmark = pytest.mark.anyio


class Files(Model):
    """An input with files in it."""

    text: str = ""
    files: tuple[FileReference, ...] = ()


pure = declare("read_files", Files, Files, description="d", pure=True)
also_pure = declare("also_read_files", Files, Files, description="d", pure=True)
impure = declare("change_files", Files, Files, description="d")


async def _overdue(redis: ArqRedis, job_id: str) -> None:
    """Let the time end for which an undisclosed job may wait."""
    await redis.hset(schema.RECORD + job_id, "deadline", "1")  # type: ignore[misc]


async def test_equal_requests_of_a_pure_kind_share_one_job(caller: Caller, worker: Steps) -> None:
    """While it waits, while it runs, and after it is done."""
    value = Files(text="a", files=(FileReference("data:text/plain;base64,YQ=="),))
    job_id = await caller.submit(pure, value)
    assert await caller.submit(pure, value) == job_id
    taken = await worker.claim_one(job_id)
    assert await caller.submit(pure, value) == job_id
    await worker.finish(taken, Done({"text": "b"}))
    sent = await caller.queue.submit(pure, value, principal=ALICE, job_id=new_id())
    assert (sent.joined, sent.record.job_id, sent.record.outcome) == (True, job_id, Done({"text": "b"}))
    assert await worker.claim() == []


async def test_different_requests_are_not_shared(caller: Caller) -> None:
    """Another input, another kind, another principal, a kind that is not pure: each has a job of its own."""
    jobs = [
        await caller.submit(pure, Files(text="a")),
        await caller.submit(pure, Files(text="b")),
        await caller.submit(also_pure, Files(text="a")),
        await caller.submit(pure, Files(text="a"), principal="bob"),
        await caller.submit(impure, Files(text="a")),
        await caller.submit(impure, Files(text="a")),
        await caller.submit(pure, Files(text="a"), key="k"),
    ]
    assert len(set(jobs)) == len(jobs)


async def test_files_under_a_root_may_have_changed_and_are_read_again(caller: Caller) -> None:
    value = Files(files=(FileReference("data:text/plain;base64,YQ=="), FileReference("root:docs/a.txt")))
    assert await caller.submit(pure, value) != await caller.submit(pure, value)
    uploaded = Files(files=(FileReference("artifact:" + "a" * 22),))
    assert await caller.submit(pure, uploaded) == await caller.submit(pure, uploaded)


async def test_a_failure_or_a_cancelled_job_is_not_shared(caller: Caller, worker: Steps) -> None:
    failed = await caller.submit(pure, Files())
    await worker.finish(await worker.claim_one(failed), Failed(JobError("no")))
    cancelled = await caller.submit(pure, Files())
    await caller.queue.cancel(cancelled, principal=ALICE)
    third = await caller.submit(pure, Files())
    assert len({failed, cancelled, third}) == 3
    assert await caller.submit(pure, Files()) == third


async def test_the_same_input_key_expires_with_the_job(redis: ArqRedis, caller: Caller, worker: Steps) -> None:
    job_id = await caller.submit(pure, Files())
    (key,) = [key async for key in redis.scan_iter(schema.same_input_key(ALICE, "") + "*")]
    await worker.finish(await worker.claim_one(job_id))
    assert 0 < await redis.pttl(key) <= KEEP_MS


@pytest.mark.parametrize("running", [False, True])
async def test_a_shared_job_ends_with_the_last_request_that_detaches(
    caller: Caller, worker: Steps, *, running: bool
) -> None:
    """Cancelling it says how many still share it; leaving counts as much as cancelling."""
    job_id = await caller.submit(impure, Files(), key="k")
    for _ in range(2):
        assert await caller.submit(impure, Files(), key="k") == job_id
    held = [await worker.claim_one(job_id)] if running else []
    going_on = State.RUNNING if running else State.QUEUED
    record, left = await caller.queue.cancel(job_id, principal=ALICE)
    assert (record.state, left) == (going_on, 2)
    assert await caller.queue.abandon(job_id, "one of them") is False
    assert (await caller.get(job_id)).state is going_on
    assert await worker.renew(*held) == ([], [])
    record, left = await caller.queue.cancel(job_id, principal=ALICE)
    assert (record.state, left) == (State.RUNNING if running else State.CANCELLED, 0)
    assert await worker.renew(*held) == ([], [job_id] * running)


async def test_a_job_that_is_being_cancelled_is_not_joined(caller: Caller, worker: Steps) -> None:
    first = await caller.submit(impure, Files(), key="k")
    taken = await worker.claim_one(first)
    await caller.queue.cancel(first, principal=ALICE)
    second = await caller.submit(impure, Files(), key="k")
    assert second != first
    await worker.finish(taken, Cancelled())
    assert await caller.submit(impure, Files(), key="k") == second


async def test_an_undisclosed_job_is_dropped_when_its_time_is_over(
    redis: ArqRedis, caller: Caller, worker: Steps
) -> None:
    """Its caller has left without the id: no caller would read the result."""
    job_id = await caller.submit(impure, Files())
    after = await caller.submit(impure, Files())
    deadline = int(await redis.hget(schema.RECORD + job_id, "deadline") or 0)  # type: ignore[misc]
    assert abs(deadline - await worker.now() - (20 + PATIENCE_SECONDS) * 1000) < 5000
    await _overdue(redis, job_id)
    assert [taken.job_id for taken in await worker.claim()] == [after]
    record = await caller.until(job_id)
    assert (record.state, record.attempt, record.outcome) == (State.CANCELLED, 0, Cancelled())
    assert await worker.depth() == {}
    assert not await redis.exists(schema.PAYLOAD + job_id)


async def test_a_disclosed_job_is_run_however_long_it_waited(redis: ArqRedis, caller: Caller, worker: Steps) -> None:
    """Disclosed, named by a key, shared by another call, or never waited for."""
    disclosed = await caller.submit(impure, Files())
    shared = await caller.submit(pure, Files())
    for job_id in (disclosed, shared):
        await _overdue(redis, job_id)
    await caller.queue.mark_disclosed(disclosed)
    await caller.queue.mark_disclosed(disclosed)
    await caller.submit(pure, Files())
    keyed = await caller.submit(impure, Files(), key="k")
    batch = await caller.submit(impure, Files(), wait_seconds=0)
    for job_id in (disclosed, shared, keyed, batch):
        assert not await redis.hexists(schema.RECORD + job_id, "deadline")  # type: ignore[misc]
    assert [taken.job_id for taken in await worker.claim(4)] == [disclosed, shared, keyed, batch]


async def test_telling_an_id_that_is_gone_leaves_nothing(redis: ArqRedis, caller: Caller) -> None:
    await caller.queue.mark_disclosed("unknown")
    assert not await redis.exists(schema.RECORD + "unknown")


async def test_a_join_sent_twice_counts_once(redis: ArqRedis, caller: Caller) -> None:
    """redis-py sends a script again after a broken connection, and the first may have been heard."""
    job_id = await caller.submit(impure, Files(), key="k")
    for _ in range(2):
        joined = await caller.queue.submit(impure, Files(), principal=ALICE, job_id="the join", key="k")
        assert (joined.record.job_id, joined.joined) == (job_id, True)
    assert (await caller.queue.cancel(job_id, principal=ALICE))[1] == 1
    record, left = await caller.queue.cancel(job_id, principal=ALICE)
    assert (record.state, left) == (State.CANCELLED, 0)
    assert await redis.exists(schema.JOINED + job_id, schema.GONE + job_id) == 0


async def test_a_result_about_to_expire_is_not_joined_by_input(redis: ArqRedis, caller: Caller, worker: Steps) -> None:
    """Its files would be gone before they are fetched; an idempotency key still finds it."""
    job_id = await caller.submit(pure, Files())
    await worker.finish(await worker.claim_one(job_id))
    assert await caller.submit(pure, Files()) == job_id
    await redis.hset(schema.RECORD + job_id, "expires", str(await worker.now() + 1000))  # type: ignore[misc]
    assert await caller.submit(pure, Files()) != job_id
