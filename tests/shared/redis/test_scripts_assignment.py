"""Assignment of a job to a free slot: no slot is used twice, no job is lost or counted for it."""

from __future__ import annotations

from typing import Any

import pytest
from arq.connections import ArqRedis

from offloop import FileReference, Kind, Model, declare
from offloop.queue.record import Done, State
from offloop.redis import codec, schema
from support.caller import ALICE, Caller
from support.steps import LEASE_MS, Steps, Taken

pytestmark = pytest.mark.anyio


class Text(Model):
    """A text of any length."""

    text: str = ""


kind = declare("do_something", Text, Text, description="d")


class Files(Model):
    """Files of any kind."""

    files: list[FileReference]


reads_files = declare("read_files", Files, Text, description="d")
again = declare("do_something_again", Text, Text, description="d", retries=1)


async def _submit(caller: Caller, *job_ids: str, text: str = "", what: Kind[Any, Any] = kind) -> None:
    for job_id in job_ids:
        await caller.submit(what, Text(text=text), job_id=job_id)


async def _assigned(order: tuple[str, Any]) -> Taken:
    what, taken = order
    assert what == "run"
    assert isinstance(taken, Taken)
    return taken


async def _tries(redis: ArqRedis, job_id: str) -> int:
    return int(await redis.hget(schema.RECORD + job_id, "tries") or 0)  # type: ignore[misc]


async def test_a_job_is_assigned_to_the_worker_with_most_free_slots(caller: Caller, one: Steps, two: Steps) -> None:
    async with one.listening() as first, two.listening() as second:
        await one.advertise(1)
        await two.advertise(2)
        await _submit(caller, "a")
        taken = await _assigned(await second.next())
        assert (taken.job_id, taken.tries, taken.attempt, taken.allowed) == ("a", 1, 1, 1)
        assert (taken.principal, taken.kind, taken.token.startswith("two:")) == (ALICE, "do_something", True)
        record = await caller.get("a")
        assert (record.state, record.attempt, record.started is not None) == (State.RUNNING, 1, True)
        assert (await one.subqueue(ALICE), await one.depth(), list(await one.leased())) == ([], {}, ["a"])
        await first.none()
        assert await two.begin(taken)
        assert await two.finish(taken, Done({"text": "x"}))
        assert (await caller.get("a")).outcome == Done({"text": "x"})


async def test_no_more_jobs_are_assigned_than_there_are_free_slots(caller: Caller, one: Steps) -> None:
    async with one.listening() as orders:
        await one.advertise(2)
        await _submit(caller, "a", "b", "c")
        taken = [await _assigned(await orders.next()) for _ in range(2)]
        await orders.none()
        assert await one.subqueue(ALICE) == ["c"]
        assert await one.free_slots() == 0
        assert await one.advertise(0, *taken) == [], "a heartbeat counts what it holds"
        (next_,) = await one.finish_and_claim(taken[0], "interactive", slots=2)
        assert next_.job_id == "c"


async def test_a_slot_is_free_again_when_its_job_has_ended_however_often_that_is_sent(
    caller: Caller, one: Steps
) -> None:
    async with one.listening() as orders:
        await one.advertise(1)
        await _submit(caller, "a")
        taken = await _assigned(await orders.next())
        await one.finish_and_claim(taken, "interactive")
        await one.advertise(1)
        assert await one.free_slots() == 1
        await _submit(caller, "b")
        assert (await _assigned(await orders.next())).job_id == "b"
        assert await one.free_slots() == 0


async def test_a_worker_that_died_is_assigned_nothing(caller: Caller, one: Steps, two: Steps) -> None:
    """Its slots are still advertised, but its channel has no subscriber."""
    await one.advertise(9)
    async with two.listening() as orders:
        await two.advertise(1)
        await _submit(caller, "a")
        assert (await _assigned(await orders.next())).job_id == "a"
    assert await one.free_slots() == 0
    await _submit(caller, "b")
    assert await one.subqueue(ALICE) == ["b"]


async def test_a_worker_that_serves_other_queues_is_assigned_nothing(redis: ArqRedis, caller: Caller) -> None:
    other = Steps(redis, "other", queue="other")
    async with other.listening() as orders:
        await other.advertise(3)
        await _submit(caller, "a")
        await orders.none()


