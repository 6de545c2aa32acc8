"""Every asyncio task that outlives the answer it began in: named, referenced, counted, drained at the end.

Nothing else in the front end makes a task outside a ``TaskGroup``; a test holds that.
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
    """The tasks of a front end since its start.

    Attributes:
        running: those that have not ended, loops included.
        finished: those that ended by themselves.
        failed: those that raised.
        cancelled: those that were stopped.
    """

    running: int
    finished: int
    failed: int
    cancelled: int


class Background:
    """The background tasks of a front end: an async context manager that ends them all.

    Args:
        grace: seconds that finite tasks may go on after the block ends.
    """

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._endless: set[asyncio.Task[Any]] = set()
        self._finite: set[asyncio.Task[Any]] = set()
        self._finished = self._failed = self._cancelled = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Cancel the endless tasks, let the finite ones end in time, cancel the rest."""
        for task in self._endless:
            task.cancel()
        if self._finite:
            await asyncio.wait(self._finite, timeout=self._grace)
        for task in self._finite:
            log.warning("a background task is cut short", task=task.get_name(), grace=self._grace)
        left = self._endless | self._finite
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)

    @property
    def counts(self) -> Counts:
        """How many there are, and what became of the others."""
        running = len(self._endless) + len(self._finite)
        return Counts(running, self._finished, self._failed, self._cancelled)

    @property
    def names(self) -> list[str]:
        """The names of those that run, sorted."""
        return sorted(task.get_name() for task in self._endless | self._finite)

    def start(self, work: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        """Run a loop that goes on until it is cancelled, or the front end stops."""
        return self._keep(work, name, self._endless)

    def hand_over(self, work: Coroutine[Any, Any, Any], *, name: str) -> None:
        """Run something that ends by itself and whose result nobody waits for."""
        _ = self._keep(work, name, self._finite)

    def _keep(self, work: Coroutine[Any, Any, Any], name: str, tasks: set[asyncio.Task[Any]]) -> asyncio.Task[Any]:
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
