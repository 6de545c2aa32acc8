"""The client side of the queue: submit, join, refuse, read, wait, cancel, leave, list; and live workers."""

from __future__ import annotations

import pytest
from arq.connections import ArqRedis
from arq.jobs import deserialize_result

from offloop import FileReference, Model, declare
from offloop.errors import BadInput, Busy, Conflict, JobError, NotFound
from offloop.queue.client import Bounds, JobQueue, live_queues, new_id
from offloop.queue.record import Cancelled, Done, Failed, Progress, State
from offloop.redis import codec, schema
from support.caller import ALICE, BOUNDS, Caller, calling
from support.redis import endless, immortal
from support.steps import KEEP_MS, Steps

pytestmark = pytest.mark.anyio


class Text(Model):
    """An input."""

    text: str = ""


kind = declare("count_words", Text, Text, description="d", retries=2)


class Files(Model):
    """Names files."""

    files: list[FileReference]


reading = declare("read_files", Files, Text, description="d")
pure = declare("pure_words", Text, Text, description="d", pure=True)
other = declare("other_words", Text, Text, description="d", queue="other")


async def test_a_new_job_waits_in_its_subqueue_without_a_free_slot(
    redis: ArqRedis, caller: Caller, worker: Steps
) -> None:
    submission = await caller.queue.submit(kind, Text(text="a"), principal=ALICE, job_id="first", wait_seconds=5)
    record = submission.record
    assert not submission.joined
    assert (record.job_id, record.principal, record.kind, record.queue) == ("first", ALICE, "count_words", "default")
    assert (record.state, record.attempt, record.outcome) == (State.QUEUED, 0, None)
    assert record.created < record.expires
    assert await worker.subqueue(ALICE) == ["first"]
    assert await redis.zcard(schema.queue_key("default")) == 1


@pytest.mark.parametrize(
    ("waits", "level", "deadline"), [({}, b"batch", None), ({"wait_seconds": 0.5}, b"interactive", 60_500)]
)
async def test_the_record_of_a_job_has_the_terms_of_its_request(
    redis: ArqRedis, caller: Caller, waits: dict[str, float], level: bytes, deadline: int | None
) -> None:
    """A job whose id was not disclosed is dropped a minute after the wait."""
    sent = await caller.queue.submit(kind, Text(), principal=ALICE, job_id="a", **waits)  # type: ignore[arg-type]
    fields = await redis.hgetall(schema.RECORD + "a")  # type: ignore[misc]
    assert (fields[b"level"], fields[b"allowed"]) == (level, b"3")
    assert fields.get(b"waiters") == (b"front" if waits else None)
    assert (int(fields[b"deadline"]) - sent.record.created if deadline else fields.get(b"deadline")) == deadline
    assert sent.record.expires - sent.record.created == BOUNDS.pending_ms


async def test_the_record_of_a_job_has_the_files_of_its_input(redis: ArqRedis, caller: Caller) -> None:
    """A worker fetches them without a look at the input."""
    names = [f"artifact:{new_id()}", "https://example.org/two"]
    for number, (key, value) in enumerate([(None, names), ("k", names), (None, [])]):
        job_id = await caller.submit(reading, Files.model_validate({"files": value}), job_id=f"{number}", key=key)
        packed = await redis.hget(schema.RECORD + job_id, "references")  # type: ignore[misc]
        assert codec.unpack(packed) == value


async def test_a_key_joins_a_job_however_soon_that_expires_and_equal_input_does_not(
    redis: ArqRedis, caller: Caller, worker: Steps
) -> None:
    for key in ("k", None):
        job_id = await caller.submit(pure, Text(text=str(key)), key=key)
        await worker.finish(await worker.claim_one(job_id))
        expires = await worker.now() + BOUNDS.fresh_ms - 10_000
        await redis.hset(schema.RECORD + job_id, "expires", str(expires))  # type: ignore[misc]
        again = await caller.queue.submit(pure, Text(text=str(key)), principal=ALICE, job_id="again", key=key)
        assert again.joined == bool(key)


