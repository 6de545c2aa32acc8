"""Full garbage collections of a child: rare while a task runs, until the task has taken half of its memory.

A full collection visits every object of a task. What a task makes mostly lives until its end, as the boxes and styles
of a document do, so full collections find little: they took a quarter of the time of a table of a hundred pages. The
two younger generations are collected as ever; few cycles outlive them.
"""

from __future__ import annotations

import contextlib
import gc
import os
from typing import Any, Final

_RARE: Final = 1_000
"""Collections of the second generation between two full ones, in place of 10."""

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class FullCollections:
    """Full collections of this process; where the system does not report its memory, they stay as they are."""

    def __init__(self) -> None:
        self._usual = gc.get_threshold()
        self._rare = (*self._usual[:2], _RARE)
        self._most = 0
        self._statm = -1
        with contextlib.suppress(OSError):
            self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)

    def put_off(self, memory_mb: int) -> None:
        """Make them rare for one task, until the process has mapped half of the task's memory.

        `offloop_workers.children.process_state` restores threshold and callback after the task.
        """
        if used := self._mapped():
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
            mapped = self._mapped()
            if not mapped or mapped > self._most:
                gc.set_threshold(*self._usual)

    def _mapped(self) -> int:
        """Bytes of address space, which is what the limit counts; 0 where they are unknown."""
        try:
            return int(os.pread(self._statm, 100, 0).split()[0]) * _PAGE
        except (OSError, ValueError, IndexError):  # a job may have closed the descriptor, or replaced it
            return 0
