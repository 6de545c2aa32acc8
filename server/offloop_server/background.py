"""Every asyncio task that outlives the answer it began in: named, referenced, failures logged, drained at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Self

from offloop import logs

log = logs.get(__name__)


class Background:
    """The background tasks of a front end: an async context manager that ends them all.

    Args:
        grace: seconds that finite tasks may go on after the block ends.
    """

    def __init__(self, grace: float) -> None:
        """No task yet."""
        self._grace = grace
        self._endless: set[asyncio.Task[Any]] = set()
        self._finite: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Cancel the endless tasks, let the finite ones end in time, cancel the rest."""
        for task in self._endless:
            task.cancel()
        if self._finite:
            await asyncio.wait(self._finite, timeout=self._grace)
        left = self._endless | self._finite
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)

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
        task.add_done_callback(_log_failure)
        return task


def _log_failure(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("background task failed", task=task.get_name(), exc_info=error)
