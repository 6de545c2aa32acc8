"""Background tasks: every asyncio task that outlives its call is named, referenced, counted and drained at shutdown.

No other module of the front end creates a task outside a ``TaskGroup``; a test enforces that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Self

from offloop import logs

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Counts:
    """Counters of background tasks since start-up.

    Attributes:
        running: tasks that have not ended, loops included.
        finished: tasks that returned.
        failed: tasks that raised.
        cancelled: tasks that were cancelled.
    """

    running: int
    finished: int
    failed: int
    cancelled: int


class Background:
    """The background tasks of a front end: an async context manager that ends all of them.

    Args:
        grace: seconds that finite tasks have to end at shutdown.
    """

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._endless: set[asyncio.Task[Any]] = set()
        self._finite: set[asyncio.Task[Any]] = set()
        self._finished = self._failed = self._cancelled = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Cancel the endless tasks, wait for the finite ones within the grace period, cancel the rest."""
        for task in self._endless:
            task.cancel()
        if self._finite:
            await asyncio.wait(self._finite, timeout=self._grace)
        for task in self._finite:
            log.warning("background task cancelled at shutdown", task=task.get_name(), grace=self._grace)
        left = self._endless | self._finite
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)

    @property
    def counts(self) -> Counts:
        """The counters now."""
        running = len(self._endless) + len(self._finite)
        return Counts(running, self._finished, self._failed, self._cancelled)

    @property
    def names(self) -> list[str]:
        """Names of the running tasks, sorted."""
        return sorted(task.get_name() for task in self._endless | self._finite)

    def start(self, work: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        """Start an endless task; it runs until it is cancelled, or the front end stops."""
        return self._track(work, name, self._endless)

    def spawn(self, work: Coroutine[Any, Any, Any], *, name: str) -> None:
        """Start a finite task whose result is not awaited."""
        _ = self._track(work, name, self._finite)

    def _track(self, work: Coroutine[Any, Any, Any], name: str, tasks: set[asyncio.Task[Any]]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work, name=name)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            self._cancelled += 1
        elif error := task.exception():
            self._failed += 1
            log.error("background task failed", task=task.get_name(), exc_info=error)
        else:
            self._finished += 1
