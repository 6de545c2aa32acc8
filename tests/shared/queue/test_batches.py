"""Batches: accepted whole or not at all, counted exactly once whatever happens to the items, ended as one."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from arq.connections import ArqRedis

from offloop import FileReference, Model, declare
from offloop.errors import BadInput, Busy, Conflict, JobError, NotFound
from offloop.queue import batches
from offloop.queue.batches import MAX_FAILURES, MAX_ITEMS, PAGE, Batches, BatchPage
from offloop.queue.client import Bounds, new_id
from offloop.queue.record import Cancelled, Done, Failed, Outcome, Record, State
from offloop.queue.subscription import WebhookSubscription
from offloop.redis import schema
from support.caller import ALICE, BOUNDS, Caller
from support.redis import endless, immortal
from support.steps import KEEP_MS, Steps, Taken

pytestmark = pytest.mark.anyio


class Text(Model):
    """An input."""

    text: str = ""
    files: tuple[FileReference, ...] = ()


kind = declare("count_words", Text, Text, description="d", retries=2)
pure = declare("read_words", Text, Text, description="d", pure=True)
NO = Failed(JobError("no such word", code="no_word"))


def texts(*words: str) -> list[Text]:
    """One item for each word."""
    return [Text(text=word) for word in words]


async def begin(redis: ArqRedis, values: Sequence[Model], of: Any = kind, **options: Any) -> Record:
    """Submit a batch of alice's whose changes are pushed."""
    options = {"principal": ALICE, "job_id": new_id(), "wait": True, **options}
    bounds = options.pop("bounds", BOUNDS)
    submission = await Batches(redis, bounds, front_end="front").submit(of, values, **options)
    return submission.record


async def seen(redis: ArqRedis, batch: Record | str, start: int = 0) -> BatchPage:
    """The batch as it is now."""
    page = await batches.read(redis, batch if isinstance(batch, str) else batch.job_id, start=start)
    assert page is not None
    return page


async def counts(redis: ArqRedis, batch: Record | str) -> tuple[int, int, int]:
    """Numbers of its items that succeeded, failed and were cancelled."""
    page = await seen(redis, batch)
    return page.succeeded, page.failed, page.cancelled


async def ids(redis: ArqRedis, batch: Record | str) -> list[str]:
    """The jobs of its items, in their order."""
    return [item.job_id for item in (await seen(redis, batch)).items]


async def test_a_batch_runs_immediately_and_its_items_wait_in_order(
    redis: ArqRedis, caller: Caller, worker: Steps
) -> None:
    batch = await begin(redis, texts("a", "b", "c"))
    assert (batch.state, batch.kind, batch.queue, batch.attempt) == (State.RUNNING, batches.KIND, "default", 1)
    assert batch.started == batch.created
    assert await worker.subqueue(ALICE, "batch") == await ids(redis, batch)
    assert await worker.depth() == {ALICE: 3, "*": 3}
    assert [record.job_id for record in (await caller.queue.jobs(principal=ALICE)).records] == [batch.job_id]
    first = await caller.get((await ids(redis, batch))[0])
    assert (first.kind, first.state, first.principal) == ("count_words", State.QUEUED, ALICE)


async def test_each_item_has_its_own_outcome_and_the_batch_ends_with_the_last(
    redis: ArqRedis, caller: Caller, worker: Steps
) -> None:
    batch = await begin(redis, texts("a", "b", "c"))
    one, two, three = await worker.claim(3)
    assert await worker.finish(two, NO)
    assert await worker.finish(three, Done({"text": "C"}))
    page = await seen(redis, batch)
    assert [item.state for item in page.items] == [State.RUNNING, State.FAILED, State.COMPLETED]
    first, failed, last = [item.outcome for item in page.items]
    assert (first, last) == (None, Done({"text": "C"}))
    assert isinstance(failed, Failed)
    assert failed.error.reason == "no_word"
    assert [item.index for item in page.failures] == [1]
    assert (await caller.get(batch.job_id)).state is State.RUNNING
    await worker.finish(one, Done({"text": "A"}))
    ended = await caller.until(batch.job_id)
    assert ended.state is State.COMPLETED
    assert ended.outcome == Done({"kind": "count_words", "total": 3, "succeeded": 2, "failed": 1, "cancelled": 0})
    assert ended.progress is not None
    assert (ended.progress.done, ended.progress.total, ended.progress.message) == (3, 3, "1 failed")
    assert await counts(redis, batch) == (2, 1, 0)