async def test_only_a_read_that_waits_subscribes(redis: ArqRedis, caller: Caller, worker: Steps) -> None:
    """To the start of the job too, if it says so."""

    async def waiters() -> bytes | None:
        found: bytes | None = await redis.hget(schema.RECORD + job_id, "waiters")  # type: ignore[misc]
        return found

    job_id = await caller.submit(kind, Text(), wait_seconds=0)
    await caller.get(job_id)
    assert not await waiters()
    await caller.queue.get(job_id, principal=ALICE, wait=True)
    assert await waiters()
    taken = await worker.claim_one(job_id)
    await worker.finish(taken)
    assert (await caller.pushed()).state is State.COMPLETED, "the first push is the end, since the start was not asked"


async def test_the_same_request_sent_twice_is_accepted_once(redis: ArqRedis, caller: Caller, worker: Steps) -> None:
    """A connection that breaks after the server has worked makes the client send it again."""
    first = await caller.queue.submit(kind, Text(), principal=ALICE, job_id="same", key="k", wait_seconds=5)
    again = await caller.queue.submit(kind, Text(), principal=ALICE, job_id="same", key="k", wait_seconds=5)
    assert (again.record, again.joined) == (first.record, False)
    assert await worker.subqueue(ALICE) == ["same"]
    assert await worker.depth() == {ALICE: 1, "*": 1}
    assert await redis.zcard(schema.queue_key("default")) == 1
    assert len((await caller.queue.jobs(principal=ALICE)).records) == 1
    assert (await caller.queue.cancel("same", principal=ALICE))[1] == 0, "one request, so one cancel ends it"


async def test_a_repeated_request_does_not_start_a_job_again(caller: Caller, worker: Steps) -> None:
    await caller.submit(kind, Text(), job_id="same")
    taken = await worker.claim_one("same")
    assert (await caller.queue.submit(kind, Text(), principal=ALICE, job_id="same")).record.state is State.RUNNING
    await worker.finish(taken)
    assert (await caller.queue.submit(kind, Text(), principal=ALICE, job_id="same")).record.state is State.COMPLETED


async def test_a_key_joins_the_job_it_names_until_that_has_failed(caller: Caller, worker: Steps) -> None:
    async def send() -> tuple[str, bool]:
        sent = await caller.queue.submit(kind, Text(text="a"), principal=ALICE, job_id=new_id(), key="k")
        return sent.record.job_id, sent.joined

    first, joined = await send()
    assert not joined
    assert await send() == (first, True)
    taken = await worker.claim_one(first)
    assert await send() == (first, True)
    await worker.finish(taken, Failed(JobError("no")))
    second, joined = await send()
    assert (second != first, joined) == (True, False)
    await caller.queue.cancel(second, principal=ALICE)
    third, joined = await send()
    assert (third not in {first, second}, joined) == (True, False)
    await worker.finish(await worker.claim_one(third))
    assert await send() == (third, True)


async def test_joining_a_finished_job_answers_its_outcome(caller: Caller, worker: Steps) -> None:
    first = await caller.submit(kind, Text(), key="k")
    await worker.finish(await worker.claim_one(first), Done({"words": 1}))
    joined = await caller.queue.submit(kind, Text(), principal=ALICE, job_id=new_id(), key="k")
    assert (joined.joined, joined.record.outcome) == (True, Done({"words": 1}))


async def test_a_key_for_another_request_is_a_conflict_and_anothers_key_is_not(caller: Caller) -> None:
    first = await caller.submit(kind, Text(text="a"), key="k")
    for value, of in ((Text(text="b"), kind), (Text(text="a"), other)):
        with pytest.raises(Conflict, match=f"already names job {first} with other arguments"):
            await caller.submit(of, value, key="k")
    foreign = await caller.queue.submit(kind, Text(text="b"), principal="bob", job_id=new_id(), key="k")
    assert not foreign.joined


