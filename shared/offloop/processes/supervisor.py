"""A supervisor: keeps programs running, each as a process of its own, and ends them all in bounded time.

Every program leads its own session, so that Ctrl-C on the terminal reaches only the supervising process, and hangs on a
leash (see `offloop.processes.parent_death`), so that even a SIGKILL of the supervising process leaves none of them
behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from offloop import logs
from offloop.processes.parent_death import die_with_parent_command

MISCONFIGURED = 2
"""Exit code of a program that cannot start as configured: starting it again would not help."""

FIRST_PAUSE = 0.1
LAST_PAUSE = 5.0
STEADY = 10.0
"""Seconds a program has to live for the pause before its next start to be short again."""

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Program:
    """What to keep running.

    Attributes:
        name: how log lines call it.
        command: the words of the command; the first one is an absolute path.
        environment: its variables; ``None`` hands on those of this process.
        inherited: file descriptors it keeps open.
        quiet: whether what it prints is dropped, for programs that log elsewhere.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] | None = None
    inherited: tuple[int, ...] = ()
    quiet: bool = False


class Supervisor:
    """Runs programs until it is stopped; one that ends is started again, after a pause that grows from 0.1 s to 5 s."""

    def __init__(self, programs: Iterable[Program], *, grace: float = 7.0) -> None:
        self.programs = tuple(programs)
        self.deaths: Counter[str] = Counter()
        self._grace = grace
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self._refused = asyncio.Event()
        self._refusal = ""

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of what runs now, by program name."""
        return {name: process.pid for name, process in self._processes.items()}

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def start(self) -> None:
        """Begin to run the programs; does not wait until they are useful."""
        self._tasks = [asyncio.create_task(self._keep(program), name=program.name) for program in self.programs]

    async def refused(self) -> str:
        """Wait until a program exits with `MISCONFIGURED`, having said why on standard error; returns its name."""
        await self._refused.wait()
        return self._refusal

    async def stop(self) -> None:
        """End everything within `grace` and a second: SIGTERM to all, later SIGKILL to what is left. Idempotent."""
        self._stopping.set()
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        if not self._tasks:
            return
        try:
            await asyncio.wait(self._tasks, timeout=self._grace)
            for name, pid in self.pids.items():
                _log.warning("did not end in time, killing it", process=name, pid=pid, seconds=self._grace)
        finally:  # a cancelled stop does not wait any longer, but leaves nothing behind either
            self._kill()
            await asyncio.wait(self._tasks, timeout=1.0)

    def _kill(self) -> None:
        for process in self._processes.values():
            # Not yet waited for, so neither its id nor its group's can belong to anybody else.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)

    async def _keep(self, program: Program) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            started = time.monotonic()
            ended = await self._run(program)
            if self._stopping.is_set():
                return
            self.deaths[program.name] += 1
            if ended == MISCONFIGURED:
                self._refusal = self._refusal or program.name
                self._refused.set()
                return
            pause = FIRST_PAUSE if time.monotonic() - started >= STEADY else pause
            _log.warning("ended, will start again", process=program.name, exit=_ending(ended), pause=round(pause, 1))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(pause * 2, LAST_PAUSE)

    async def _run(self, program: Program) -> int | str:
        """Run a program once; returns its exit code, or why it could not be started."""
        output = asyncio.subprocess.DEVNULL if program.quiet else None
        try:
            process = await asyncio.create_subprocess_exec(
                *die_with_parent_command(program.command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=program.environment,
                pass_fds=program.inherited,
                start_new_session=True,
            )
        except OSError as error:
            return f"cannot start: {error.strerror}"
        self._processes[program.name] = process
        if self._stopping.is_set():  # the stop came while the process was being made
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        try:
            return await process.wait()
        finally:
            del self._processes[program.name]


def _ending(ended: int | str) -> int | str:
    if isinstance(ended, int) and ended < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-ended).name
    return ended
