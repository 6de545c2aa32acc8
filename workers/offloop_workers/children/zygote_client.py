"""The worker's side of the zygote: starts it, orders forks and kills, and receives how children ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from offloop_workers.children import zygote
from offloop_workers.children.frames import FrameStream
from offloop_workers.children.output import OutputPipe
from offloop_workers.sandbox import policy

START_SECONDS: Final = 60.0
"""Most time a zygote may take to load everything; measured 1.5 s with all shipped families."""

_EXIT_SECONDS: Final = 1.0


class ZygoteError(RuntimeError):
    """The zygote did not start or has died; its own words are in the log."""


@dataclass(slots=True, eq=False)
class ChildProcess:
    """One child.

    Attributes:
        stream: its socket.
        output: its standard output and error.
        forked: done when its pid is known.
        ended: its exit code, or the negative number of the signal that killed it.
        pid: 0 before it is forked.
        tasks: how many it has done.
        over_disk_limit: it is killed for the files of its task.
    """

    stream: FrameStream
    output: OutputPipe
    forked: asyncio.Future[None]
    ended: asyncio.Future[int]
    pid: int = 0
    tasks: int = 0
    over_disk_limit: bool = False


class ZygoteClient:
    """Starts and controls one zygote at a time; its messages are described in `offloop_workers.children.zygote`.

    Args:
        queues: what the zygote warms up for.
        temporary: the folder for temporary files of zygote and children.
        on_fork: called with each child as soon as it has a pid.
        on_exit: called with the pid and exit code of each child that has ended.
    """

    def __init__(
        self,
        queues: tuple[str, ...],
        temporary: Path,
        *,
        on_fork: Callable[[ChildProcess], object],
        on_exit: Callable[[int, int], object],
    ) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.control: socket.socket | None = None
        self._queues = queues
        self._temporary = temporary
        self._on_fork = on_fork
        self._on_exit = on_exit
        self._forking: deque[ChildProcess] = deque()

    async def start(self) -> None:
        """Start a zygote, and wait until it can fork.

        Raises:
            ZygoteError: it did not become ready; the log says why.
        """
        ours, theirs = socket.socketpair()
        ours.settimeout(0)
        with theirs:
            module = "offloop_workers.children.zygote"
            arguments = [str(theirs.fileno()), str(os.getpid()), ",".join(self._queues)]
            environment = {**policy.environment(os.environ), "TMPDIR": str(self._temporary)}
            self.process = subprocess.Popen(  # noqa: ASYNC220, S603 -- takes a millisecond, our own module
                [sys.executable, "-m", module, *arguments],
                env=environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        self.control = ours
        try:
            async with asyncio.timeout(START_SECONDS):
                await self.message()
        except (TimeoutError, EOFError, OSError) as error:
            self.stop()
            message = f"the children's zygote did not start ({type(error).__name__}); the lines above say why"
            raise ZygoteError(message) from error

    def stop(self) -> None:
        """End the zygote, and with it all its children. Safe to call twice."""
        while self._forking:
            child = self._forking.popleft()
            child.stream.close()
            child.output.close()
            child.forked.cancel()
        if self.control:
            self.control.close()
            self.control = None
        if self.process:
            # It ends by itself once its socket is closed, and ends all that jobs have started before.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_EXIT_SECONDS)
            self.process.kill()
            self.process.wait()
            self.process = None

    async def fork(self) -> ChildProcess:
        """Have a child forked, and wait for its pid.

        Raises:
            ZygoteError: there is no zygote, or it has died.
        """
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with theirs:
            _, stream = await loop.create_connection(FrameStream, sock=ours)
            if self.control is None:
                stream.close()
                message = "there is no zygote"
                raise ZygoteError(message)
            child = ChildProcess(stream, OutputPipe(), loop.create_future(), loop.create_future())
            self._forking.append(child)
            ends = [theirs.fileno(), child.output.writing]
            socket.send_fds(self.control, [zygote.MESSAGE.pack(b"F", 0, 0)], ends)
            child.output.close_writing()
        await child.forked
        return child

    def kill(self, pid: int) -> None:
        """Have a child killed; one that has ended already is not touched."""
        if self.control:
            with contextlib.suppress(OSError):
                self.control.send(zygote.MESSAGE.pack(b"K", pid, 0))

    async def listen(self) -> None:
        """Receive forks and exits until the zygote is gone."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                what, pid, status = await self.message()
                if what == b"P":
                    # Known from here on: the very next message may already report its death.
                    child = self._forking.popleft()
                    child.pid = pid
                    self._on_fork(child)
                    if not child.forked.done():
                        child.forked.set_result(None)
                else:
                    self._on_exit(pid, status)
        for child in self._forking:
            if not child.forked.done():
                child.forked.set_exception(ZygoteError("the zygote died"))

    async def message(self) -> tuple[bytes, int, int]:
        """The zygote's next message: letter, pid, status.

        Raises:
            EOFError: the zygote is gone.
        """
        loop = asyncio.get_running_loop()
        if self.control is None:
            raise EOFError
        data = b""
        while len(data) < zygote.MESSAGE.size:
            piece = await loop.sock_recv(self.control, zygote.MESSAGE.size - len(data))
            if not piece:
                raise EOFError
            data += piece
        what, pid, status = zygote.MESSAGE.unpack(data)
        return what, pid, status