async def test_a_page_begins_with_the_first_item_unless_another_is_named(redis: ArqRedis) -> None:
    batch = await begin(redis, texts("a", "b", "c"))
    page = await batches.read(redis, batch.job_id)
    assert page
    assert ([item.index for item in page.items], page.after) == ([0, 1, 2], None)
    assert [item.index for item in (await seen(redis, batch, 2)).items] == [2]
    assert (await seen(redis, batch, 3)).items == []
    assert await batches.read(redis, "unknown") is None


async def test_a_batch_of_which_nothing_succeeded_has_failed(redis: ArqRedis, caller: Caller, worker: Steps) -> None:
    batch = await begin(redis, texts("a", "b"))
    for taken in await worker.claim(2):
        await worker.finish(taken, NO)
    ended = await caller.get(batch.job_id)
    assert isinstance(ended.outcome, Failed)
    assert "None of the 2 items of count_words succeeded" in ended.outcome.error.message


async def test_the_same_batch_sent_twice_is_accepted_once(redis: ArqRedis, worker: Steps) -> None:
    """A connection that breaks after the server has worked makes the client send it again."""
    first = await begin(redis, texts("a", "b"), job_id="same", key="k")
    again = await begin(redis, texts("a", "b"), job_id="same", key="k")
    assert again == first
    assert await worker.depth() == {ALICE: 2, "*": 2}


async def test_a_key_joins_the_batch_and_refuses_another_one(redis: ArqRedis, caller: Caller) -> None:
    first = await begin(redis, texts("a", "b"), key="k")
    assert (await begin(redis, texts("a", "b"), key="k")).job_id == first.job_id
    for other in (texts("a", "c"), texts("b", "a"), texts("a")):
        with pytest.raises(Conflict, match=f"already names job {first.job_id}"):
            await begin(redis, other, key="k")
    with pytest.raises(Conflict):
        await begin(redis, texts("a", "b"), key="k", stop_on_error=True)
    with pytest.raises(Conflict):
        await caller.submit(kind, Text(text="a"), key="k")
    assert (await begin(redis, texts("a", "b"), key="k", principal="bob")).job_id != first.job_id
    assert (await caller.queue.cancel(first.job_id, principal=ALICE))[1] == 1, "two requests share it"


async def test_a_batch_without_room_for_all_is_refused_and_leaves_nothing(
    redis: ArqRedis, caller: Caller, worker: Steps
) -> None:
    for number in range(3):
        await caller.submit(kind, Text(text=f"{number}"))
    before = await redis.dbsize()
    for bounds in (Bounds(60, 4, 99), Bounds(60, 99, 4)):
        with pytest.raises(Busy, match=r"no room for all 2 items.*nothing was queued") as refused:
            await begin(redis, texts("a", "b"), bounds=bounds, key="k")
        assert refused.value.retry_after > 0
    assert (await redis.dbsize(), await worker.depth()) == (before, {ALICE: 3, "*": 3})
    await begin(redis, texts("a", "b"), bounds=Bounds(60, 5, 5))


