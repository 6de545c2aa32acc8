"""The watchdog: how long the loop does not answer, and what held it up.

While a callback runs, no other session is served. asyncio's loop asks its selector once a round, so the time between
two of these calls is how long a round kept everybody waiting: that is measured exactly, for two clock readings a round.
A thread looks in while there are rounds, and sleeps when there are none; where a round lasts, it notes what the loop's
thread is doing, and says so in the log.

uvloop shows nobody its rounds. There a timer is due every `BEAT_SECONDS`, and how late it comes is how long it was kept
waiting, as anybody else would have been: up to that much less than the round took.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Final, Self

from offloop import logs

STALL_SECONDS: Final = 0.1
"""A round that lasts longer is a stall."""

BEAT_SECONDS: Final = STALL_SECONDS / 2
"""How often a timer is due where no rounds can be seen: in every stall at least once, in the first half of it."""

BOUNDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""Upper ends, in seconds, of the histogram's buckets; one more has what is above."""

_FRAMES: Final = 30
"""Innermost frames of a stack that are logged."""

log = logs.get(__name__)


@dataclass(slots=True)
class Lag:
    """How long the loop did not answer, round by round, or as often as it was asked, in seconds.

    Attributes:
        last: the last round.
        peak: the longest round.
        total: all rounds together.
        rounds: how many there were.
        stalls: how many of them were stalls.
        buckets: how many were up to each of `BOUNDS` and above the one before; the last, how many were above all.
    """

    last: float = 0.0
    peak: float = 0.0
    total: float = 0.0
    rounds: int = 0
    stalls: int = 0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))

    def add(self, seconds: float) -> None:
        """Count a round."""
        self.last = seconds
        self.peak = max(self.peak, seconds)
        self.total += seconds
        self.rounds += 1
        self.buckets[bisect_left(BOUNDS, seconds)] += 1


class Watchdog:
    """Watches the loop it is entered on: an async context manager.

    Attributes:
        lag: what it has measured so far.
    """

    def __init__(self) -> None:
        self.lag = Lag()
        self._selector: Any = None
        self._beat: asyncio.TimerHandle | None = None
        self._stall = STALL_SECONDS
        self._watched = 0
        self._began: float | None = None
        self._noted: tuple[float, str] | None = None
        self._told: float | None = None
        self._asleep = False
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._watched = threading.get_ident()
        self._selector = getattr(loop, "_selector", None)
        if self._selector is None:
            self._stall = STALL_SECONDS - BEAT_SECONDS  # so late it comes at least, where there is a stall
            self._wait_for_beat(loop)
        else:
            self._selector.select = self._timed(self._selector.select)
        self._thread = threading.Thread(target=self._look, name="watchdog", daemon=True)
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the thread, and leave the selector as it was. Safe to call twice."""
        self._stop.set()
        self._wake.set()
        if self._beat:
            self._beat.cancel()
        if self._thread:
            if self._selector:
                del self._selector.select
            self._thread.join()
            self._thread = None

    def _timed(self, select: Callable[..., Any]) -> Callable[..., Any]:
        def timed(timeout: float | None = None) -> Any:
            if self._began is not None:
                self._over(perf_counter() - self._began)
            ready = select(timeout)
            self._began = perf_counter()
            if self._asleep:
                self._asleep = False
                self._wake.set()
            return ready

        return timed

    def _wait_for_beat(self, loop: asyncio.AbstractEventLoop) -> None:
        """Ask for the next beat; from when it is due, the loop does not answer."""
        self._began = perf_counter() + BEAT_SECONDS
        self._beat = loop.call_later(BEAT_SECONDS, self._beats, loop)

    def _beats(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._began is not None:
            self._over(max(perf_counter() - self._began, 0.0))
        self._wait_for_beat(loop)

    def _over(self, seconds: float) -> None:
        """A round is over; called by the loop."""
        began, self._began = self._began, None
        self.lag.add(seconds)
        if seconds < self._stall:
            return
        self.lag.stalls += 1
        noted = self._noted
        stack = noted[1] if noted and noted[0] == began else "not known: nothing else could run in this process either"
        told = {} if self._told == began else {"stack": stack}
        log.warning("the loop answers again", stalled_ms=round(seconds * 1000), **told)

    def _look(self) -> None:
        """What the thread does: within every stall it looks at least once, after half of it."""
        half = self._stall / 2
        while not self._stop.wait(half + max((self._began or 0.0) - perf_counter(), 0.0)):
            began = self._began
            if began is None:
                self._sleep()
                continue
            seconds = perf_counter() - began
            if seconds >= half and not (self._noted and self._noted[0] == began):
                stack = self._stack()
                if self._began == began:  # else it shows what came after
                    self._noted = (began, stack)
            if seconds >= self._stall and self._noted and self._noted[0] == began != self._told:
                self._told = began
                log.warning("the loop does not answer", since_ms=round(seconds * 1000), stack=self._noted[1])

    def _sleep(self) -> None:
        """Wait for the next round; an idle process is not woken for nothing."""
        self._wake.clear()
        self._asleep = True
        if self._began is None and not self._stop.is_set():  # else one has begun since
            self._wake.wait()
        self._asleep = False

    def _stack(self) -> str:
        frame = sys._current_frames().get(self._watched)  # noqa: SLF001 -- the only way to see another thread's stack
        return "".join(traceback.format_stack(frame)[-_FRAMES:])