async def test_a_full_queue_is_busy_and_nothing_is_left_of_the_refused(redis: ArqRedis) -> None:
    queue = JobQueue(redis, Bounds(retention_seconds=600, max_queued=2, max_queued_per_principal=9))
    for job_id in ("a", "b"):
        await queue.submit(kind, Text(), principal=ALICE, job_id=job_id)
    before = await redis.dbsize()
    with pytest.raises(Busy, match=r"2 jobs wait.*nothing was queued") as refused:
        await queue.submit(kind, Text(), principal=ALICE, job_id="c", key="k", wait_seconds=5)
    assert refused.value.retry_after > 0
    assert await redis.dbsize() == before
    assert not (await queue.submit(kind, Text(), principal=ALICE, job_id="a")).joined
    assert (await queue.submit(other, Text(), principal=ALICE, job_id="c")).record.queue == "other"


async def test_a_job_is_its_principals_own(caller: Caller) -> None:
    """A foreign id gets the answer of an unknown one from every method."""
    job_id = await caller.submit(kind, Text())
    messages = set()
    for wanted in (job_id, "unknown" + job_id[7:]):
        for ask in (caller.queue.get, caller.queue.cancel):
            with pytest.raises(NotFound) as refused:
                await ask(wanted, principal="bob")
            messages.add(refused.value.message.replace(wanted, "…"))
    assert len(messages) == 1
    assert (await caller.get(job_id)).state is State.QUEUED


async def test_every_change_is_pushed_whole_to_waiting_front_ends(caller: Caller, worker: Steps) -> None:
    """Except the claim: the next push or read shows it."""
    job_id = await caller.submit(kind, Text())
    taken = await worker.claim_one(job_id)
    await worker.progress(taken, Progress(1, 2, "half"))
    await worker.release(taken, counted=False)
    taken = await worker.claim_one(job_id)
    await worker.finish(taken, Done({"words": 3}, ({"artifact_id": "a"},), ("w",)))
    for _ in range(3):
        await caller.pushed()
    began, returned, ended = caller.seen
    assert (began.state, began.attempt, began.principal) == (State.RUNNING, 1, ALICE)
    assert began.started is not None
    assert began.progress == Progress(1, 2, "half")
    assert (returned.state, returned.progress) == (State.QUEUED, None)
    assert (ended.state, ended.outcome) == (State.COMPLETED, Done({"words": 3}, ({"artifact_id": "a"},), ("w",)))
    assert ended == await caller.get(job_id)


async def test_a_large_result_is_announced_without_itself(redis: ArqRedis, caller: Caller, worker: Steps) -> None:
    """The push holds only the id, so that large results do not fill the output buffer of the subscription."""
    job_id = await caller.submit(kind, Text())
    taken = await worker.claim_one(job_id)
    async with redis.pubsub() as raw:
        await raw.subscribe(schema.REPLY_CHANNEL + "front")
        await raw.get_message(timeout=30)
        await worker.finish(taken, Done({"text": "x" * 20_000}))
        message = await raw.get_message(timeout=30)
    assert len(message["data"]) < 100
    assert (await caller.pushed()).outcome == Done({"text": "x" * 20_000})


async def test_a_wait_for_an_ended_job_is_not_stored(redis: ArqRedis, caller: Caller, worker: Steps) -> None:
    job_id = await caller.submit(kind, Text(), wait_seconds=0)
    await worker.finish(await worker.claim_one(job_id))
    assert (await caller.queue.get(job_id, principal=ALICE, wait=True)).state is State.COMPLETED
    assert not await redis.hexists(schema.RECORD + job_id, "waiters")  # type: ignore[misc]


async def test_a_queued_job_is_cancelled_immediately(redis: ArqRedis, caller: Caller, worker: Steps) -> None:
    job_id = await caller.submit(kind, Text())
    record, left = await caller.queue.cancel(job_id, principal=ALICE)
    assert (record.state, record.outcome, record.attempt, left) == (State.CANCELLED, Cancelled(), 0, 0)
    assert await caller.until(job_id) == record
    assert await worker.claim() == []
    assert not await redis.exists(schema.PAYLOAD + job_id)
    assert (await caller.queue.cancel(job_id, principal=ALICE)) == (record, 0)