async def test_a_job_counts_as_executed_only_once_it_has_begun(redis: ArqRedis, caller: Caller, one: Steps) -> None:
    """Its kind allows one execution: a worker that was lost before it began has not used that up."""
    async with one.listening() as orders:
        await one.advertise(1)
        await _submit(caller, "a")
        late = await _assigned(await orders.next())
        assert await _tries(redis, "a") == 0
        await one.lose("a")
        assert not await one.begin(late), "the job was requeued"
        taken = await one.claim_one("a")
        assert (taken.tries, taken.allowed, taken.attempt) == (1, 1, 2)
        assert not await one.begin(late)
        assert await one.begin(taken), "which changes nothing: this one was counted when it was taken"
        assert await _tries(redis, "a") == 1


async def test_beginning_twice_counts_once(redis: ArqRedis, caller: Caller, one: Steps) -> None:
    """The word may be sent again by a connection that broke."""
    async with one.listening() as orders:
        await one.advertise(1)
        await _submit(caller, "a")
        taken = await _assigned(await orders.next())
        assert await one.begin(taken)
        assert await one.begin(taken)
        assert await _tries(redis, "a") == 1
        await one.lose("a")
        assert (await one.claim_one("a")).tries == 2


async def test_a_job_that_may_be_run_again_counts_when_it_is_assigned(
    redis: ArqRedis, caller: Caller, one: Steps
) -> None:
    """Its worker need not say that it begins; what was lost with its worker has counted."""
    async with one.listening() as orders:
        await one.advertise(1)
        await _submit(caller, "a", what=again)
        taken = await _assigned(await orders.next())
        assert (taken.tries, taken.allowed, await _tries(redis, "a")) == (1, 2, 1)
        await one.lose("a")
        late = await one.claim_one("a")
        assert (late.tries, late.attempt) == (2, 2)
        assert not await one.finish(taken)
        assert await one.finish(late)


async def test_a_job_that_may_be_run_again_gets_its_try_back(redis: ArqRedis, caller: Caller, one: Steps) -> None:
    """After a drain cut it short, and after the message that assigned it was lost."""
    async with one.listening() as orders:
        await one.advertise(1)
        await _submit(caller, "a", what=again)
        taken = await _assigned(await orders.next())
        assert await one.release(taken, counted=False)
        assert await _tries(redis, "a") == 0
        await one.finish(await one.claim_one("a"))
        await one.advertise(1)
        await _submit(caller, "b", what=again)
        await orders.next()
        await redis.hset(schema.RECORD + "b", "started", "1")  # type: ignore[misc]
        (second,) = await one.advertise(1)
        assert (second.job_id, second.tries, second.attempt) == ("b", 1, 2)


async def test_a_job_that_its_worker_has_named_once_is_not_put_back(
    redis: ArqRedis, caller: Caller, one: Steps
) -> None:
    """One that may not be run again must have begun besides."""
    async with one.listening() as orders:
        await one.advertise(2)
        await _submit(caller, "a", what=again)
        await _submit(caller, "b")
        taken = [await _assigned(await orders.next()) for _ in range(2)]
        await one.advertise(0, *taken)
        for job_id in ("a", "b"):
            await redis.hset(schema.RECORD + job_id, "started", "1")  # type: ignore[misc]
        assert [each.job_id for each in await one.advertise(0)] == []
        assert (await one.subqueue(ALICE), await _tries(redis, "b")) == (["b"], 0)
        assert await one.finish(taken[0])


async def test_a_job_released_before_it_began_was_not_executed(redis: ArqRedis, caller: Caller, one: Steps) -> None:
    async with one.listening() as orders:
        await one.advertise(1)
        await _submit(caller, "a")
        taken = await _assigned(await orders.next())
        assert await one.release(taken, counted=False)
        assert (await one.subqueue(ALICE), await _tries(redis, "a")) == (["a"], 0)


