"""The watchdog: it measures every round, and names what held the loop up."""

from __future__ import annotations

import asyncio
import resource
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from structlog.testing import capture_logs

from offloop.processes import event_loop
from offloop_server.runtime.loop_monitor import BEAT_SECONDS, BOUNDS, STALL_SECONDS, Watchdog

pytestmark = pytest.mark.anyio
STALL = 3 * STALL_SECONDS


def block_the_loop(seconds: float) -> None:
    """What no callback should do."""
    time.sleep(seconds)


async def share_of_a_core(seconds: float) -> float:
    """How much of one this process takes while nothing happens."""
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    await asyncio.sleep(seconds)
    after, elapsed = resource.getrusage(resource.RUSAGE_SELF), time.monotonic() - began
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / elapsed


async def test_a_stall_is_logged_once_with_the_blocking_stack_and_its_length_at_the_end() -> None:
    with capture_logs() as logged:
        async with Watchdog() as watchdog:
            await asyncio.sleep(0)
            block_the_loop(STALL)
            await asyncio.sleep(0)
    begun, ended = logged
    assert begun["event"] == "the loop does not answer"
    assert "in block_the_loop" in begun["stack"]
    assert STALL_SECONDS * 1000 <= begun["since_ms"] <= ended["stalled_ms"]
    assert ended["event"] == "the loop answers again"
    assert "stack" not in ended
    assert ended["stalled_ms"] >= round(STALL * 1000)
    assert watchdog.lag.stalls == 1
    assert watchdog.lag.peak >= STALL


async def test_two_stalls_are_two_reports() -> None:
    with capture_logs() as logged:
        async with Watchdog() as watchdog:
            for _ in range(2):
                await asyncio.sleep(0)
                block_the_loop(STALL)
            await asyncio.sleep(0)
    assert watchdog.lag.stalls == 2
    assert [line["event"] for line in logged].count("the loop answers again") == 2


async def test_the_lag_is_counted_round_by_round() -> None:
    async with Watchdog() as watchdog:
        for _ in range(50):
            await asyncio.sleep(0.001)
        rounds = watchdog.lag.rounds
        block_the_loop(0.03)
        await asyncio.sleep(0)
        lag = watchdog.lag
        assert lag.rounds > rounds >= 50
        assert 0.03 <= lag.last <= lag.peak <= lag.total
        assert sum(lag.buckets) == lag.rounds
        assert len(lag.buckets) == len(BOUNDS) + 1
        assert sum(lag.buckets[3:]) >= 1


async def test_a_loop_that_waits_is_not_a_loop_that_is_blocked() -> None:
    with capture_logs() as logged:
        async with Watchdog() as watchdog:
            await asyncio.sleep(STALL)
    assert (logged, watchdog.lag.stalls) == ([], 0)


async def test_the_end_leaves_neither_thread_nor_trace() -> None:
    selector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
    async with Watchdog() as watchdog:
        assert "watchdog" in [thread.name for thread in threading.enumerate()]
        assert "select" in vars(selector)
    assert "select" not in vars(selector)
    assert "watchdog" not in [thread.name for thread in threading.enumerate()]
    await watchdog.__aexit__(None, None, None)


async def test_at_idle_it_costs_next_to_nothing() -> None:
    """0.1 % of a core is the aim, which a shared machine blurs; ten times as much would be a mistake in the code."""
    async with Watchdog():
        await asyncio.sleep(0.01)
        assert await share_of_a_core(1) < 0.01


def on_uvloop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """The same on a loop that shows nobody its rounds, as the front end runs on."""

    def run() -> None:
        pytest.importorskip("uvloop")
        event_loop.run(test())

    run.__name__ = test.__name__
    return run


@on_uvloop
async def test_a_stall_of_uvloop_is_logged_once_with_the_blocking_stack() -> None:
    with capture_logs() as logged:
        async with Watchdog() as watchdog:
            await asyncio.sleep(BEAT_SECONDS / 2)
            block_the_loop(STALL)
            await asyncio.sleep(BEAT_SECONDS / 2)
    begun, ended = logged
    assert begun["event"] == "the loop does not answer"
    assert "in block_the_loop" in begun["stack"]
    assert begun["since_ms"] <= ended["stalled_ms"]
    assert ended["event"] == "the loop answers again"
    assert "stack" not in ended
    assert ended["stalled_ms"] >= round((STALL - BEAT_SECONDS) * 1000)
    assert watchdog.lag.stalls == 1
    assert watchdog.lag.peak >= STALL - BEAT_SECONDS


@on_uvloop
async def test_the_shortest_stall_of_uvloop_is_seen_wherever_the_timer_falls_due() -> None:
    with capture_logs():
        async with Watchdog() as watchdog:
            for part in range(5):
                await asyncio.sleep(BEAT_SECONDS * (1 + part / 5))
                block_the_loop(STALL_SECONDS)
            await asyncio.sleep(BEAT_SECONDS / 2)
    assert watchdog.lag.stalls == 5


@on_uvloop
async def test_a_uvloop_that_waits_is_not_a_loop_that_is_blocked_and_is_asked_all_the_while() -> None:
    with capture_logs() as logged:
        async with Watchdog() as watchdog:
            await asyncio.sleep(STALL)
    assert (logged, watchdog.lag.stalls) == ([], 0)
    assert 1 <= watchdog.lag.rounds == sum(watchdog.lag.buckets)


@on_uvloop
async def test_the_end_leaves_uvloop_neither_thread_nor_timer() -> None:
    async with Watchdog() as watchdog:
        assert "watchdog" in [thread.name for thread in threading.enumerate()]
    assert "watchdog" not in [thread.name for thread in threading.enumerate()]
    rounds = watchdog.lag.rounds
    await asyncio.sleep(2 * BEAT_SECONDS)
    assert watchdog.lag.rounds == rounds
    await watchdog.__aexit__(None, None, None)


@on_uvloop
async def test_at_idle_it_costs_uvloop_next_to_nothing() -> None:
    async with Watchdog():
        await asyncio.sleep(0.01)
        assert await share_of_a_core(1) < 0.01