async def test_cancelling_a_running_job_reaches_its_worker_in_two_ways(caller: Caller, worker: Steps) -> None:
    """Immediately on its control channel, and with the next heartbeat if that message was lost."""
    job_id = await caller.submit(kind, Text())
    taken = await worker.claim_one(job_id)
    async with worker.listening() as orders:
        record, left = await caller.queue.cancel(job_id, principal=ALICE)
        assert (record.state, left) == (State.RUNNING, 0)
        assert await orders.next() == ("stop", taken.token)
    assert await worker.renew(taken) == ([], [job_id])
    assert await worker.finish(taken, Cancelled())
    assert (await caller.get(job_id)).outcome == Cancelled()


async def test_a_cancelled_job_that_comes_back_from_its_worker_is_not_run_again(caller: Caller, worker: Steps) -> None:
    job_id = await caller.submit(kind, Text())
    taken = await worker.claim_one(job_id)
    await caller.queue.cancel(job_id, principal=ALICE)
    assert await worker.release(taken, counted=False)
    assert await worker.claim() == []
    assert (await caller.get(job_id)).outcome == Cancelled()
    assert await worker.depth() == {}


async def test_abandoning_cancels_only_a_job_without_other_requests(redis: ArqRedis, caller: Caller) -> None:
    async with calling(redis, "second") as second:
        job_id = await caller.submit(kind, Text(), key="k")
        await second.submit(kind, Text(), key="k")
        assert await caller.queue.abandon(job_id, job_id) is False
        assert await caller.queue.abandon(job_id, job_id) is False, "sent twice, it counts once"
        assert (await caller.get(job_id)).state is State.QUEUED
        assert await second.queue.abandon(job_id, "the other") is True
        assert (await caller.get(job_id)).state is State.CANCELLED


async def test_leaving_an_ended_job_cancels_nothing(caller: Caller, worker: Steps) -> None:
    job_id = await caller.submit(kind, Text())
    await worker.finish(await worker.claim_one(job_id))
    assert await caller.queue.abandon(job_id, job_id) is False
    assert (await caller.get(job_id)).state is State.COMPLETED


async def test_jobs_are_listed_newest_first_in_pages(caller: Caller) -> None:
    for number in range(5):
        await caller.submit(kind, Text(), job_id=f"{number}")
    found: list[list[str]] = []
    cursor = None
    while True:
        page = await caller.queue.jobs(principal=ALICE, limit=2, cursor=cursor)
        found.append([record.job_id for record in page.records])
        if not (cursor := page.cursor):
            break
    assert sorted(job_id for ids in found for job_id in ids) == ["0", "1", "2", "3", "4"]
    assert [len(page) for page in found] == [2, 2, 1]
    times = [record.created for record in (await caller.queue.jobs(principal=ALICE)).records]
    assert times == sorted(times, reverse=True)


async def test_a_list_is_filtered_and_shows_no_other_principals_jobs(caller: Caller, worker: Steps) -> None:
    mine = await caller.submit(kind, Text())
    more = await caller.submit(other, Text())
    await caller.submit(kind, Text(), principal="bob")
    await worker.finish(await worker.claim_one(mine))

    async def ids(**filters: object) -> set[str]:
        page = await caller.queue.jobs(principal=ALICE, **filters)  # type: ignore[arg-type]
        return {record.job_id for record in page.records}

    assert await ids() == {mine, more}
    assert await ids(state=State.COMPLETED) == {mine}
    assert await ids(state=State.FAILED) == set()
    assert await ids(kind="other_words") == {more}
    assert (await caller.queue.jobs(principal="carol")).records == []


async def test_a_listed_job_has_its_outcome_and_a_page_has_twenty(caller: Caller, worker: Steps) -> None:
    job_id = await caller.submit(kind, Text())
    await worker.finish(await worker.claim_one(job_id), Done({"words": 3}))
    assert (await caller.queue.jobs(principal=ALICE)).records == [await caller.get(job_id)]
    for _ in range(20):
        await caller.submit(other, Text())
    page = await caller.queue.jobs(principal=ALICE)
    assert len(page.records) == 20
    assert page.cursor
    rest = await caller.queue.jobs(principal=ALICE, cursor=page.cursor)
    assert ([record.outcome for record in rest.records], rest.cursor) == ([Done({"words": 3})], None)


