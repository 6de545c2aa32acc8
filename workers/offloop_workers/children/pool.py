"""Child processes for the CPU work: warm, one task at a time, killable at any moment, gone when the worker is.

`Children` keeps one child ready for each slot. They are forked from a `zygote` in which everything heavy has run once,
so that a new one costs milliseconds. A child that was killed, crashed, ran out of memory, served a ``fork`` kind, has
grown, could not be restored, or did `MAX_TASKS` tasks is replaced. Children share nothing but the zygote's read-only
pages.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self

from offloop import logs
from offloop.errors import JobError
from offloop.queue.record import Progress
from offloop_workers.children import disk_usage, result
from offloop_workers.children.child import MAX_DETAIL
from offloop_workers.children.frames import ProtocolError
from offloop_workers.children.idle import Idle
from offloop_workers.children.task import Task, crash, disk_bytes, over_disk_limit, overdue
from offloop_workers.children.zygote_client import ChildProcess, ZygoteClient, ZygoteError
from offloop_workers.sandbox import kernel, landlock

MAX_TASKS: Final = 10_000
"""Tasks after which a reused child is replaced; one that has grown leaves before, see
`offloop_workers.children.process_state`."""

log = logs.get(__name__)


class _NeverBegunError(Exception):
    """The child has left without reading its task."""


class Children:
    """The children of one worker: an async context manager.

    Args:
        slots: how many tasks run at the same time; with none, no process is started.
        queues: what the zygote warms up for.
        temporary: a folder in which each child has one of its own, for what libraries leave behind.
    """

    def __init__(self, slots: int, queues: tuple[str, ...], temporary: Path) -> None:
        self.zygote = ZygoteClient(queues, temporary, on_fork=self._add, on_exit=self._remove)
        self.alive: dict[int, ChildProcess] = {}
        self._slots = slots
        self._temporary = temporary
        self._deletions: set[asyncio.Task[None]] = set()
        self._idle: Idle[ChildProcess] = Idle()
        self._busy: dict[int, Task] = {}
        self._loops: list[asyncio.Task[None]] = []
        self._missing = asyncio.Event()
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
        await self.zygote.start()
        self._loops = [
            asyncio.create_task(self._maintain(), name="children"),
            asyncio.create_task(self._watch_disk(), name="disk"),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Kill the children that are left. Safe to call twice."""
        self._closed = True
        for task in self._loops:
            task.cancel()
            await asyncio.wait([task])
        self.zygote.stop()
        for child in list(self.alive.values()):
            self._discard(child, -signal.SIGKILL)
        for child in self._idle.empty():
            child.stream.close()

    async def run(self, task: Task, on_progress: Callable[[Progress], None]) -> dict[str, Any]:
        """Run a task in the next free child; answers its result, which is not validated.

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

    async def _run_in(self, child: ChildProcess, task: Task, on_progress: Callable[[Progress], None]) -> dict[str, Any]:
        reply: dict[str, Any] | None = None
        self._busy[child.pid] = task
        child.output.begin(task.job_id)
        try:
            async with asyncio.timeout(task.kind.limits.seconds - task.spent):
                reply = await self._converse(child, task, on_progress)
        except TimeoutError:
            raise overdue(task.kind) from None
        except (EOFError, ConnectionError, ProtocolError):
            code = await self._kill(child)
            if child.over_disk_limit:
                raise over_disk_limit(task) from None
            raise crash(task, code) from None
        finally:
            self._busy.pop(child.pid, None)
            if reply is None:
                await asyncio.shield(self._kill(child))
                child.stream.close()
            else:
                self._reuse_or_retire(child, task, reply)
        if "failed" in reply:
            if "traceback" in reply:
                log.error(
                    "job failed unexpectedly", job_id=task.job_id, traceback=str(reply["traceback"])[-MAX_DETAIL:]
                )
            failed: JobError = reply["failed"]
            raise failed
        done: dict[str, Any] = reply["done"]
        return done

    async def _converse(
        self, child: ChildProcess, task: Task, on_progress: Callable[[Progress], None]
    ) -> dict[str, Any]:
        try:
            child.stream.write(task.to_frame())
            message = await child.stream.read()
        except ConnectionError:
            # A socket is reset where it is closed with something unread in it, and ends quietly where all was read.
            if child.tasks:
                raise _NeverBegunError from None
            raise  # one that has done nothing yet would be followed by others that leave at the start
        while True:
            match message:
                case {"progress": step}:
                    on_progress(result.progress(step))
                case {"fetch": url} if task.budget:
                    child.stream.write(await task.budget.answer(url))
                case {"failed": failed}:
                    return {**message, "failed": result.failure(failed)}
                case {"done": dict()}:
                    return message
                case _:
                    unknown = "a message of an unknown kind"
                    raise ProtocolError(unknown)
            message = await child.stream.read()

    def _reuse_or_retire(self, child: ChildProcess, task: Task, reply: dict[str, Any]) -> None:
        child.tasks += 1
        child.output.end()
        if task.kind.isolation == "fork" or reply.get("retire") or child.tasks >= MAX_TASKS:
            self._retire(child)
        else:
            self._idle.put(child)

    def _retire(self, child: ChildProcess) -> None:
        child.stream.close()  # the child reads the end of its socket and leaves
        self.zygote.kill(child.pid)
        self._discard(child, 0)

    async def _next(self, *, unused: bool) -> ChildProcess:
        while True:
            child = await self._idle.take(unused=unused)
            if child.pid not in self.alive or child.ended.done() or child.stream.over:
                child.stream.close()
            elif unused and child.tasks:
                self._retire(child)  # it has dropped rights that this kind may need; another is forked in its place
            else:
                return child

    async def _kill(self, child: ChildProcess) -> int:
        """Kill a child and wait until it is gone; answers how it ended (negative: by that signal)."""
        if not child.ended.done():
            self.zygote.kill(child.pid)
        return await child.ended

    def _add(self, child: ChildProcess) -> None:
        self.alive[child.pid] = child

    def _remove(self, pid: int, code: int) -> None:
        if child := self.alive.get(pid):
            self._ended(child, code)

    def _discard(self, child: ChildProcess, code: int) -> None:
        child.stream.close()
        self._ended(child, code)

    def _ended(self, child: ChildProcess, code: int) -> None:
        # Its socket stays open: the answer of a child that ends with it may not have been read yet.
        child.output.close()
        if not child.ended.done():
            child.ended.set_result(code)
        if self.alive.pop(child.pid, None) and not self._closed:
            folder = self._temporary / str(child.pid)
            deletion = asyncio.create_task(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))
            self._deletions.add(deletion)
            deletion.add_done_callback(self._deletions.discard)
        self._missing.set()

    async def _maintain(self) -> None:
        """Keep as many children as there are slots, and the zygote they come from."""
        delay = 0.1
        listening = asyncio.create_task(self.zygote.listen(), name="zygote")
        try:
            while True:
                with contextlib.suppress(OSError, ZygoteError):
                    while len(self.alive) < self._slots:
                        self._idle.put(await self.zygote.fork(), unused=True)
                    await self._until_missing(listening)
                    if not listening.done():
                        delay = 0.1
                        continue
                log.error("zygote died, starting another", delay=delay)
                self.zygote.stop()
                for child in list(self.alive.values()):
                    kernel.end_group(child.pid)  # what its jobs had started did not end with it
                    self._discard(child, -signal.SIGKILL)
                await asyncio.sleep(delay)
                delay = min(5.0, delay * 2)
                with contextlib.suppress(ZygoteError):
                    await self.zygote.start()
                listening.cancel()
                listening = asyncio.create_task(self.zygote.listen(), name="zygote")
        finally:
            listening.cancel()

    async def _until_missing(self, listening: asyncio.Task[None]) -> None:
        """Wait until a child has ended, or the zygote has."""
        self._missing.clear()
        missing = asyncio.create_task(self._missing.wait(), name="children-missing")
        await asyncio.wait({listening, missing}, return_when=asyncio.FIRST_COMPLETED)
        missing.cancel()

    async def _watch_disk(self) -> None:
        """End what fills the disk; only jobs that ran at the last check are measured."""
        seen: dict[int, Task] = {}
        while True:
            await asyncio.sleep(disk_usage.CHECK_SECONDS)
            for pid, task in seen.items():
                folders = [task.folder, str(self._temporary / str(pid))]
                exceeds = await asyncio.to_thread(disk_usage.exceeds, folders, pid, disk_bytes(task))
                if exceeds and self._busy.get(pid) is task and pid in self.alive:
                    self.alive[pid].over_disk_limit = True
                    self.zygote.kill(pid)
            seen = dict(self._busy)
