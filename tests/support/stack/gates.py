"""Gates: a test holds a job in the middle of its run and releases it, without sleeping."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from support.processes import alive
from support.waiting import SECONDS


class Gate:
    """The `gate` argument of the jobs ``hold``, ``hold_again`` and ``spin`` of the stack."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.argument = str(path)

    @property
    def pids(self) -> list[int]:
        """Process ids of all executions so far."""
        runs = Path(f"{self._path}.runs")
        return [int(line) for line in runs.read_text().split()] if runs.exists() else []

    @property
    def running(self) -> list[int]:
        """Process ids of the executions that still run."""
        return [pid for pid in self.pids if alive(pid)]

    def open(self) -> None:
        """Release all jobs, including later ones."""
        self._path.touch()

    async def entered(self, times: int = 1) -> int:
        """Wait until that many executions have begun; returns the last one's process id.

        Raises:
            AssertionError: fewer began in time.
        """
        end = time.monotonic() + SECONDS
        while len(self.pids) < times:
            assert time.monotonic() < end, f"{len(self.pids)} of {times} executions began within {SECONDS:g} s"
            await asyncio.sleep(0.02)
        return self.pids[times - 1]
