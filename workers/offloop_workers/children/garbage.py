"""Full garbage collections of a child: rare while a task runs, until the task has taken half of its memory.

A full collection visits every object of a task. What a task makes mostly lives until its end, as the boxes and styles
of a document do, so full collections find little: they took a quarter of the time of a table of a hundred pages. The
two younger generations are collected as ever; few cycles outlive them.
"""

from __future__ import annotations

import gc
from typing import Any, Final

from offloop_workers.sandbox.kernel import Memory

_RARE: Final = 1_000
"""Collections of the second generation between two full ones, in place of 10."""


class FullCollections:
    """Full collections of this process; where the system does not report its memory, they stay as they are.

    Args:
        memory: of this process.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._usual = gc.get_threshold()
        self._rare = (*self._usual[:2], _RARE)
        self._most = 0

    def put_off(self, memory_mb: int) -> None:
        """Make them rare for one task, until the process has mapped half of the task's memory.

        `offloop_workers.children.process_state` restores threshold and callback after the task.
        """
        if used := self._memory.space():
            self._most = used + (memory_mb << 20) // 2
            gc.set_threshold(*self._rare)
            gc.callbacks.append(self._watch)

    def make_up(self) -> None:
        """Do the collection that was put off, if the usual thresholds would have required one."""
        if gc.get_count()[2] > self._usual[2]:
            gc.collect()

    def _watch(self, phase: str, info: dict[str, Any]) -> None:
        # A task that has set thresholds of its own keeps them.
        if phase == "stop" and info["generation"] and gc.get_threshold() == self._rare:
            mapped = self._memory.space()
            if not mapped or mapped > self._most:
                gc.set_threshold(*self._usual)
