"""Loops of a worker's dispatch: heartbeat, messages, sweep, pause, retirement. Scripts and execution are recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from types import SimpleNamespace
from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from offloop.queue.record import sweep_args
from offloop.redis import codec, schema, scripts
from offloop_workers.engine import dispatch
from offloop_workers.engine.claiming import Claim, Claimer
from offloop_workers.engine.dispatch import ALIVE_MS, Dispatch
from offloop_workers.engine.execution import Running, Stop

pytestmark = pytest.mark.anyio

FIELDS: Final = {"job_id": "job", "kind": "k", "queue": "pdf", "token": "me:1", "tries": 1, "allowed": 1, "attempt": 1}
ROW: Final = codec.pack_for_lua({**FIELDS, "principal": "alice", "payload": b"p"})
CLAIM: Final = Claim.read(ROW)


class Execution:
    """Keeps what is started and stopped."""

    def __init__(self) -> None:
        self.running = {"me:1": Running(CLAIM)}
        self.started: list[Claim] = []
        self.stopped: list[tuple[str, Stop]] = []
        self.reports = asyncio.Event()

    def start(self, claim: Claim) -> None:
        self.started.append(claim)

    def stop(self, token: str, why: Stop) -> None:
        self.stopped.append((token, why))

    @staticmethod
    def mean_durations() -> dict[str, int]:
        return {"pdf": 250}

    async def report(self) -> None:
        self.reports.set()
        await asyncio.Event().wait()


class Channel:
    """A subscription that never gets a message.

    Attributes:
        name: of the channel.
        flushed: how often it was waited for.
    """

    def __init__(self, redis: object, name: str, handle: Callable[[bytes], None], ready: Callable[[], None]) -> None:
        self.redis, self.name, self.handle, self.ready = redis, name, handle, ready
        self.flushed = 0
        self.listening = asyncio.Event()

    async def listen(self) -> None:
        self.listening.set()
        await asyncio.Event().wait()

    async def flush(self) -> None:
        self.flushed += 1


class Bench:
    """A dispatch with its parts.

    Attributes:
        beats: the keys and arguments of heartbeats.
        sweeps: those of sweeps.
        answer: of a heartbeat: lost tokens, cancelled tokens, rows.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.execution, self.claimer = Execution(), Claimer("me", ["pdf", "image"], 2, 60)
        self.beats: list[list[Any]] = []
        self.sweeps: list[tuple[list[str], list[Any]]] = []
        self.answer: tuple[list[bytes], list[bytes], list[bytes]] = ([], [], [])
        self.found = 0
        self.removed: list[tuple[str, str]] = []
        self.announced = 0
        self.swept = asyncio.Event()
        redis: Any = SimpleNamespace(zrem=self.zrem)
        subscriptions: Any = SimpleNamespace()
        loaded = {(id(redis), scripts.HEARTBEAT): self.beat, (id(redis), scripts.SWEEP): self.sweep}
        patch.setattr(scripts, "load", lambda redis, script: loaded[id(redis), script])
        patch.setattr(dispatch, "Subscriber", Channel)
        self.dispatch = Dispatch(redis, subscriptions, self.claimer, self.execution, self.announce)  # type: ignore[arg-type]
        self.channel: Channel = self.dispatch._channel  # type: ignore[assignment]
        assert self.channel.redis is subscriptions

    async def beat(self, _keys: list[str], args: list[Any]) -> Any:
        self.beats.append(args)
        return self.answer

    async def sweep(self, *, keys: list[str], args: list[Any]) -> int:
        self.sweeps.append((keys, args))
        self.swept.set()
        return self.found

    async def zrem(self, key: str, owner: str) -> None:
        self.removed.append((key, owner))

    def announce(self) -> None:
        self.announced += 1


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Made while a loop runs."""
    with monkeypatch.context() as patch:
        yield Bench(patch)


def order(*words: Any) -> bytes:
    """A message on the control channel."""
    return codec.pack_for_lua(list(words))  # type: ignore[arg-type]


async def test_a_heartbeat_renews_what_is_held_and_reports_durations(bench: Bench) -> None:
    await bench.dispatch._heartbeat()
    [(*_, alive, durations, job_id, token)] = bench.beats
    assert (alive, job_id, token) == (ALIVE_MS, "job", "me:1")
    assert codec.unpack(durations) == {"pdf": 250}


async def test_a_heartbeat_ends_what_is_lost_or_cancelled_and_starts_what_it_claims(bench: Bench) -> None:
    bench.answer = ([b"me:2"], [b"me:3", b"me:4"], [ROW, ROW])
    await bench.dispatch._heartbeat()
    assert bench.execution.stopped == [("me:2", Stop.LOST), ("me:3", Stop.CANCELLED), ("me:4", Stop.CANCELLED)]
    assert bench.execution.started == [CLAIM, CLAIM]


async def test_the_next_heartbeat_waits_for_its_time_or_for_a_reason(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reason from before the heartbeat is met by it."""
    monkeypatch.setattr(dispatch, "HEARTBEAT_SECONDS", 30)
    bench.claimer.due.set()
    waiting = asyncio.create_task(bench.dispatch._keep_alive())
    done, _ = await asyncio.wait({waiting}, timeout=0.05)
    assert not done
    assert len(bench.beats) == 1
    bench.claimer.due.set()
    await asyncio.wait_for(waiting, 20)
    monkeypatch.setattr(dispatch, "HEARTBEAT_SECONDS", 0.01)
    await asyncio.wait_for(bench.dispatch._keep_alive(), 20)
    assert len(bench.beats) == 2


