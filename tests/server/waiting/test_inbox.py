"""The inbox: every waiting call hears of its job, and no lost message keeps one waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from arq.connections import ArqRedis

from offloop.errors import Unavailable
from offloop.queue.client import JobQueue
from offloop.queue.record import Done, Progress, Record, State, pack_outcome
from offloop.redis import schema, scripts
from offloop.redis.connection import connect_blocking
from offloop_server.runtime.background import Background
from offloop_server.waiting import calls as waiting_calls
from offloop_server.waiting import inbox as inboxes
from offloop_server.waiting.calls import Calls
from offloop_server.waiting.inbox import Inbox, Watch
from support.caller import FRONT, Nothing, kind
from support.steps import Steps
from support.waiting import eventually

pytestmark = pytest.mark.anyio

CHANNEL = schema.REPLY_CHANNEL + FRONT


@asynccontextmanager
async def _open(url: str, queue: JobQueue) -> AsyncIterator[Inbox]:
    async with (
        asyncio.timeout(30),
        Background(grace=1) as background,
        Inbox(connect_blocking(url), queue, FRONT, background) as inbox,
    ):
        yield inbox


async def _submit(queue: JobQueue, job_id: str = "a") -> None:
    await queue.submit(kind, Nothing(), principal="alice", job_id=job_id, wait_seconds=20)


async def _ended(watch: Watch) -> None:
    while not (watch.lost or (watch.record and watch.record.state.terminal)):
        await watch.change()


@pytest.fixture
def _no_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records arrive by push only."""
    monkeypatch.setattr(inboxes, "POLL_SECONDS", 60)


@pytest.fixture
def _many_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check that happens every second happens more often."""
    monkeypatch.setattr(inboxes, "POLL_SECONDS", 0.05)


@pytest.mark.usefixtures("_no_checks")
async def test_every_watch_of_a_job_sees_its_changes(valkey: str, queue: JobQueue, worker: Steps) -> None:
    async with (
        _open(valkey, queue) as inbox,
        inbox.watch("a", "alice") as first,
        inbox.watch("a", "alice") as second,
        inbox.watch("b", "alice") as other,
    ):
        await _submit(queue)
        taken = await worker.claim_one("a")
        await worker.progress(taken, Progress(1, 2, "half"))
        await first.change()
        assert first.record
        assert (first.record.state, first.record.progress) == (State.RUNNING, Progress(1, 2, "half"))
        await worker.finish(taken, Done({"words": 1}))
        for watch in (first, second):
            await _ended(watch)
            assert watch.record
            assert watch.record.outcome == Done({"words": 1})
        assert other.record is None


@pytest.mark.usefixtures("_no_checks")
async def test_a_result_too_large_to_push_is_fetched(valkey: str, queue: JobQueue, worker: Steps) -> None:
    async with _open(valkey, queue) as inbox, inbox.watch("a", "alice") as watch:
        await _submit(queue)
        await worker.finish(await worker.claim_one("a"), Done({"text": "x" * 50_000}))
        await _ended(watch)
        assert watch.record
        assert watch.record.outcome == Done({"text": "x" * 50_000})


@pytest.mark.usefixtures("_many_checks")
async def test_a_lost_push_is_made_good_by_the_check(
    redis: ArqRedis, valkey: str, queue: JobQueue, worker: Steps
) -> None:
    async with _open(valkey, queue) as inbox, inbox.watch("a", "alice") as watch:
        await _submit(queue)
        taken = await worker.claim_one("a")
        async with redis.pipeline(transaction=True) as pipe:  # so that no poll requests a push in between
            pipe.hdel(schema.RECORD + "a", "waiters")
            finish: Any = pipe.evalsha
            finish(*await _finishing(redis, taken.token, worker))
            await pipe.execute()
        await _ended(watch)
        assert watch.record
        assert watch.record.state is State.COMPLETED


async def _finishing(redis: ArqRedis, token: str, worker: Steps) -> tuple[Any, ...]:
    """FINISH as one command of a transaction."""
    sha = await redis.script_load(scripts.load(redis, scripts.FINISH).text)
    packed = pack_outcome(Done({}), job_id="a", kind="do_nothing", queue="default")
    keys, first = worker.worker_args(0)
    return sha, len(keys), *keys, *first, "a", token, "completed", packed, 60_000


@pytest.mark.usefixtures("_many_checks")
async def test_a_job_that_is_gone_ends_the_wait(redis: ArqRedis, valkey: str, queue: JobQueue) -> None:
    async with _open(valkey, queue) as inbox, inbox.watch("a", "alice") as watch:
        await _submit(queue)
        watch.see(await queue.get("a", principal="alice"))
        await redis.delete(schema.RECORD + "a")
        await _ended(watch)
        assert watch.lost


@pytest.mark.usefixtures("_no_checks")
async def test_a_broken_subscription_is_restored_and_missed_changes_are_read(
    redis: ArqRedis, valkey: str, queue: JobQueue, worker: Steps
) -> None:
    async with (
        _open(valkey, queue) as inbox,
        inbox.watch("a", "alice") as missed,
        inbox.watch("b", "alice") as next_one,
    ):
        await _submit(queue, "a")
        await _submit(queue, "b")
        first = await worker.claim_one("a")
        await redis.client_kill_filter(_type="pubsub")
        await worker.finish(first)
        await _ended(missed)
        await eventually(lambda: _subscribed(redis))
        await worker.finish(await worker.claim_one("b"))
        await _ended(next_one)


async def _subscribed(redis: ArqRedis) -> bool:
    ((_, count),) = await redis.pubsub_numsub(CHANNEL)
    return bool(count)


async def test_an_older_record_never_replaces_a_newer_one(queue: JobQueue, worker: Steps) -> None:
    """Pushes and reads may arrive in any order."""
    await _submit(queue)
    queued = await queue.get("a", principal="alice")
    first = await worker.claim_one("a")
    running_first = await queue.get("a", principal="alice")
    await worker.lose("a")
    queued_again = await queue.get("a", principal="alice")
    second = await worker.claim_one("a")
    assert not await worker.finish(first)
    await worker.finish(second)
    ended = await queue.get("a", principal="alice")
    watch = Watch("alice")
    watch.see(ended)
    for older in (queued, running_first, queued_again):
        watch.see(older)
        assert watch.record == ended


@pytest.mark.usefixtures("_no_checks")
async def test_nothing_is_kept_of_a_watch_that_has_ended(valkey: str, queue: JobQueue) -> None:
    async with _open(valkey, queue) as inbox:
        async with inbox.watch("a", "alice"), inbox.watch("a", "alice"):
            assert set(inbox._watches) == {"a"}
        assert inbox._watches == {}


def _calls(queue: JobQueue, inbox: Inbox) -> Calls:
    return Calls(queue, inbox, inbox._background)


async def _relay(_progress: Progress) -> None:
    """Drop the progress."""


async def _read(queue: JobQueue) -> Record | None:
    return next(iter((await queue.jobs(principal="alice")).records), None)


@pytest.mark.usefixtures("_no_checks")
async def test_a_stop_answers_open_calls_with_their_jobs_and_leaves_the_jobs_alone(
    redis: ArqRedis, valkey: str, queue: JobQueue, worker: Steps
) -> None:
    """The one that runs, the one that waits, and those that ask for them: each call gets an answer, no job an end."""
    async with _open(valkey, queue) as inbox:
        calls = _calls(queue, inbox)
        await _submit(queue, "a")
        await worker.claim_one("a")
        running = asyncio.create_task(calls.status("a", principal="alice", wait=60, relay=_relay))
        called = asyncio.create_task(calls.run(kind, Nothing(), principal="alice", wait=60, key=None, relay=_relay))
        several = asyncio.create_task(calls.wait_for(["a"], principal="alice", wait=60, until="all"))
        await eventually(lambda: _waiting(inbox, 3))
        await eventually(lambda: _has(redis, "deadline"))
        inbox.stop_waiting()
        assert (await running).state is State.RUNNING
        queued = await called
        assert queued.state is State.QUEUED
        assert [record.state for record in await several] == [State.RUNNING]
        assert not await _has(redis, "deadline")  # its id was disclosed, so it runs however long it waits
        assert (await worker.claim_one(queued.job_id)).attempt == 1


@pytest.mark.usefixtures("_no_checks")
async def test_a_wait_that_ends_while_redis_is_away_asks_it_only_once(
    valkey: str, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each question may then take seconds, and the answer needs no more than the id of the job."""
    asked: list[str] = []

    async def away(job_id: str, **_: object) -> Record:
        asked.append(job_id)
        message = "away"
        raise Unavailable(message)

    async with _open(valkey, queue) as inbox:
        monkeypatch.setattr(waiting_calls, "DISCLOSE_TRIES", 0)
        monkeypatch.setattr(queue, "mark_disclosed", away)
        monkeypatch.setattr(queue, "get", away)
        calls = _calls(queue, inbox)
        record = await calls.run(kind, Nothing(), principal="alice", wait=0.05, key=None, relay=_relay)
    assert record.state is State.QUEUED
    assert asked == [record.job_id]


