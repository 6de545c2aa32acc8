"""Event-loop stall monitor: measures how long callbacks block the loop, and logs the stack of what blocks it.

While a callback runs, no other session is served. A timer is due every `INTERVAL_SECONDS`. Its lateness is the delay
that any other callback would have had: up to one interval less than the loop was blocked. While the timer is overdue, a
thread samples the stack of the loop's thread and logs it.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from bisect import bisect_left
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final, Self

from offloop import logs

STALL_SECONDS: Final = 0.1
"""A loop that is blocked for longer is stalled."""

INTERVAL_SECONDS: Final = STALL_SECONDS / 2
"""Period of the timer: it falls due at least once in the first half of every stall."""

LATE_SECONDS: Final = STALL_SECONDS - INTERVAL_SECONDS
"""Least lateness of the timer in a stall."""

BOUNDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""Upper bounds, in seconds, of the histogram's buckets; one more bucket has the values above."""

_FRAMES: Final = 30
"""Innermost frames of a stack that are logged."""

log = logs.get(__name__)


@dataclass(slots=True)
class Lag:
    """Lateness of the timer, in seconds.

    Attributes:
        last: the last measurement.
        peak: the highest measurement.
        total: the sum of all measurements.
        count: the number of measurements.
        stalls: the number of stalls.
        buckets: a histogram: measurements up to each of `BOUNDS` and above the one before; the last, above all.
    """

    last: float = 0.0
    peak: float = 0.0
    total: float = 0.0
    count: int = 0
    stalls: int = 0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))

    def add(self, seconds: float) -> None:
        """Count a measurement."""
        self.last = seconds
        self.peak = max(self.peak, seconds)
        self.total += seconds
        self.count += 1
        self.stalls += seconds >= LATE_SECONDS
        self.buckets[bisect_left(BOUNDS, seconds)] += 1


@dataclass(slots=True)
class _Sample:
    """The stack of the loop's thread in one stall.

    Attributes:
        due: the deadline of the timer that was overdue.
        stack: the formatted stack.
        logged: whether the stack has been logged.
    """

    due: float
    stack: str
    logged: bool = False


class Watchdog:
    """Monitors the loop on which it is entered: an async context manager.

    Attributes:
        lag: the measurements so far.
    """

    def __init__(self) -> None:
        self.lag = Lag()
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._loop_thread = 0
        self._sample: _Sample | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    async def __aenter__(self) -> Self:
        self._loop_thread = threading.get_ident()
        self._schedule(asyncio.get_running_loop())
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the timer and the thread. Safe to call twice."""
        self._stop.set()
        if self._timer:
            self._timer.cancel()
        self._thread.join()

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = perf_counter() + INTERVAL_SECONDS
        self._timer = loop.call_later(INTERVAL_SECONDS, self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        late = max(perf_counter() - self._due, 0.0)
        self.lag.add(late)
        if late >= LATE_SECONDS:
            self._report(late)
        self._schedule(loop)

    def _report(self, late: float) -> None:
        sample = self._sample_of(self._due) or _Sample(self._due, "unknown: no other thread of this process could run")
        stack = {} if sample.logged else {"stack": sample.stack}
        log.warning("event loop stall ended", stalled_ms=round(late * 1000), **stack)

    def _sample_of(self, due: float) -> _Sample | None:
        return self._sample if self._sample and self._sample.due == due else None

    def _watch(self) -> None:
        """The thread: within every stall it wakes at least once, after half of the least lateness."""
        half = LATE_SECONDS / 2
        while not self._stop.wait(half + max(self._due - perf_counter(), 0.0)):
            due = self._due
            late = perf_counter() - due
            if late >= half and not self._sample_of(due):
                stack = self._stack()
                if self._due == due:  # else the stall has ended, and the stack shows a later callback
                    self._sample = _Sample(due, stack)
            if late >= LATE_SECONDS and (sample := self._sample_of(due)) and not sample.logged:
                sample.logged = True
                log.warning("event loop stalled", since_ms=round(late * 1000), stack=sample.stack)

    def _stack(self) -> str:
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001 -- no public way to another thread's stack
        return "".join(traceback.format_stack(frame)[-_FRAMES:])