@pytest.mark.parametrize(
    ("message", "started", "stopped", "due", "announced"),
    [
        (order("run", ROW), [Claim.read(ROW, assigned=True)], [], False, 0),
        (order("stop", "me:1"), [], [("me:1", Stop.CANCELLED)], False, 0),
        (order("wake"), [], [], True, 0),
        (order("deliver"), [], [], False, 1),
        (order("of a later version", 1), [], [], False, 0),
    ],
    ids=["run", "stop", "wake", "deliver", "unknown"],
)
async def test_each_message_has_one_effect(  # noqa: PLR0913 -- each effect, and each absence of one
    bench: Bench, message: bytes, started: list[Claim], stopped: list[tuple[str, Stop]], announced: int, *, due: bool
) -> None:
    assert bench.channel.name == schema.CONTROL_CHANNEL + "me"
    bench.channel.handle(message)
    assert (bench.execution.started, bench.execution.stopped) == (started, stopped)
    assert (bench.claimer.due.is_set(), bench.announced) == (due, announced)


async def test_a_new_subscription_looks_for_jobs_and_deliveries(bench: Bench) -> None:
    bench.channel.ready()
    assert (bench.claimer.due.is_set(), bench.announced) == (True, 1)


async def test_a_paused_worker_advertises_no_slot_and_waits_for_its_messages(bench: Bench) -> None:
    await bench.dispatch.pause()
    assert bench.claimer.paused
    [[_, _, slots, *_]] = bench.beats
    assert slots == 0
    assert bench.channel.flushed == 1


async def test_a_retired_worker_is_no_longer_alive_in_any_queue(bench: Bench) -> None:
    await bench.dispatch.retire()
    assert bench.removed == [(schema.heartbeats_key(queue), "me") for queue in ("pdf", "image")]


@pytest.mark.parametrize(("found", "logged"), [(0, []), (1, [("pdf", 1), ("image", 1)])])
async def test_each_queue_is_swept_by_one_worker_in_half_an_interval(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, found: int, logged: list[tuple[str, int]]
) -> None:
    """A lock lasts half the pause between two sweeps, which varies by a tenth."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(dispatch, "SWEEP_SECONDS", 4.0)
    monkeypatch.setattr(dispatch, "asyncio", SimpleNamespace(sleep=sleep))
    bench.found = found
    with capture_logs() as lines:
        for _ in range(20):
            await bench.dispatch._sweep_queues()
    keep, retention = bench.claimer.pending_ms, bench.claimer.retention_ms
    assert bench.sweeps[:2] == [
        (schema.sweep_keys(queue), sweep_args(queue, lock_ms=2000, keep_ms=keep, retention_ms=retention))
        for queue in ("pdf", "image")
    ]
    assert all(3.6 <= seconds <= 4.4 for seconds in slept)
    assert len(set(slept)) > 1
    assert [(line["queue"], line["count"]) for line in lines[:2]] == logged


async def test_heartbeats_come_first_when_the_server_is_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep takes jobs away whose leases have lapsed: it waits longer between two tries."""
    pauses: dict[str, float] = {}

    async def forever(step: Callable[[], Awaitable[None]], *, pause: float = 2.0) -> None:
        pauses[step.__name__] = pause

    monkeypatch.setattr(dispatch, "forever", forever)
    await bench.dispatch.serve()
    assert pauses == {"_keep_alive": 0.5, "_listen": 2.0, "report": 2.0, "_sweep_queues": 2.0}


async def test_all_loops_run_until_they_are_cancelled(bench: Bench) -> None:
    serving = asyncio.create_task(bench.dispatch.serve())
    async with asyncio.timeout(20):
        await bench.swept.wait()
        await bench.channel.listening.wait()
        await bench.execution.reports.wait()
    assert len(bench.beats) >= 1
    names = {task.get_name() for task in asyncio.all_tasks()}
    assert names >= {"heartbeat", "listen", "progress", "sweep"}
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