async def test_the_result_of_a_cancelled_job_names_it(redis: ArqRedis, caller: Caller) -> None:
    """Both where it is cancelled and where its last request was abandoned; stock arq reads it."""
    cancelled, abandoned = await caller.submit(kind, Text()), await caller.submit(kind, Text())
    await caller.queue.cancel(cancelled, principal=ALICE)
    assert await caller.queue.abandon(abandoned, abandoned)
    for job_id in (cancelled, abandoned):
        result = deserialize_result(await redis.get(schema.RESULT + job_id), deserializer=codec.unpack)
        assert (result.job_id, result.function, result.queue_name, result.success) == (job_id, "", "", False)


@pytest.mark.parametrize("cursor", ["x", "ü", "b2E", "LTE", "!!!!", "by01", "bzk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5"])
async def test_a_foreign_cursor_is_refused(caller: Caller, cursor: str) -> None:
    with pytest.raises(BadInput, match=r"list_jobs .*begin at the newest"):
        await caller.queue.jobs(principal=ALICE, cursor=cursor)


async def test_only_the_deployments_own_keys_stay_for_ever(redis: ArqRedis, caller: Caller, worker: Steps) -> None:
    """At each point of a job's life, all else ends by itself."""
    job_id = await caller.submit(kind, Text(), key="k")
    assert await immortal(redis) == set()
    taken = await worker.claim_one(job_id)
    await worker.renew(taken)
    await worker.progress(taken, Progress(1, None, ""))
    await worker.sweep()
    assert await immortal(redis) == set()
    await worker.release(taken, counted=False)
    assert await immortal(redis) == set()
    taken = await worker.claim_one(job_id)
    await worker.finish(taken)
    assert await endless(redis) == set()
    kept = [key.decode() async for key in redis.scan_iter(f"*{job_id}*")]
    assert sorted(kept) == sorted([schema.RECORD + job_id, schema.RESULT + job_id])
    for key in kept:
        assert 0 < await redis.pttl(key) <= KEEP_MS


async def test_keys_of_waiting_jobs_are_gone_with_the_last_of_them(
    redis: ArqRedis, caller: Caller, worker: Steps
) -> None:
    """For each way that they end."""
    for job_id in ("finished", "running", "lost", "queued"):
        await caller.submit(kind, Text(), job_id=job_id)
    await caller.submit(kind, Text(), job_id="batch", wait_seconds=0)
    await caller.submit(kind, Text(), job_id="bobs", principal="bob")
    finished, running, lost = await worker.claim_one("finished"), *await worker.claim(2)
    assert len(await endless(redis)) >= 5
    await worker.finish(finished)
    await caller.queue.cancel("queued", principal=ALICE)
    for taken in (running, lost):
        await worker.lose(taken.job_id)
    while taken_again := await worker.claim():
        await worker.finish(taken_again[0])
    assert await endless(redis) == set()


async def test_a_queue_is_live_to_the_millisecond(redis: ArqRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    async def time() -> tuple[int, int]:
        return 1_800_000_000, 900_999

    monkeypatch.setattr(redis, "time", time)
    for queue, until in (("late", 1_800_000_000_899), ("live", 1_800_000_000_900)):
        await redis.zadd(schema.heartbeats_key(queue), {"worker": until})
        await redis.expire(schema.heartbeats_key(queue), 60)
    assert await live_queues(redis, ["late", "live"]) == await live_queues(redis) == {"live"}


async def test_a_queue_is_live_while_a_worker_shows_itself(redis: ArqRedis) -> None:
    assert await live_queues(redis) == set()
    await Steps(redis, "one", "pdf").renew()
    await Steps(redis, "two", "hash").renew()
    assert await live_queues(redis) == {"pdf", "hash"}
    assert await live_queues(redis, ["pdf", "image"]) == {"pdf"}
    seconds, _ = await redis.time()
    await redis.zadd(schema.heartbeats_key("pdf"), {"one": (seconds - 1) * 1000})
    assert await live_queues(redis) == {"hash"}