async def test_a_batch_larger_than_the_queue_is_refused_with_the_number_that_fits(redis: ArqRedis) -> None:
    for bounds, most in ((BOUNDS, MAX_ITEMS), (Bounds(60, 2, 99), 2), (Bounds(60, 99, 3), 3)):
        with pytest.raises(BadInput, match=f"1 to {most} items"):
            await begin(redis, texts(*map(str, range(most + 1))), bounds=bounds)
    with pytest.raises(BadInput, match="1 to"):
        await begin(redis, [])
    assert await redis.dbsize() == 0


async def test_the_largest_batch_is_accepted_and_cancelled_without_holding_up_redis(
    redis: ArqRedis, caller: Caller, worker: Steps
) -> None:
    await redis.config_set("slowlog-log-slower-than", 1_000_000)  # a tenth of it, unless other processes take the core
    await redis.slowlog_reset()
    batch = await begin(redis, texts(*map(str, range(MAX_ITEMS))))
    assert await worker.depth() == {ALICE: MAX_ITEMS, "*": MAX_ITEMS}
    await caller.queue.cancel(batch.job_id, principal=ALICE)
    assert await worker.depth() == {}
    assert (await caller.get(batch.job_id)).state is State.CANCELLED
    assert await redis.slowlog_get() == []


async def test_equal_items_of_a_pure_kind_share_a_job_and_count_each(
    redis: ArqRedis, caller: Caller, worker: Steps
) -> None:
    batch = await begin(redis, texts("a", "b", "a", "a"), pure)
    shared, other, *same = await ids(redis, batch)
    assert same == [shared, shared]
    assert shared != other
    await worker.finish(await worker.claim_one(shared))
    assert await counts(redis, batch) == (3, 0, 0)
    await worker.finish(await worker.claim_one(other), NO)
    assert await counts(redis, batch) == (3, 1, 0)
    assert (await caller.get(batch.job_id)).state is State.COMPLETED


async def test_equal_items_of_a_kind_that_is_not_pure_are_run_each(redis: ArqRedis) -> None:
    assert len(set(await ids(redis, await begin(redis, texts("a", "a"))))) == 2


async def test_items_join_waiting_running_and_finished_jobs(redis: ArqRedis, caller: Caller, worker: Steps) -> None:
    running = await caller.submit(pure, Text(text="running"))
    taken = await worker.claim_one(running)
    done = await caller.submit(pure, Text(text="done"))
    await worker.finish(await worker.claim_one(done), Done({"text": "D"}))
    queued = await caller.submit(pure, Text(text="queued"))
    batch = await begin(redis, texts("done", "running", "queued", "new"), pure)
    assert (await ids(redis, batch))[:3] == [done, running, queued]
    assert await counts(redis, batch) == (1, 0, 0)
    assert await worker.depth() == {ALICE: 2, "*": 2}
    await worker.finish(taken)
    for taken in await worker.claim(9):
        await worker.finish(taken)
    assert await counts(redis, batch) == (4, 0, 0)


async def test_a_batch_whose_items_are_all_done_already_is_done(redis: ArqRedis, caller: Caller, worker: Steps) -> None:
    done = await caller.submit(pure, Text(text="a"))
    await worker.finish(await worker.claim_one(done))
    subscription = WebhookSubscription("msg_1", "https://example.com/", "example.com")
    batch = await begin(redis, texts("a", "a"), pure, subscription=subscription)
    assert (batch.state, await counts(redis, batch)) == (State.COMPLETED, (2, 0, 0))
    assert await redis.hget(schema.DELIVERY + "msg_1", "state") == b"pending"  # type: ignore[misc]


async def test_the_delivery_is_due_when_the_batch_ends_and_not_before(redis: ArqRedis, worker: Steps) -> None:
    batch = await begin(
        redis, texts("a", "b"), subscription=WebhookSubscription("msg_1", "https://example.com/", "example.com")
    )
    for state, taken in zip(("waiting", "pending"), await worker.claim(2), strict=True):
        await worker.finish(taken)
        assert await redis.hget(schema.DELIVERY + "msg_1", "state") == state.encode()  # type: ignore[misc]
    assert await redis.hget(schema.DELIVERY + "msg_1", "job") == batch.job_id.encode()  # type: ignore[misc]


