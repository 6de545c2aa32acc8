"""Gates: how a test holds a job in the middle and lets it go, without guessing times."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from support.processes import alive
from support.waiting import SECONDS


class Gate:
    """What the jobs ``hold``, ``hold_again`` and ``spin`` of the stack take as `gate`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.argument = str(path)

    @property
    def pids(self) -> list[int]:
        """The process of each execution so far."""
        runs = Path(f"{self._path}.runs")
        return [int(line) for line in runs.read_text().split()] if runs.exists() else []

    @property
    def running(self) -> list[int]:
        """Those that still live and may be waiting inside."""
        return [pid for pid in self.pids if alive(pid)]

    def open(self) -> None:
        """Let every job through, the later ones too."""
        self._path.touch()

    async def entered(self, times: int = 1) -> int:
        """Wait until that many executions have begun; answers the last one's process.

        Raises:
            AssertionError: they did not.
        """
        end = time.monotonic() + SECONDS
        while len(self.pids) < times:
            assert time.monotonic() < end, f"{len(self.pids)} of {times} executions began within {SECONDS:g} s"
            await asyncio.sleep(0.02)
        return self.pids[times - 1]
