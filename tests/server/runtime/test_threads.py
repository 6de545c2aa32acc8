"""Threads: a bounded number, fair to principals, and calls that outlive their callers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from structlog.testing import capture_logs

from offloop.errors import Busy, JobError, LimitExceeded
from offloop_server.runtime import threads as module
from offloop_server.runtime.background import Background
from offloop_server.runtime.threads import Threads
from support.waiting import eventually

pytestmark = pytest.mark.anyio


class Door:
    """Functions of a test block at it."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.inside = threading.Semaphore(0)
        self.order: list[str] = []

    def enter(self, name: str) -> str:
        """Wait, in a thread, until it is open."""
        self.order.append(name)
        self.inside.release()
        assert self.opened.wait(20)
        return name

    async def entered(self) -> None:
        """Wait until one more is inside."""
        assert await asyncio.to_thread(self.inside.acquire, timeout=10)


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """A door that opens at the end at the latest."""
    door = Door()
    yield door
    door.opened.set()


@pytest.fixture
async def background(door: Door) -> AsyncIterator[Background]:
    """Tracks orphaned calls."""
    async with Background(grace=10) as background:
        yield background
        door.opened.set()


def call(threads: Threads, door: Door, name: str, principal: str = "alice", seconds: float = 10) -> Any:
    """Call a function that waits at the door."""
    return threads.run(partial(door.enter, name), name=name, principal=principal, seconds=seconds)


async def settled(threads: Threads, running: int, waiting: int) -> None:
    """Wait until that many run and that many wait."""

    async def so() -> bool:
        return (threads.running, threads.waiting) == (running, waiting)

    await eventually(so, f"{running} run and {waiting} wait")


async def test_sync_functions_run_in_threads(background: Background) -> None:
    threads = Threads(2, background)
    mine = threading.get_ident()
    theirs = await threads.run(threading.get_ident, name="f", principal="alice", seconds=5)
    assert theirs != mine
    assert (threads.running, threads.waiting) == (0, 0)


async def test_no_more_calls_run_than_there_are_threads(background: Background, door: Door) -> None:
    threads = Threads(3, background)
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(call(threads, door, f"c{number}")) for number in range(10)]
        for _ in range(3):
            await door.entered()
        await settled(threads, 3, 7)
        assert len(door.order) == 3
        door.opened.set()
    assert [one.result() for one in calls] == [f"c{number}" for number in range(10)]
    assert (threads.running, threads.waiting) == (0, 0)


async def test_threads_rotate_so_a_flood_delays_only_its_own_principal(background: Background, door: Door) -> None:
    threads = Threads(1, background)
    async with asyncio.TaskGroup() as group:
        for name, principal in [*((f"flood{n}", "mallory") for n in range(4)), ("one", "alice"), ("two", "bob")]:
            group.create_task(call(threads, door, name, principal))
            await asyncio.sleep(0)
        await door.entered()
        await settled(threads, 1, 5)
        door.opened.set()
    assert door.order == ["flood0", "flood1", "one", "two", "flood2", "flood3"]


async def test_a_full_pool_is_busy_after_the_call_s_time(background: Background, door: Door) -> None:
    threads = Threads(1, background)
    async with asyncio.TaskGroup() as group:
        group.create_task(call(threads, door, "long"))
        await door.entered()
        with pytest.raises(Busy, match=r"late was not called: all 1 threads were taken for 0\.05 s"):
            await call(threads, door, "late", seconds=0.05)
        assert (threads.running, threads.waiting) == (1, 0)
        door.opened.set()
    assert door.order == ["long"]


async def test_a_full_queue_refuses_immediately(
    background: Background, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITING_PER_THREAD", 2)
    threads = Threads(1, background)
    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(call(threads, door, f"c{number}"))
        await settled(threads, 1, 2)
        with pytest.raises(Busy, match="too many calls wait"):
            await call(threads, door, "late", seconds=60)
        door.opened.set()


async def test_a_call_that_takes_too_long_is_an_error_while_its_thread_keeps_its_permit(
    background: Background, door: Door
) -> None:
    threads = Threads(1, background)
    with pytest.raises(LimitExceeded, match=r"slow did not answer within its 0\.05 s"):
        await call(threads, door, "slow", seconds=0.05)
    assert (threads.running, background.names) == (1, ["slow (orphaned)"])
    door.opened.set()
    await settled(threads, 0, 0)
    assert await threads.run(lambda: 1, name="f", principal="alice", seconds=5) == 1


async def test_a_caller_cancelled_during_its_call_leaves_a_counted_task(background: Background, door: Door) -> None:
    threads = Threads(1, background)
    caller = asyncio.ensure_future(call(threads, door, "left"))
    await door.entered()
    caller.cancel()
    await asyncio.wait([caller])
    assert (caller.cancelled(), threads.running, background.counts.running) == (True, 1, 1)
    door.opened.set()
    await settled(threads, 0, 0)

    async def finished() -> bool:
        return (background.counts.running, background.counts.finished) == (0, 1)

    await eventually(finished, "the task is finished and counted")


async def test_a_caller_cancelled_while_it_waits_passes_the_permit_on(background: Background, door: Door) -> None:
    threads = Threads(1, background)
    async with asyncio.TaskGroup() as group:
        group.create_task(call(threads, door, "first"))
        leaver = asyncio.ensure_future(call(threads, door, "leaver"))
        last = group.create_task(call(threads, door, "last"))
        await settled(threads, 1, 2)
        leaver.cancel()
        await settled(threads, 1, 1)
        door.opened.set()
    assert last.result() == "last"
    assert (leaver.cancelled(), threads.running, door.order) == (True, 0, ["first", "last"])


async def test_a_permit_granted_to_a_caller_at_its_cancellation_is_not_lost(
    background: Background,
) -> None:
    threads = Threads(1, background)
    ready, end = threading.Event(), threading.Event()

    def hold() -> None:
        ready.set()
        end.wait(10)

    first = asyncio.ensure_future(threads.run(hold, name="first", principal="alice", seconds=10))
    assert await asyncio.to_thread(ready.wait, 10)
    second = asyncio.ensure_future(threads.run(hold, name="second", principal="alice", seconds=10))
    await settled(threads, 1, 1)
    end.set()
    while threads.waiting:  # noqa: ASYNC110 -- to cancel in the very iteration in which the permit is granted
        await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([first, second])
    assert (second.cancelled(), threads.running) == (True, 0)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (JobError("words"), JobError),
        (TimeoutError("its own"), TimeoutError),
        (StopIteration(), RuntimeError),
        (SystemExit(3), RuntimeError),
        (asyncio.CancelledError(), RuntimeError),
    ],
)
async def test_an_exception_of_a_function_is_raised_at_its_call_and_ends_only_that_call(
    background: Background, error: BaseException, raised: type[Exception]
) -> None:
    threads = Threads(1, background)

    def fails() -> None:
        raise error

    with pytest.raises(raised):
        await threads.run(fails, name="f", principal="alice", seconds=5)
    assert threads.running == 0


async def test_the_failure_of_an_orphaned_call_is_logged(background: Background, door: Door) -> None:
    threads = Threads(1, background)

    def fails() -> None:
        door.enter("fails")
        message = "too late"
        raise ValueError(message)

    with pytest.raises(LimitExceeded):
        await threads.run(fails, name="slow", principal="alice", seconds=0.05)
    with capture_logs() as logged:
        door.opened.set()

        async def failed() -> bool:
            return background.counts.failed == 1

        await eventually(failed, "the failure is counted")
    assert [line["task"] for line in logged] == ["slow (orphaned)"]
