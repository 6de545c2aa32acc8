"""Child processes for the CPU work: warm, one task at a time, killable at any moment, gone when the worker is.

`Children` keeps one child ready for each slot. They are forked from a `zygote` in which everything heavy has run once,
so that a new one costs milliseconds. A child that was killed, crashed, ran out of memory, served a ``fork`` kind, has
grown, could not be put back as it was, or did `MAX_TASKS` tasks is replaced. Nothing is shared between children but the
zygote's read-only pages.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from offloop import logs
from offloop.errors import Crashed, JobError, LimitExceeded
from offloop.kinds.kind import Kind
from offloop.queue.record import Progress
from offloop_workers.children import disk_usage, frames, zygote
from offloop_workers.children.idle import Idle
from offloop_workers.children.output import Prints
from offloop_workers.sandbox import kernel, landlock, policy

if TYPE_CHECKING:
    from offloop_workers.children.fetching import Errand

MAX_TASKS: Final = 10_000
"""Tasks after which a reused child is replaced; one that has grown leaves before, see
`offloop_workers.children.process_state`."""

START_SECONDS: Final = 60.0
"""Most time a zygote may take to load everything; measured 1.5 s with all shipped families."""

_FAREWELL_SECONDS: Final = 1.0

log = logs.get(__name__)


class ZygoteError(RuntimeError):
    """The zygote did not start or has died; its own words are in the log."""


class _NeverBegunError(Exception):
    """The child has left without reading its task."""


@dataclass(slots=True, eq=False)
class _Child:
    line: frames.FrameStream
    prints: Prints
    forked: asyncio.Future[None]
    ended: asyncio.Future[int]
    pid: int = 0
    tasks: int = 0
    full: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """One attempt, as a child gets it.

    Attributes:
        kind: what to do.
        job_id: for the job's own use and the log.
        attempt: number of this execution.
        input: the validated input, as plain data.
        folder: a path that does not exist yet; the child makes it and the caller deletes it.
        inputs: local paths of the artifacts and URLs that the input names, by their reference.
        errand: fetches what the work asks for while it runs.
        spent: seconds of the kind's limit that are used up already.
    """

    kind: Kind[Any, Any]
    job_id: str
    attempt: int
    input: dict[str, Any]
    folder: str
    inputs: dict[str, str]
    errand: Errand | None = None
    spent: float = 0


class Children:
    """The children of one worker: an async context manager.

    Args:
        slots: how many tasks run at once; with none, no process is started.
        queues: what the zygote warms up for.
        temporary: a folder in which each child has one of its own, for what libraries leave behind.
    """

    def __init__(self, slots: int, queues: tuple[str, ...], temporary: Path) -> None:
        self._slots = slots
        self._queues = queues
        self._temporary = temporary
        self._tidying: set[asyncio.Task[None]] = set()
        self._idle: Idle[_Child] = Idle()
        self._all: dict[int, _Child] = {}
        self._forking: deque[_Child] = deque()
        self._busy: dict[int, Task] = {}
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        self._closed = False

    async def __aenter__(self) -> Self:
        """Start the zygote and the first children.

        Raises:
            ZygoteError: it did not become ready; the log says why.
        """
        if not self._slots:
            return self
        self._temporary.mkdir(mode=0o700)
        if landlock.version() < landlock.SHUTS_OUT_SINCE:
            kernel.hide()
        await self._start_zygote()
        self._keeper = asyncio.create_task(self._keep(), name="children")
        self._watcher = asyncio.create_task(self._watch_disk(), name="disk")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Kill what is left, at once. Safe to call twice."""
        self._closed = True
        for task in filter(None, (self._keeper, self._watcher)):
            task.cancel()
            await asyncio.wait([task])
        self._stop_zygote()
        for child in list(self._all.values()):
            self._forget(child, -signal.SIGKILL)
        for child in self._idle.empty():
            child.line.close()

    async def run(self, task: Task, on_progress: Callable[[Progress], None]) -> dict[str, Any]:
        """Run a task in the next free child and answer what it has done: ``{output, warnings, artifacts}``.

        A cancellation kills the child and is raised only when the child is gone.

        Raises:
            JobError: the work failed in a foreseen way, or a limit was met.
            Crashed: the child died of itself.
        """
        while True:
            child = await self._next(unused=task.kind.isolation == "fork")
            try:
                return await self._run_in(child, task, on_progress)
            except _NeverBegunError:
                log.debug("a child left before it read its task, another does it", job_id=task.job_id)

    async def _run_in(self, child: _Child, task: Task, on_progress: Callable[[Progress], None]) -> dict[str, Any]:
        reply: dict[str, Any] | None = None
        self._busy[child.pid] = task
        child.prints.begin(task.job_id)
        try:
            async with asyncio.timeout(task.kind.limits.seconds - task.spent):
                reply = await self._converse(child, task, on_progress)
        except TimeoutError:
            raise overdue(task.kind) from None
        except (EOFError, ConnectionError, frames.OversizedError):
            code = await self._kill(child)
            if child.full:
                raise LimitExceeded(_full(task)) from None
            raise Crashed(_epitaph(task, code)) from None
        finally:
            self._busy.pop(child.pid, None)
            if reply is None:
                await asyncio.shield(self._kill(child))
                child.line.close()
            else:
                self._after(child, task, reply)
        if "failed" in reply:
            if "traceback" in reply:
                log.error("job failed unexpectedly", job_id=task.job_id, traceback=reply["traceback"])
            failed = reply["failed"]
            raise JobError(failed["message"], code=failed["code"], retryable=failed["retryable"])
        done: dict[str, Any] = reply["done"]
        return done

    async def _converse(self, child: _Child, task: Task, on_progress: Callable[[Progress], None]) -> dict[str, Any]:
        frame = {
            "kind": task.kind.name,
            "job_id": task.job_id,
            "attempt": task.attempt,
            "input": task.input,
            "folder": task.folder,
            "fetched": f"{task.folder.rpartition('/')[0]}/fetched",
            "inputs": task.inputs,
            "limits": task.kind.limits.values(),
            "last": task.kind.isolation == "fork",
        }
        try:
            child.line.write(frame)
            message = await child.line.read()
        except ConnectionError:
            # A socket is reset where it is closed with something unread in it, and ends quietly where all was read.
            if child.tasks:
                raise _NeverBegunError from None
            raise  # one that has done nothing yet would be followed by others that leave at once
        while True:
            match message:
                case {"progress": told}:
                    on_progress(Progress(told["done"], told["total"], told["message"]))
                case {"fetch": url} if task.errand:
                    child.line.write(await task.errand.answer(url))
                case _:
                    return message
            message = await child.line.read()

    def _after(self, child: _Child, task: Task, reply: dict[str, Any]) -> None:
        child.tasks += 1
        child.prints.end()
        if task.kind.isolation == "fork" or reply.get("retire") or child.tasks >= MAX_TASKS:
            self._retire(child)
        else:
            self._idle.put(child)

    def _retire(self, child: _Child) -> None:
        child.line.close()  # the child reads the end of its socket and leaves
        self._order(b"K", child.pid)
        self._forget(child, 0)

    async def _next(self, *, unused: bool) -> _Child:
        while True:
            child = await self._idle.take(unused=unused)
            if child.pid not in self._all or child.ended.done() or child.line.over:
                child.line.close()
            elif unused and child.tasks:
                self._retire(child)  # it has given up what this kind may need; another is forked in its place
            else:
                return child

    async def _kill(self, child: _Child) -> int:
        """Kill a child and wait until it is gone; answers how it ended (negative: by that signal)."""
        if not child.ended.done():
            self._order(b"K", child.pid)
        return await child.ended

    def _forget(self, child: _Child, code: int) -> None:
        child.line.close()
        self._ended(child, code)

    def _ended(self, child: _Child, code: int) -> None:
        # Its socket stays open: the answer of a child that ends with it may not have been read yet.
        child.prints.close()
        if not child.ended.done():
            child.ended.set_result(code)
        if self._all.pop(child.pid, None) and not self._closed:
            folder = self._temporary / str(child.pid)
            tidying = asyncio.create_task(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))
            self._tidying.add(tidying)
            tidying.add_done_callback(self._tidying.discard)
        self._wanted.set()

    async def _keep(self) -> None:
        """Keep as many children as there are slots, and the zygote they come from."""
        delay = 0.1
        watch = asyncio.create_task(self._listen(), name="zygote")
        try:
            while True:
                try:
                    while len(self._all) < self._slots:
                        self._idle.put(await self._fork(), unused=True)
                    self._wanted.clear()
                    wanted = asyncio.create_task(self._wanted.wait(), name="children-wanted")
                    await asyncio.wait({watch, wanted}, return_when=asyncio.FIRST_COMPLETED)
                    wanted.cancel()
                    if not watch.done():
                        delay = 0.1
                        continue
                except (OSError, ZygoteError):
                    pass
                log.error("zygote died, starting another", delay=delay)
                self._stop_zygote()
                for child in list(self._all.values()):
                    kernel.end_group(child.pid)  # what its jobs had started did not end with it
                    self._forget(child, -signal.SIGKILL)
                await asyncio.sleep(delay)
                delay = min(5.0, delay * 2)
                with contextlib.suppress(ZygoteError):
                    await self._start_zygote()
                watch.cancel()
                watch = asyncio.create_task(self._listen(), name="zygote")
        finally:
            watch.cancel()

    async def _watch_disk(self) -> None:
        """End what fills the disk; only jobs that were there at the last look are looked at."""
        seen: dict[int, Task] = {}
        while True:
            await asyncio.sleep(disk_usage.LOOK_SECONDS)
            for pid, task in seen.items():
                folders = [task.folder, str(self._temporary / str(pid))]
                taken = await asyncio.to_thread(disk_usage.exceeds, folders, pid, _disk_mb(task) << 20)
                if taken and self._busy.get(pid) is task and pid in self._all:
                    self._all[pid].full = True
                    self._order(b"K", pid)
            seen = dict(self._busy)

    async def _start_zygote(self) -> None:
        ours, theirs = socket.socketpair()
        ours.settimeout(0)
        with theirs:
            fd = str(theirs.fileno())
            arguments = [
                sys.executable,
                "-m",
                "offloop_workers.children.zygote",
                fd,
                str(os.getpid()),
                ",".join(self._queues),
            ]
            environment = {**policy.environment(os.environ), "TMPDIR": str(self._temporary)}
            self._process = subprocess.Popen(  # noqa: ASYNC220, S603 -- takes a millisecond, our own module
                arguments, env=environment, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
            )
        self._control = ours
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._message()
        except (TimeoutError, EOFError, OSError) as error:
            self._stop_zygote()
            message = f"the children's zygote did not start ({type(error).__name__}); the lines above say why"
            raise ZygoteError(message) from error

    def _stop_zygote(self) -> None:
        while self._forking:
            child = self._forking.popleft()
            child.line.close()
            child.prints.close()
            child.forked.cancel()
        if self._control:
            self._control.close()
            self._control = None
        if self._process:
            # It ends by itself once its socket is closed, and ends all that jobs have started before.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_FAREWELL_SECONDS)
            self._process.kill()
            self._process.wait()
            self._process = None

    async def _listen(self) -> None:
        """Take in what the zygote tells, until it is gone."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                what, pid, status = await self._message()
                if what == b"P":
                    # Known from here on: the very next message may already tell that it has died.
                    child = self._forking.popleft()
                    child.pid = pid
                    self._all[pid] = child
                    if not child.forked.done():
                        child.forked.set_result(None)
                elif pid in self._all:
                    self._ended(self._all[pid], status)
        for child in self._forking:
            if not child.forked.done():
                child.forked.set_exception(ZygoteError("the zygote died"))

    async def _message(self) -> tuple[bytes, int, int]:
        loop = asyncio.get_running_loop()
        if self._control is None:
            raise EOFError
        data = b""
        while len(data) < zygote.MESSAGE.size:
            piece = await loop.sock_recv(self._control, zygote.MESSAGE.size - len(data))
            if not piece:
                raise EOFError
            data += piece
        what, pid, status = zygote.MESSAGE.unpack(data)
        return what, pid, status

    async def _fork(self) -> _Child:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with theirs:
            _, line = await loop.create_connection(frames.FrameStream, sock=ours)
            if self._control is None:
                line.close()
                message = "there is no zygote"
                raise ZygoteError(message)
            child = _Child(line, Prints(), loop.create_future(), loop.create_future())
            self._forking.append(child)
            ends = [theirs.fileno(), child.prints.writing]
            socket.send_fds(self._control, [zygote.MESSAGE.pack(b"F", 0, 0)], ends)
            child.prints.handed_over()
        await child.forked
        return child

    def _order(self, what: bytes, pid: int) -> None:
        if self._control:
            with contextlib.suppress(OSError):
                self._control.send(zygote.MESSAGE.pack(what, pid, 0))


def overdue(kind: Kind[Any, Any]) -> LimitExceeded:
    """What the caller of a job is told whose time is over."""
    return LimitExceeded(
        f"{kind.name} was stopped after its limit of {kind.limits.seconds:g} seconds: send less, or split the work "
        "into several calls."
    )


def _disk_mb(task: Task) -> int:
    return 4 * task.kind.limits.output_mb


def _full(task: Task) -> str:
    return (
        f"{task.kind.name} was stopped when its files took more than {_disk_mb(task)} MiB on disk (four times "
        "output_mb), or were too many: send less, or ask for less."
    )


def _epitaph(task: Task, code: int) -> str:
    how = f"exit code {code}"
    if code < 0:
        with contextlib.suppress(ValueError):
            how = signal.Signals(-code).name
    if how == "SIGXCPU":
        return f"{task.kind.name} used up its CPU time ({task.kind.limits.seconds:g} seconds): send less."
    return (
        f"{task.kind.name} crashed its process ({how}); only this job is affected. If it happens again with the same "
        "input, that input breaks a library: simplify it."
    )