async def test_one_job_counts_for_every_batch_that_waits_for_it(redis: ArqRedis, caller: Caller, worker: Steps) -> None:
    one = await begin(redis, texts("a", "b"), pure)
    two = await begin(redis, texts("b", "c"), pure)
    for taken in await worker.claim(9):
        await worker.finish(taken)
    for batch in (one, two):
        assert (await counts(redis, batch), (await caller.get(batch.job_id)).state) == ((2, 0, 0), State.COMPLETED)


async def test_a_job_that_many_batches_wait_for_is_done_again_for_the_next(redis: ArqRedis) -> None:
    """Its end would have to be counted in all of them, in one step."""
    found = [await ids(redis, await begin(redis, texts("a"), pure)) for _ in range(schema.MAX_BATCHES_PER_ITEM + 2)]
    jobs = [job_id for (job_id,) in found]
    assert len(set(jobs)) == 3
    assert len(set(jobs[: schema.MAX_BATCHES_PER_ITEM])) == 1


async def test_cancelling_ends_queued_items_immediately_and_the_batch_with_the_last_child(
    redis: ArqRedis, caller: Caller, worker: Steps
) -> None:
    batch = await begin(redis, texts("done", "running", "waiting", "waiting too"))
    done, running = await worker.claim(2)
    await worker.finish(done)
    record, left = await caller.queue.cancel(batch.job_id, principal=ALICE)
    assert (record.state, left) == (State.RUNNING, 0)
    assert (await counts(redis, batch), await worker.depth()) == ((1, 0, 2), {})
    assert await worker.renew(running) == ([], [running.job_id])
    again, _ = await caller.queue.cancel(batch.job_id, principal=ALICE)
    assert again.state is State.RUNNING
    await worker.finish(running, Cancelled())
    ended = await caller.get(batch.job_id)
    assert (ended.state, ended.outcome, await counts(redis, batch)) == (State.CANCELLED, Cancelled(), (1, 0, 3))
    assert await worker.claim() == []


async def test_a_cancelled_batch_whose_worker_is_lost_ends_with_the_next_claim(
    redis: ArqRedis, caller: Caller, worker: Steps
) -> None:
    batch = await begin(redis, texts("a", "b"))
    (running,) = await worker.claim(1)
    await caller.queue.cancel(batch.job_id, principal=ALICE)
    await worker.lose(running.job_id)
    assert (await caller.get(batch.job_id)).state is State.RUNNING
    assert await worker.claim() == []
    assert ((await caller.get(batch.job_id)).state, await counts(redis, batch)) == (State.CANCELLED, (0, 0, 2))


async def test_shared_jobs_go_on_without_a_cancelled_batch(redis: ArqRedis, caller: Caller, worker: Steps) -> None:
    mine = await caller.submit(pure, Text(text="a"))
    batch = await begin(redis, texts("a", "b"), pure)
    other = await begin(redis, texts("b"), pure)
    await caller.queue.cancel(batch.job_id, principal=ALICE)
    assert ((await caller.get(batch.job_id)).state, await counts(redis, batch)) == (State.CANCELLED, (0, 0, 2))
    assert (await caller.get(mine)).state is State.QUEUED
    for taken in await worker.claim(9):
        await worker.finish(taken)
    assert (await caller.get(mine)).state is State.COMPLETED
    assert (await counts(redis, batch), await counts(redis, other)) == ((0, 0, 2), (1, 0, 0))


async def test_cancelling_one_item_leaves_the_others(redis: ArqRedis, caller: Caller, worker: Steps) -> None:
    batch = await begin(redis, texts("a", "b"))
    first, second = await ids(redis, batch)
    await caller.queue.cancel(first, principal=ALICE)
    assert await counts(redis, batch) == (0, 0, 1)
    await worker.finish(await worker.claim_one(second))
    assert (await caller.get(batch.job_id)).state is State.COMPLETED
    assert await counts(redis, batch) == (1, 0, 1)


