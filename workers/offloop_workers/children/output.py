"""Output of children: their standard streams as lines of the worker's log, capped for each job.

The worker's loop reads the pipes, so that no job and no library in one can flood the log. Past the cap a pipe is
drained only 100 times a second: backpressure without a deadlock, at next to no cost for the loop. What is dropped is
counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from typing import Final

from offloop import logs

LOG_BYTES: Final = 1 << 20
"""Bytes of one job that reach the log."""

_PIECE: Final = 1 << 16  # bytes that a pipe holds
_DRAINED_PIECE: Final = 1 << 20  # bytes that it holds once it is drained: as many as any user may ask for
_DRAIN_SECONDS: Final = 0.01
_STDERR: Final = 2

log = logs.get(__name__)


class OutputPipe:
    """A pipe for the streams of one child; belongs to the running loop.

    Attributes:
        writing: the descriptor for the child; once the child has it, call `close_writing`.
    """

    def __init__(self) -> None:
        self._reading, self.writing = os.pipe()
        os.set_blocking(self._reading, False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._reading, self._read)
        self._draining: asyncio.TimerHandle | None = None
        self._job_id = ""
        self._begun = b""
        self._kept = self._dropped = 0

    def close_writing(self) -> None:
        """Close the worker's copy of the child's end, so that the pipe ends with its last writer."""
        os.close(self.writing)
        self.writing = -1

    def begin(self, job_id: str) -> None:
        """Count the output that follows for this job."""
        self._job_id = job_id

    def end(self) -> None:
        """Write the rest of the job's output, and log how much was dropped."""
        if not self._kept:
            return
        # What it had written before it answered is in the pipe at most; what still writes is ended with the job.
        for _ in range(_DRAINED_PIECE // _PIECE):
            if not self._take(_PIECE):
                break
        if self._begun:
            _write(self._begun + b"\n")
        if self._dropped:
            log.warning(
                "a job printed more than the log takes, the rest was dropped",
                job_id=self._job_id,
                kept=self._kept,
                dropped=self._dropped,
            )
        if self._draining:
            self._draining.cancel()
            self._draining = None
            self._loop.add_reader(self._reading, self._read)
        self._begun, self._kept, self._dropped = b"", 0, 0

    def close(self) -> None:
        """Write what is left in the pipe, and close it. Safe to call twice."""
        if self._reading < 0:
            return
        self._take(_PIECE)  # the last lines of a crash
        self.end()
        self._loop.remove_reader(self._reading)
        os.close(self._reading)
        if self.writing >= 0:
            self.close_writing()
        self._reading = -1

    def _read(self) -> None:
        if self._take(_PIECE) == 0:
            self._loop.remove_reader(self._reading)  # the last writer is gone
        elif self._dropped:
            self._loop.remove_reader(self._reading)
            with contextlib.suppress(OSError, AttributeError):
                fcntl.fcntl(self._reading, fcntl.F_SETPIPE_SZ, _DRAINED_PIECE)
            self._drain()

    def _drain(self) -> None:
        self._take(_DRAINED_PIECE)
        self._draining = self._loop.call_later(_DRAIN_SECONDS, self._drain)

    def _take(self, most: int) -> int | None:
        """Read once; answers the number of bytes: 0 at the end, None where there are none now."""
        try:
            found = os.read(self._reading, most)
        except BlockingIOError:
            return None
        kept = found[: LOG_BYTES - self._kept]
        self._kept += len(kept)
        self._dropped += len(found) - len(kept)
        # Whole lines only: those of other children come in between.
        lines, end, self._begun = (self._begun + kept).rpartition(b"\n")
        _write(lines + end)
        return len(found)


def _write(lines: bytes) -> None:
    """Write to standard error, past Python's own stream: the output of a child need not be text."""
    with contextlib.suppress(OSError):
        while lines:
            lines = lines[os.write(_STDERR, lines) :]
