"""Process supervisor: keeps programs running and stops them all in bounded time.

Every program leads its own session, so that Ctrl-C on the terminal reaches only the supervisor. Every program dies with
the supervisor (see `offloop.processes.parent_death`), so that SIGKILL of the supervisor leaves no orphan.
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
"""Exit code of a program that cannot start as configured; it is not restarted."""

FIRST_PAUSE = 0.1
LAST_PAUSE = 5.0
STEADY = 10.0
"""Uptime, in seconds, that resets the restart pause."""

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Program:
    """A program to keep running.

    Attributes:
        name: name in log lines.
        command: the command; its first word is an absolute path.
        environment: environment variables; ``None`` inherits those of this process.
        inherited: file descriptors to inherit.
        quiet: discard standard output and error, for programs that log elsewhere.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] | None = None
    inherited: tuple[int, ...] = ()
    quiet: bool = False


class Supervisor:
    """Runs programs until stopped; restarts one that ends, with exponential backoff from 0.1 s to 5 s."""

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
        """Process ids of the running programs, by name."""
        return {name: process.pid for name, process in self._processes.items()}

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def start(self) -> None:
        """Start the programs; does not wait for their readiness."""
        self._tasks = [asyncio.create_task(self._keep(program), name=program.name) for program in self.programs]

    async def refused(self) -> str:
        """Wait until a program exits with `MISCONFIGURED`; returns its name. Its standard error has the reason."""
        await self._refused.wait()
        return self._refusal

    async def stop(self) -> None:
        """Stop all within `grace` and a second: SIGTERM, then SIGKILL to the rest. Idempotent."""
        self._stopping.set()
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        if not self._tasks:
            return
        try:
            await asyncio.wait(self._tasks, timeout=self._grace)
            for name, pid in self.pids.items():
                _log.warning(
                    "program did not stop in time, sending SIGKILL", process=name, pid=pid, seconds=self._grace
                )
        finally:  # a cancelled stop no longer waits, but still kills
            self._kill()
            await asyncio.wait(self._tasks, timeout=1.0)

    def _kill(self) -> None:
        for process in self._processes.values():
            # Not yet reaped, so its process id and group id cannot have been reused.
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
            _log.warning("program ended, restarting", process=program.name, exit=_ending(ended), pause=round(pause, 1))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(pause * 2, LAST_PAUSE)

    async def _run(self, program: Program) -> int | str:
        """Run a program once; returns its exit code, or the reason it could not be started."""
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
        if self._stopping.is_set():  # stopped while the process was starting
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