async def test_a_batch_shared_by_its_key_goes_on_until_the_last_has_left(redis: ArqRedis, caller: Caller) -> None:
    batch = await begin(redis, texts("a"), key="k")
    await begin(redis, texts("a"), key="k", job_id="second")
    assert await caller.queue.abandon(batch.job_id, batch.job_id) is False
    assert await counts(redis, batch) == (0, 0, 0)
    assert await caller.queue.abandon(batch.job_id, "second") is True
    assert (await caller.get(batch.job_id)).state is State.CANCELLED


@pytest.mark.parametrize("left", [0, 3])
async def test_the_first_failure_ends_the_others_with_stop_on_error(
    redis: ArqRedis, caller: Caller, worker: Steps, left: int
) -> None:
    batch = await begin(redis, texts("bad", "running", *"abc"[:left]), stop_on_error=True)
    bad, running = await worker.claim(2)
    await worker.finish(bad, NO)
    assert await counts(redis, batch) == (0, 1, left)
    assert await worker.renew(running) == ([], [running.job_id])
    await worker.finish(running, Cancelled())
    ended = await caller.get(batch.job_id)
    assert isinstance(ended.outcome, Failed)
    assert ended.outcome.error.reason == "batch_stopped"
    assert await counts(redis, batch) == (0, 1, left + 1)


async def test_a_batch_with_stop_on_error_fails_also_by_its_last_item(
    redis: ArqRedis, caller: Caller, worker: Steps
) -> None:
    batch = await begin(redis, texts("good", "bad"), stop_on_error=True)
    good, bad = await worker.claim(2)
    await worker.finish(good)
    await worker.finish(bad, NO)
    ended = await caller.get(batch.job_id)
    assert isinstance(ended.outcome, Failed)
    assert ended.outcome.error.reason == "batch_stopped"
    assert await counts(redis, batch) == (1, 1, 0)


async def test_a_lost_worker_or_a_drain_counts_nothing_twice(redis: ArqRedis, caller: Caller, worker: Steps) -> None:
    batch = await begin(redis, texts("a", "b"))
    one, two = await worker.claim(2)
    await worker.lose(one.job_id)
    await worker.release(two, counted=False)
    assert await counts(redis, batch) == (0, 0, 0)
    again = {taken.job_id: taken for taken in await worker.claim(2)}
    assert await worker.finish(again[one.job_id])
    assert not await worker.finish(one, NO), "a late outcome of the lost attempt"
    assert not await worker.finish(again[one.job_id], NO), "sent twice"
    assert await counts(redis, batch) == (1, 0, 0)
    await worker.finish(again[two.job_id])
    assert (await caller.get(batch.job_id)).state is State.COMPLETED


@pytest.mark.parametrize("found_by", ["claim", "cancel"])
async def test_an_item_that_waited_too_long_has_failed(
    redis: ArqRedis, caller: Caller, worker: Steps, found_by: str
) -> None:
    """A worker that claims it finds that it is gone, or a cancellation of the batch."""
    batch = await begin(redis, texts("a", "b"))
    first, second = await ids(redis, batch)
    await redis.delete(schema.RECORD + first, schema.PAYLOAD + first)
    if found_by == "claim":
        await worker.finish(await worker.claim_one(second))
    else:
        await caller.queue.cancel(batch.job_id, principal=ALICE)
        assert await worker.claim() == []
    assert (await caller.get(batch.job_id)).state.terminal
    page = await seen(redis, batch)
    assert (page.failed, page.items[0].state) == (1, State.FAILED)
    assert isinstance(page.items[0].outcome, Failed)
    assert page.items[0].outcome.error.reason == "expired"


