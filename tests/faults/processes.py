"""One process of a cluster: logs to a file, ends with us, and is signalled by its own id only."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from offloop.processes.parent_death import die_with_parent_command

T = TypeVar("T")


class Process:
    """A started program.

    Args:
        name: as failures call it.
        command: what to run; its first word is an absolute path.
        environment: all of it.
        log: where its output goes.
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self.via_proxy = False
        self.address = ""
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                die_with_parent_command(command),
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self.pid = self._popen.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._popen.poll() is None

    @property
    def said(self) -> str:
        """All it has written so far."""
        return self.log.read_text(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; none where it has ended."""
        self._popen.send_signal(number)

    def kill(self) -> None:
        """End it the hard way, and wait until it is gone."""
        self._popen.kill()
        self._popen.wait()

    async def ended(self, seconds: float = 20.0) -> None:
        """Wait until it has ended.

        Raises:
            AssertionError: it has not.
        """
        await until(lambda: not self.running, f"{self.name} ends; it said:\n{self.said[-2000:]}", seconds)

    @property
    def parts(self) -> list[int]:
        """Pids of all living processes under this one; of a worker, the zygote comes first and then its children."""
        return _below(self.pid)


def alive(pid: int) -> bool:
    """Whether a process runs; a dead one that nobody has reaped does not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _below(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            found += [int(child), *_below(int(child))]
    return found


def kill_pid(pid: int) -> None:
    """End a process that a process of ours has started."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


async def until(condition: Callable[[], T], what: str, seconds: float = 15.0) -> T:
    """Ask again and again; returns the first true answer.

    Raises:
        AssertionError: there was none within `seconds`.
    """
    end = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < end, f"not within {seconds:g} s: {what} (last seen: {answer!r})"
        await asyncio.sleep(0.01)
    return answer


async def eventually(condition: Callable[[], Awaitable[T]], what: str, seconds: float = 15.0) -> T:
    """The same for a condition that is awaited."""
    end = time.monotonic() + seconds
    while not (answer := await condition()):
        assert time.monotonic() < end, f"not within {seconds:g} s: {what} (last seen: {answer!r})"
        await asyncio.sleep(0.01)
    return answer