async def test_a_job_whose_message_was_lost_goes_back_after_half_a_lease(
    redis: ArqRedis, caller: Caller, one: Steps
) -> None:
    """The worker's own heartbeat shows that it knows nothing of it."""
    async with one.listening() as orders:
        await one.advertise(1)
        await _submit(caller, "a")
        taken = await _assigned(await orders.next())
        assert await one.advertise(1) == [], "it may still be under way"
        await redis.hset(schema.RECORD + "a", "started", str(await one.now() - LEASE_MS // 2 - 1))  # type: ignore[misc]
        assert await one.advertise(1, taken) == [], "it has come"
        (again,) = await one.advertise(1)
        assert (again.job_id, again.tries, again.token != taken.token) == ("a", 1, True)
        assert not await one.begin(taken)


async def test_a_job_that_has_begun_is_not_taken_away_by_a_heartbeat_that_forgets_it(
    redis: ArqRedis, caller: Caller, one: Steps
) -> None:
    async with one.listening() as orders:
        await one.advertise(1)
        await _submit(caller, "a")
        taken = await _assigned(await orders.next())
        assert await one.begin(taken)
        await redis.hset(schema.RECORD + "a", "started", "1")  # type: ignore[misc]
        assert await one.advertise(1) == []
        assert await one.finish(taken)


async def test_a_long_payload_is_not_pushed(redis: ArqRedis, caller: Caller, one: Steps) -> None:
    """Pushes share a bounded buffer; the worker reads it."""
    async with one.listening() as orders:
        await one.advertise(2)
        await _submit(caller, "long", text="x" * 20_000)
        await _submit(caller, "short")
        assert (await _assigned(await orders.next())).payload is None
        assert (await _assigned(await orders.next())).payload == await redis.get(schema.PAYLOAD + "short")


async def test_a_cancellation_reaches_the_worker_that_holds_the_job(caller: Caller, one: Steps) -> None:
    async with one.listening() as orders:
        await one.advertise(1)
        await _submit(caller, "a")
        taken = await _assigned(await orders.next())
        await caller.queue.cancel("a", principal=ALICE)
        assert await orders.next() == ("stop", taken.token)


async def test_a_draining_worker_advertises_nothing(caller: Caller, one: Steps) -> None:
    async with one.listening() as orders:
        await one.advertise(2)
        await _submit(caller, "a")
        taken = await _assigned(await orders.next())
        assert await one.advertise(-1, taken) == []
        await _submit(caller, "b")
        await orders.none()
        assert await one.finish(taken)
        assert await one.free_slots() == 0


async def test_jobs_of_a_lost_worker_do_not_reduce_its_free_slots(redis: ArqRedis, caller: Caller, one: Steps) -> None:
    """Each of its jobs has an outcome, however it ended, and leaves nothing behind."""
    async with one.listening() as orders:
        await one.advertise(3)
        await _submit(caller, "a", "b", "c")
        ended, lost, _ = [await _assigned(await orders.next()) for _ in range(3)]
        await one.finish(ended)
        await one.lose(lost.job_id)
        await redis.delete(schema.RECORD + "c", schema.LEASE + "c")
        await redis.zrem(schema.LEASES + "default", "c")
        assert [taken.job_id for taken in await one.advertise(3)] == ["b"]
        assert await one.advertise(3) == []
        assert await redis.smembers(schema.HELD + "one") == {b"b"}  # type: ignore[misc]


@pytest.mark.parametrize("assigned", [True, False])
async def test_a_claim_carries_the_artifacts_and_urls_that_the_input_names(
    caller: Caller, one: Steps, *, assigned: bool
) -> None:
    """Its worker fetches them before the payload is read; what is sent inline or lies under a root is not fetched."""
    names = ["artifact:" + "a" * 22, "data:text/plain;base64,YQ==", "root:reports/x", "https://h.example/x"]
    files = Files.model_validate({"files": names})
    async with one.listening() as orders:
        if assigned:
            await one.advertise(1)
        await caller.submit(reads_files, files)
        taken = await _assigned(await orders.next()) if assigned else (await one.claim())[0]
    assert codec.unpack(taken.references or b"") == [names[0], names[3]]


@pytest.mark.parametrize("cancelled", [True, False])
async def test_the_references_of_a_job_end_with_it(
    redis: ArqRedis, caller: Caller, one: Steps, *, cancelled: bool
) -> None:
    """A URL may hold a secret; the payload, which has it as well, is deleted then."""
    files = Files.model_validate({"files": ["https://h.example/x?signature=secret"]})
    job_id = await caller.submit(reads_files, files)
    assert await redis.hexists(schema.RECORD + job_id, "references")  # type: ignore[misc]
    if cancelled:
        await caller.queue.cancel(job_id, principal=ALICE)
    else:
        await one.finish(await one.claim_one(job_id))
    assert (await caller.get(job_id)).state.terminal
    assert not await redis.hexists(schema.RECORD + job_id, "references")  # type: ignore[misc]
    assert not await redis.exists(schema.PAYLOAD + job_id)


async def test_a_claim_of_an_input_without_files_says_that_there_are_none(caller: Caller, one: Steps) -> None:
    await caller.submit(kind, Text())
    assert codec.unpack((await one.claim())[0].references or b"") == []
