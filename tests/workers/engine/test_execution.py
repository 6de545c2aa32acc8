"""Execution of claims: what each end of an attempt stores, and what is started next. The scripts are recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Final

import pytest
from arq.jobs import serialize_job
from redis.exceptions import ConnectionError as RedisConnectionError
from structlog.testing import capture_logs

from offloop.errors import JobError
from offloop.queue.record import Cancelled, Done, Failed, Outcome, Progress, State, unpack_outcome
from offloop.redis import codec, schema, scripts
from offloop_workers.engine import execution
from offloop_workers.engine.attempt import AGAIN, Again
from offloop_workers.engine.claiming import Claim
from offloop_workers.engine.execution import Execution, Stop, insist

pytestmark = pytest.mark.anyio

PAYLOAD: Final = serialize_job("count_words", (), {"text": "a"}, None, 0, serializer=codec.pack)
CLAIM: Final = Claim("job", "count_words", "pdf", "me:1", PAYLOAD, 1, 3, 4, "alice", [])
Perform = Callable[[Claim, Callable[[Progress], None]], Awaitable[Outcome | Again]]


class Redis:
    """Keys and fields of records, and the scripts that were called.

    Attributes:
        calls: the name and the arguments of each script, in order.
        answers: the answer of a script, by name.
    """

    def __init__(self) -> None:
        self.keys: dict[str, bytes] = {}
        self.references: dict[str, bytes] = {}
        self.calls: list[tuple[Any, ...]] = []
        self.answers: dict[str, Any] = {"finish": (1, []), "release": (1, []), "begin": 1, "progress": 1}

    async def get(self, key: str) -> bytes | None:
        return self.keys.get(key)

    async def hget(self, key: str, field: str) -> bytes | None:
        assert field == "references"
        return self.references.get(key)

    def script(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def call(*, args: list[Any]) -> Any:
            self.calls.append((name, *args))
            answer = self.answers[name]
            if isinstance(answer, BaseException):
                raise answer
            return answer

        return call


class Claimer:
    """The worker's claims: rows are claims themselves."""

    retention_ms = 60_000

    def __init__(self) -> None:
        self.due = asyncio.Event()

    async def __call__(self, script: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        return await script(args=list(args))

    @staticmethod
    def read(rows: list[Claim]) -> list[Claim]:
        return rows


class Bench:
    """An execution with its parts."""

    def __init__(self, perform: Perform) -> None:
        self.redis, self.claimer = Redis(), Claimer()
        self.tasks: dict[str, asyncio.Task[Any]] = {}
        self.states: dict[str, State | None] = {}
        self.names: list[str] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(scripts, "load", self._load)
            self.execution = Execution(
                perform,
                self.redis,  # type: ignore[arg-type]
                self.claimer,  # type: ignore[arg-type]
                tasks=self.tasks,
                run_job=self._run,
            )

    def _load(self, redis: object, script: Any) -> Any:
        assert redis is self.redis
        names = {"BEGIN": "begin", "PROGRESS": "progress", "FINISH": "finish", "RELEASE": "release"}
        return self.redis.script(next(name for key, name in names.items() if getattr(scripts, key) is script))

    async def _run(self, token: str, attempt: int) -> None:
        assert attempt == self.execution.running[token].claim.attempt
        task = asyncio.current_task()
        assert task
        self.names.append(task.get_name())
        self.states[token] = await self.execution.run(token)

    async def until_idle(self) -> None:
        """Wait for all attempts, those that follow included."""
        async with asyncio.timeout(20):
            while self.tasks:
                await asyncio.wait(set(self.tasks.values()))
                await asyncio.sleep(0)

    async def end(self, *claims: Claim) -> list[tuple[Any, ...]]:
        """Run claims to their end; returns the calls of scripts."""
        for claim in claims:
            self.execution.start(claim)
        await self.until_idle()
        assert not self.execution.running
        return self.redis.calls


def answering(outcome: Outcome | Again) -> Perform:
    """Work that ends with an outcome."""

    async def perform(_claim: Claim, _tell: Callable[[Progress], None]) -> Outcome | Again:
        return outcome

    return perform


class Work:
    """Work that waits for its gate.

    Attributes:
        claims: the claims that were performed.
        ended: how often it was cancelled.
        tell: reports progress.
    """

    def __init__(self) -> None:
        self.claims: list[Claim] = []
        self.begun, self.gate = asyncio.Event(), asyncio.Event()
        self.ended = 0
        self.tell: Callable[[Progress], None] = lambda _: None

    async def __call__(self, claim: Claim, tell: Callable[[Progress], None]) -> Outcome:
        self.claims.append(claim)
        self.tell = tell
        self.begun.set()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.ended += 1
            raise
        return Done({"n": len(self.claims)})


FINISHED: Final = ("finish", "job", "me:1")
OUTCOMES: Final[list[Done | Failed | Cancelled]] = [Done({"words": 1}), Failed(JobError("no", code="c")), Cancelled()]


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: outcome.state.value)
async def test_an_outcome_is_stored_under_the_fence_of_its_attempt(outcome: Done | Failed | Cancelled) -> None:
    bench = Bench(answering(outcome))
    [(name, job_id, token, state, packed, keep)] = await bench.end(CLAIM)
    assert (name, job_id, token, state, keep) == (*FINISHED, outcome.state.value, 60_000)
    stored = unpack_outcome(packed)
    assert type(stored) is type(outcome)
    if isinstance(outcome, Done):
        assert stored == outcome
    envelope = codec.unpack(packed)
    assert (envelope["id"], envelope["f"], envelope["t"]) == ("job", "count_words", 4)
    assert envelope["q"] == schema.queue_key("pdf")
    assert bench.states == {"me:1": outcome.state}
    assert bench.names == ["job job"]