async def _waiting(inbox: Inbox, count: int) -> bool:
    found = [watch for watches in inbox._watches.values() for watch in watches]
    return len(found) == count and all(watch.record for watch in found)


async def _has(redis: ArqRedis, field: str) -> bool:
    """Whether any job but a has that field."""
    names = [name async for name in redis.scan_iter(schema.RECORD + "*") if name != (schema.RECORD + "a").encode()]
    return any([await redis.hexists(name, field) for name in names])  # type: ignore[misc]


@pytest.mark.usefixtures("_no_checks")
async def test_a_call_that_comes_while_the_front_end_stops_does_not_wait(valkey: str, queue: JobQueue) -> None:
    async with _open(valkey, queue) as inbox:
        inbox.stop_waiting()
        record = await _calls(queue, inbox).run(kind, Nothing(), principal="alice", wait=60, key=None, relay=_relay)
        assert record.state is State.QUEUED


@pytest.mark.usefixtures("_no_checks")
async def test_a_call_cut_while_the_front_end_stops_does_not_cancel_its_job(
    redis: ArqRedis, valkey: str, queue: JobQueue
) -> None:
    """Its client did not leave; the front end did. While it serves, a client that leaves takes its job with it."""
    async with _open(valkey, queue) as inbox:
        for stopping, state in ((False, State.CANCELLED), (True, State.QUEUED)):
            await redis.flushall()
            called = asyncio.create_task(
                _calls(queue, inbox).run(kind, Nothing(), principal="alice", wait=60, key=None, relay=_relay)
            )
            await eventually(lambda: _read(queue))
            inbox._stopping = stopping
            called.cancel()
            with pytest.raises(asyncio.CancelledError):
                await called
            await eventually(lambda: _settled(inbox))
            record = await _read(queue)
            assert record
            assert record.state is state


async def _settled(inbox: Inbox) -> bool:
    return not inbox._background._finite