async def test_ended_items_are_kept_as_long_as_their_batch(redis: ArqRedis, caller: Caller, worker: Steps) -> None:
    """For as long as it takes, until the last batch that they belong to has ended."""
    batch = await begin(redis, texts("a", "b"), pure)
    other = await begin(redis, texts("a", "c"), pure)
    jobs = {taken.job_id: taken for taken in await worker.claim(9)}
    first, second = await ids(redis, batch)
    await worker.finish(jobs[first])
    for key in (schema.RECORD, schema.RESULT):
        assert await redis.pttl(key + first) > KEEP_MS
    await worker.finish(jobs[second])
    assert await redis.pttl(schema.RECORD + first) > KEEP_MS, "the other batch goes on"
    assert await redis.pttl(schema.RECORD + second) <= KEEP_MS
    await worker.finish(jobs[(await ids(redis, other))[1]])
    names = [schema.RECORD + first, schema.RESULT + first, schema.BATCH + batch.job_id, schema.RECORD + batch.job_id]
    for name in names:
        assert 0 < await redis.pttl(name) <= KEEP_MS
    assert (await caller.get(first)).expires == (await caller.get(first)).finished + KEEP_MS  # type: ignore[operator]


async def test_a_result_that_a_batch_holds_is_not_joined_when_its_files_are_about_to_go(
    redis: ArqRedis, caller: Caller, worker: Steps
) -> None:
    batch = await begin(redis, texts("a", "b"), pure)
    first, _ = await ids(redis, batch)
    await worker.finish(await worker.claim_one(first))
    assert await caller.submit(pure, Text(text="a")) == first
    await redis.hset(schema.RECORD + first, "expires", str(await worker.now() + 1000))  # type: ignore[misc]
    assert await caller.submit(pure, Text(text="a")) != first


async def test_an_item_that_is_submitted_by_itself_is_listed(redis: ArqRedis, caller: Caller) -> None:
    batch = await begin(redis, texts("a", "b"), pure)
    first, _ = await ids(redis, batch)
    assert await caller.submit(pure, Text(text="a")) == first
    listed = {record.job_id for record in (await caller.queue.jobs(principal=ALICE)).records}
    assert listed == {batch.job_id, first}


async def test_batch_and_items_are_their_principals_own(redis: ArqRedis, caller: Caller) -> None:
    batch = await begin(redis, texts("a"))
    for job_id in (batch.job_id, *await ids(redis, batch)):
        for ask in (caller.queue.get, caller.queue.cancel):
            with pytest.raises(NotFound):
                await ask(job_id, principal="bob")
    assert await counts(redis, batch) == (0, 0, 0)
    assert await ids(redis, await begin(redis, texts("a"), pure)) != await ids(
        redis, await begin(redis, texts("a"), pure, principal="bob")
    )


async def test_items_come_in_pages_and_large_results_by_themselves(redis: ArqRedis, worker: Steps) -> None:
    batch = await begin(redis, texts(*map(str, range(PAGE + 5))))
    for number, taken in enumerate(await worker.claim(PAGE + 5)):
        large = number in (1, 2)
        await worker.finish(taken, NO if number > 20 else Done({"text": "x" * (200_000 if large else 10)}))
    first, rest = await seen(redis, batch), await seen(redis, batch, PAGE)
    assert (len(first.items), first.after, len(rest.items), rest.after) == (PAGE, PAGE, 5, None)
    assert [item.index for item in first.items + rest.items] == list(range(PAGE + 5))
    assert [item.index for item in first.items if item.omitted] == [2]
    assert first.items[2].outcome is None
    assert [item.index for item in rest.failures] == list(range(21, 21 + MAX_FAILURES))
    assert (await seen(redis, batch, 999)).items == []