async def test_a_crashed_attempt_that_may_be_repeated_is_counted() -> None:
    bench = Bench(answering(AGAIN))
    assert await bench.end(CLAIM) == [("release", "job", "me:1", 1)]
    assert bench.states == {"me:1": State.QUEUED}


async def test_the_claims_that_follow_are_started() -> None:
    """Whether the outcome was stored or came too late."""
    following = replace(CLAIM, token="me:2")  # noqa: S106 -- a fence
    last = replace(CLAIM, token="me:3")  # noqa: S106
    bench = Bench(answering(Done({})))
    rows = iter([[following], [last], []])

    async def finish(*, args: list[Any]) -> Any:
        bench.redis.calls.append(("finish", *args[:2]))
        return (int(args[1] != "me:2"), next(rows))

    bench.execution._finish = finish  # type: ignore[assignment]
    assert await bench.end(CLAIM) == [("finish", "job", f"me:{number}") for number in (1, 2, 3)]
    assert bench.states == {"me:1": State.COMPLETED, "me:2": None, "me:3": State.COMPLETED}


@pytest.mark.parametrize(
    ("why", "stored", "state"),
    [
        (Stop.CANCELLED, "finish", State.CANCELLED),
        (Stop.DRAINED, "release", State.QUEUED),
        (Stop.LOST, None, None),
    ],
)
@pytest.mark.parametrize("begun", [False, True], ids=["before it began", "while it ran"])
async def test_a_stopped_attempt_is_settled_by_the_first_reason(
    why: Stop, stored: str | None, state: State | None, *, begun: bool
) -> None:
    work = Work()
    bench = Bench(work)
    bench.execution.start(CLAIM)
    if begun:
        await work.begun.wait()
    bench.execution.stop("me:1", why)
    for other in Stop:
        bench.execution.stop("me:1", other)
    bench.execution.stop("unknown", why)
    await bench.until_idle()
    assert (len(work.claims), work.ended) == (int(begun), int(begun))
    assert [call[0] for call in bench.redis.calls] == ([stored] if stored else [])
    if stored == "release":
        assert bench.redis.calls == [("release", "job", "me:1", 0)]
    assert bench.states == {"me:1": state}
    assert bench.claimer.due.is_set() == (why is Stop.LOST), "no script has seen the free slot"


async def test_a_stop_that_comes_with_the_outcome_wins_and_one_that_comes_later_does_not_cancel_the_settling() -> None:
    work = Work()
    bench = Bench(work)
    settling, let = asyncio.Event(), asyncio.Event()

    async def finish(*, args: list[Any]) -> Any:
        bench.redis.calls.append(("finish", *args[:3]))
        settling.set()
        await let.wait()
        return (1, [])

    bench.execution._finish = finish  # type: ignore[assignment]
    bench.execution.start(CLAIM)
    await work.begun.wait()
    work.gate.set()
    await settling.wait()
    bench.execution.stop("me:1", Stop.CANCELLED)
    let.set()
    await bench.until_idle()
    assert bench.redis.calls == [("finish", "job", "me:1", "completed")]
    assert bench.states == {"me:1": State.COMPLETED}


async def test_a_cancellation_without_a_reason_is_a_drain() -> None:
    work = Work()
    bench = Bench(work)
    bench.execution.start(CLAIM)
    await work.begun.wait()
    task = bench.tasks["me:1"]
    task.cancel()
    await bench.until_idle()
    assert bench.redis.calls == [("release", "job", "me:1", 0)]
    assert not task.cancelled()
    assert task.cancelling() == 0


@pytest.mark.parametrize("answer", [1, 0, RedisConnectionError("gone")], ids=["ours", "not ours", "Redis is away"])
async def test_an_assigned_job_that_may_not_run_twice_is_confirmed_first(answer: object) -> None:
    work = Work()
    work.gate.set()
    bench = Bench(work)
    bench.redis.answers["begin"] = answer
    once = replace(CLAIM, allowed=1, assigned=True)
    calls = await bench.end(once)
    assert calls[0] == ("begin", "job", "me:1")
    ran = answer == 1
    assert work.claims == ([once] if ran else [])
    assert [call[0] for call in calls[1:]] == (["finish"] if ran else [])
    assert bench.claimer.due.is_set() == (not ran)


@pytest.mark.parametrize("claim", [replace(CLAIM, assigned=True, allowed=2), replace(CLAIM, allowed=1)])
async def test_a_claimed_job_or_one_that_may_run_twice_needs_no_confirmation(claim: Claim) -> None:
    bench = Bench(answering(Done({})))
    assert [call[0] for call in await bench.end(claim)] == ["finish"]


