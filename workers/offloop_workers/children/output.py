"""What a child prints: lines of the worker's log, up to a bound for each job, and a count of the rest.

The worker reads it between other things, so that no job and no library in one can flood the log. Beyond the bound it
looks only now and then and throws away what has come: who prints without end waits at a full pipe most of the time,
never for good, and takes next to nothing from the worker's loop.
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
_MORE: Final = 1 << 20  # bytes that it holds once they are thrown away: as many as any user may ask for
_LOOK_SECONDS: Final = 0.01
_STDERR: Final = 2

log = logs.get(__name__)


class Prints:
    """A pipe for the streams of one child; belongs to the running loop.

    Attributes:
        writing: the descriptor for the child; whoever has handed it over calls `handed_over`.
    """

    def __init__(self) -> None:
        self._reading, self.writing = os.pipe()
        os.set_blocking(self._reading, False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._reading, self._read)
        self._looking: asyncio.TimerHandle | None = None
        self._job_id = ""
        self._begun = b""
        self._kept = self._dropped = 0

    def handed_over(self) -> None:
        """Close the worker's copy of the child's end, so that the pipe ends with those who write."""
        os.close(self.writing)
        self.writing = -1

    def begin(self, job_id: str) -> None:
        """What comes from here on is this job's."""
        self._job_id = job_id

    def end(self) -> None:
        """The job has ended: write the rest of what it printed, and say what was left out."""
        if not self._kept:
            return
        # What it had written before it answered is in the pipe at most; what still writes is ended with the job.
        for _ in range(_MORE // _PIECE):
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
        if self._looking:
            self._looking.cancel()
            self._looking = None
            self._loop.add_reader(self._reading, self._read)
        self._begun, self._kept, self._dropped = b"", 0, 0

    def close(self) -> None:
        """The child has ended. Safe to call twice."""
        if self._reading < 0:
            return
        self._take(_PIECE)  # the last words of one that crashed
        self.end()
        self._loop.remove_reader(self._reading)
        os.close(self._reading)
        if self.writing >= 0:
            self.handed_over()
        self._reading = -1

    def _read(self) -> None:
        if self._take(_PIECE) == 0:
            self._loop.remove_reader(self._reading)  # nobody can write any more
        elif self._dropped:
            self._loop.remove_reader(self._reading)
            with contextlib.suppress(OSError, AttributeError):
                fcntl.fcntl(self._reading, fcntl.F_SETPIPE_SZ, _MORE)
            self._look()

    def _look(self) -> None:
        self._take(_MORE)
        self._looking = self._loop.call_later(_LOOK_SECONDS, self._look)

    def _take(self, most: int) -> int | None:
        """Read once; answers how many bytes there were: 0 at the end, nothing where there are none now."""
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
    """To standard error, past Python's own stream: what a child prints may be no text."""
    with contextlib.suppress(OSError):
        while lines:
            lines = lines[os.write(_STDERR, lines) :]