async def test_nothing_of_a_batch_stays_for_ever(redis: ArqRedis, caller: Caller, worker: Steps) -> None:
    batch = await begin(redis, texts("a", "b", "c"), pure, key="k")
    assert await immortal(redis) == set()
    one, two = await worker.claim(2)
    await worker.finish(one)
    assert await immortal(redis) == set()
    await worker.release(two, counted=False)
    await caller.queue.cancel(batch.job_id, principal=ALICE)
    assert await endless(redis) == set()
    assert [key async for key in redis.scan_iter(schema.PARENTS + "*")] == []


async def test_the_end_is_pushed_and_not_every_item(redis: ArqRedis, caller: Caller, worker: Steps) -> None:
    batch = await begin(redis, texts(*map(str, range(100))))
    for taken in await worker.claim(100):
        await worker.finish(taken)
    assert (await caller.until(batch.job_id)).state is State.COMPLETED
    finished = [record.progress.done for record in caller.seen if record.progress and record.job_id == batch.job_id]
    assert finished == sorted(finished)
    assert len(finished) < 50


class Mix:
    """Overlapping batches, and a worker that treats their items in any way there is.

    Args:
        redis: where.
        caller: submits and cancels.
        worker: runs the items.
        seed: makes it repeatable.
    """

    def __init__(self, redis: ArqRedis, caller: Caller, worker: Steps, seed: int) -> None:
        self.sizes: dict[str, int] = {}
        self.held: list[Taken] = []
        self._redis = redis
        self._caller = caller
        self._worker = worker
        self._chance = random.Random(seed)  # noqa: S311 -- to be repeatable

    async def step(self) -> None:
        """Do one thing."""
        steps = [self._begin, self._claim, self._claim]
        if self.held:
            steps += [self._finish, self._finish, self._return]
        if self.sizes:
            steps += [self._cancel]
        await self._chance.choice(steps)()

    async def end(self) -> None:
        """Let everything run to its end."""
        for taken in self.held:
            await self._worker.release(taken, counted=False)
        while again := await self._worker.claim(20):
            for taken in again:
                await self._worker.finish(taken)

    async def _begin(self) -> None:
        values = texts(*(self._chance.choice("abcdef") for _ in range(self._chance.randint(1, 5))))
        stop = self._chance.random() < 0.3
        batch = await begin(self._redis, values, self._chance.choice([kind, pure]), stop_on_error=stop)
        self.sizes[batch.job_id] = len(values)

    async def _claim(self) -> None:
        self.held += await self._worker.claim(self._chance.randint(1, 3))

    async def _finish(self) -> None:
        outcomes: list[Outcome] = [Done({}), Done({}), NO, Cancelled()]
        await self._worker.finish(self._chance.choice(self.held), self._chance.choice(outcomes))

    async def _return(self) -> None:
        taken = self._chance.choice(self.held)
        if self._chance.random() < 0.5:
            await self._worker.lose(taken.job_id)
        else:
            await self._worker.release(taken, counted=False)

    async def _cancel(self) -> None:
        batch_id = self._chance.choice(list(self.sizes))
        target = self._chance.choice([batch_id, *await ids(self._redis, batch_id)])
        await self._caller.queue.cancel(target, principal=ALICE)


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_happens_every_item_is_counted_once(
    redis: ArqRedis, caller: Caller, worker: Steps, seed: int
) -> None:
    mix = Mix(redis, caller, worker, seed)
    counted = set[str]()
    for _ in range(120):
        await mix.step()
        for batch_id in mix.sizes.keys() - counted:
            number = sum(await counts(redis, batch_id))
            assert number <= mix.sizes[batch_id]
            if number == mix.sizes[batch_id]:
                counted.add(batch_id)  # it can only grow from here, which the end below would show
    await mix.end()
    for batch_id, size in mix.sizes.items():
        assert (sum(await counts(redis, batch_id)), (await caller.get(batch_id)).state.terminal) == (size, True)
    assert [key async for key in redis.scan_iter(schema.PARENTS + "*")] == []
    assert await worker.depth() == {}