@pytest.mark.parametrize("named", [None, ["artifact:a", "https://example.org/"]])
async def test_a_long_payload_is_read_with_its_references(named: list[str] | None) -> None:
    work = Work()
    work.gate.set()
    bench = Bench(work)
    bench.redis.keys[schema.PAYLOAD + "job"] = PAYLOAD
    if named is not None:
        bench.redis.references[schema.RECORD + "job"] = codec.pack(named)
    await bench.end(replace(CLAIM, payload=None, references=None))
    assert work.claims == [replace(CLAIM, references=named)]


async def test_a_payload_that_has_expired_is_empty() -> None:
    work = Work()
    work.gate.set()
    await Bench(work).end(replace(CLAIM, payload=None))
    assert [claim.payload for claim in work.claims] == [b""]


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "count_words"),
        ({"tries": 3}, "count_words"),
        ({"tries": 4}, ""),
        ({"payload": b""}, ""),
        ({"payload": b"\xc1"}, ""),
        ({"kind": "given"}, "given"),
    ],
    ids=["known", "last try", "one too many", "expired", "unreadable", "named by the claim"],
)
async def test_the_kind_of_a_job_of_stock_arq_is_read_unless_its_payload_may_end_the_worker(
    changes: dict[str, Any], name: str
) -> None:
    work = Work()
    work.gate.set()
    bench = Bench(work)
    calls = await bench.end(replace(CLAIM, **{"kind": "", **changes}))
    assert [claim.kind for claim in work.claims] == [name]
    assert codec.unpack(calls[-1][4])["f"] == name


async def test_the_latest_progress_is_stored_once() -> None:
    """Of each attempt that has reported any."""
    work, silent = Work(), replace(CLAIM, job_id="silent", token="me:2")  # noqa: S106 -- a fence
    bench = Bench(work)
    bench.execution.start(CLAIM)
    await work.begun.wait()
    tell = work.tell
    bench.execution.start(silent)
    for done in (1, 2):
        tell(Progress(done, 3, "pages"))
    async with asyncio.timeout(20):
        await bench.execution.report()
    assert bench.redis.calls == [("progress", "job", "me:1", Progress(2, 3, "pages").pack())]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await bench.execution.report()
    work.gate.set()
    await bench.until_idle()


async def test_the_mean_duration_of_completed_jobs_is_reported_once() -> None:
    bench = Bench(answering(Done({})))
    bench.execution._durations = {"pdf": [1.0, 2.0, 6.0], "image": [0.0004]}
    assert bench.execution.mean_durations() == {"pdf": 3000, "image": 0}
    assert bench.execution.mean_durations() == {}


async def test_a_completed_job_took_as_long_as_its_work() -> None:
    async def perform(_claim: Claim, _tell: Callable[[Progress], None]) -> Outcome:
        await asyncio.sleep(0.05)
        return Done({})

    bench = Bench(perform)
    await bench.end(CLAIM)
    assert 40 < bench.execution.mean_durations()["pdf"] < 60_000


@pytest.mark.parametrize("outcome", [Failed(JobError("no")), Cancelled(), AGAIN])
async def test_only_completed_jobs_have_a_duration(outcome: Outcome | Again) -> None:
    bench = Bench(answering(outcome))
    await bench.end(CLAIM)
    assert bench.execution.mean_durations() == {}


async def test_an_outcome_that_is_not_stored_leaves_nothing_behind_and_is_logged() -> None:
    bench = Bench(answering(Done({})))
    bench.redis.answers["finish"] = ValueError("a fault")
    with capture_logs() as logged:
        await bench.end(CLAIM)
    assert [line["job_id"] for line in logged if "outcome not stored" in line["event"]] == ["job"]
    assert (bench.tasks, bench.execution.running) == ({}, {})


class Clock:
    """The time, which passes only in sleep."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """The clock of the module."""
    clock = Clock()
    with monkeypatch.context() as patch:
        patch.setattr(execution, "asyncio", SimpleNamespace(sleep=clock.sleep, get_running_loop=lambda: clock))
        yield clock


@pytest.mark.parametrize("failures", [0, 1, 7])
async def test_a_command_is_sent_again_until_redis_takes_it(clock: Clock, failures: int) -> None:
    sent = 0

    async def send() -> str:
        nonlocal sent
        sent += 1
        if sent <= failures:
            message = "gone"
            raise RedisConnectionError(message)
        return "taken"

    assert await insist(send) == "taken"
    assert clock.slept == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0][:failures]


async def test_a_command_is_given_up_after_a_minute(clock: Clock) -> None:
    async def send() -> None:
        message = "gone"
        raise RedisConnectionError(message)

    with pytest.raises(TimeoutError, match="60 s"):
        await insist(send)
    assert 59 < clock.now - 100 <= 60


async def test_another_error_is_not_repeated(clock: Clock) -> None:
    async def send() -> None:
        message = "a fault"
        raise ValueError(message)

    with pytest.raises(ValueError, match="a fault"):
        await insist(send)
    assert clock.slept == []
