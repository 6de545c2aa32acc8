"""The stall monitor: it measures lateness and names the callback that blocks, on both event loops."""

from __future__ import annotations

import asyncio
import resource
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop
from structlog.testing import capture_logs

from offloop_server.runtime.loop_monitor import BOUNDS, INTERVAL_SECONDS, LATE_SECONDS, STALL_SECONDS, Watchdog

STALL = 3 * STALL_SECONDS


def on_both_loops(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test on asyncio's loop and on uvloop, each made for it: fixtures of other tests may hold a shared one."""

    @pytest.mark.parametrize("make", [asyncio.SelectorEventLoop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
    def run(make: Callable[[], asyncio.AbstractEventLoop]) -> None:
        with asyncio.Runner(loop_factory=make) as runner:
            runner.run(test())

    return run


def block_the_loop(seconds: float) -> None:
    """Block, as no callback should."""
    time.sleep(seconds)


async def share_of_a_core(seconds: float) -> float:
    """CPU time of this process while it is idle, as a share of one core."""
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    await asyncio.sleep(seconds)
    after, elapsed = resource.getrusage(resource.RUSAGE_SELF), time.monotonic() - began
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / elapsed


async def let_the_timer_run() -> None:
    """Let an overdue timer run, and end before the next one is due."""
    await asyncio.sleep(INTERVAL_SECONDS / 2)


@on_both_loops
async def test_a_stall_is_logged_once_with_the_blocking_stack_and_its_length_at_the_end() -> None:
    with capture_logs() as logged:
        async with Watchdog() as watchdog:
            await let_the_timer_run()
            block_the_loop(STALL)
            await let_the_timer_run()
    stalled, ended = logged
    assert stalled["event"] == "event loop stalled"
    assert "in block_the_loop" in stalled["stack"]
    assert LATE_SECONDS * 1000 <= stalled["since_ms"] <= ended["stalled_ms"]
    assert ended["event"] == "event loop stall ended"
    assert "stack" not in ended
    assert ended["stalled_ms"] >= round((STALL - INTERVAL_SECONDS) * 1000)
    assert watchdog.lag.stalls == 1
    assert watchdog.lag.peak >= STALL - INTERVAL_SECONDS


@on_both_loops
async def test_two_stalls_are_two_reports() -> None:
    with capture_logs() as logged:
        async with Watchdog() as watchdog:
            for _ in range(2):
                await let_the_timer_run()
                block_the_loop(STALL)
            await let_the_timer_run()
    assert watchdog.lag.stalls == 2
    assert [line["event"] for line in logged].count("event loop stall ended") == 2


@on_both_loops
async def test_the_shortest_stall_is_seen_wherever_the_timer_falls_due() -> None:
    with capture_logs():
        async with Watchdog() as watchdog:
            for part in range(5):
                await asyncio.sleep(INTERVAL_SECONDS * (1 + part / 5))
                block_the_loop(STALL_SECONDS)
            await let_the_timer_run()
    assert watchdog.lag.stalls == 5


@on_both_loops
async def test_lateness_is_counted_in_a_histogram() -> None:
    async with Watchdog() as watchdog:
        await asyncio.sleep(3 * INTERVAL_SECONDS)
        lag = watchdog.lag
        before = lag.count
        assert before >= 2
        block_the_loop(INTERVAL_SECONDS + 0.03)
        await asyncio.sleep(0.001)
        assert lag.count > before
        assert 0.03 <= lag.last <= lag.peak <= lag.total
        assert sum(lag.buckets) == lag.count
        assert len(lag.buckets) == len(BOUNDS) + 1
        assert sum(lag.buckets[4:]) >= 1


@on_both_loops
async def test_a_loop_that_waits_is_measured_and_is_not_stalled() -> None:
    with capture_logs() as logged:
        async with Watchdog() as watchdog:
            await asyncio.sleep(STALL)
    assert (logged, watchdog.lag.stalls) == ([], 0)
    assert 1 <= watchdog.lag.count == sum(watchdog.lag.buckets)


@on_both_loops
async def test_the_end_leaves_neither_thread_nor_timer() -> None:
    async with Watchdog() as watchdog:
        assert "watchdog" in [thread.name for thread in threading.enumerate()]
    assert "watchdog" not in [thread.name for thread in threading.enumerate()]
    count = watchdog.lag.count
    await asyncio.sleep(2 * INTERVAL_SECONDS)
    assert watchdog.lag.count == count
    await watchdog.__aexit__(None, None, None)


@on_both_loops
async def test_an_idle_monitor_costs_next_to_nothing() -> None:
    """0.1 % of a core is the aim, which a shared machine blurs; ten times as much would be a mistake in the code."""
    async with Watchdog():
        await asyncio.sleep(0.01)
        assert await share_of_a_core(1) < 0.01
