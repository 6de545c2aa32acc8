"""Engine of offloop, as the front end uses it, without HTTP and MCP."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from bench import jobs
from bench.documents import invoice, ten_pages
from bench.peer import Peer
from bench.peers.commands import become
from offloop.jobs.pdf import Page
from offloop.kinds.kind import Kind, Model
from offloop.processes import event_loop
from offloop.queue.client import Bounds, JobQueue, new_id
from offloop.queue.record import Progress
from offloop.redis.connection import connect, connect_blocking
from offloop_server.runtime.background import Background
from offloop_server.waiting.calls import Calls
from offloop_server.waiting.inbox import Inbox

PRINCIPAL = "bench"
WAIT = 50.0


class Offloop(Peer):
    """Submit with `Calls`, receive the result through the `Inbox`; the worker is that of ``offloop worker``."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._waiting = name == "offloop-waiting"

    def run(self, role: str, main: Coroutine[Any, Any, None]) -> None:  # noqa: ARG002 -- the callers are a front end here
        """Run on the product's own loop."""
        event_loop.run(main)

    async def work(self, redis_url: str, slots: int) -> None:
        """Become a worker; for jobs on its loop, one of 64 slots that serves only their queue."""
        if self._waiting:
            become("worker", "--slots", "64", "--queues", jobs.noop_waiting.queue, OFFLOOP_REDIS_URL=redis_url)
        become("worker", "--slots", str(slots), OFFLOOP_REDIS_URL=redis_url)

    async def open(self, target: str) -> None:
        """Open the connections of a front end."""
        front_end = secrets.token_hex(8)
        self._stack = AsyncExitStack()
        self._redis, blocking = connect(target), connect_blocking(target)
        self._queue = JobQueue(self._redis, Bounds(3600, 10**6, 10**6), front_end=front_end)
        self._stack.push_async_callback(self._redis.aclose, close_connection_pool=True)
        background = await self._stack.enter_async_context(Background(1))
        self._inbox = await self._stack.enter_async_context(Inbox(blocking, self._queue, front_end, background))
        self._calls = Calls(self._queue, self._inbox, background)

    async def close(self) -> None:
        await self._stack.aclose()

    async def noop(self) -> None:
        """Through queue, worker and child (or not), and back."""
        await self._run(jobs.noop_waiting if self._waiting else jobs.noop, jobs.Nothing())

    async def act(self, action: str, arguments: dict[str, Any]) -> Any:
        """A PDF, a cancellation of a C loop, or a worker's death."""
        match action:
            case "invoice-reuse" | "invoice-fork" | "ten-reuse" | "ten-fork":
                document, _, isolation = action.partition("-")
                html = invoice() if document == "invoice" else ten_pages()
                kind = jobs.render_reuse if isolation == "reuse" else jobs.render_fork
                return await self._run(kind, Page.model_validate({"html": html}))
            case "cancel":
                return await self._cancel()
            case "recover":
                return await self._recover(Path(arguments["path"]))
        return await super().act(action, arguments)

    async def _run(self, kind: Kind[Any, Any], value: Model) -> None:
        record = await self._calls.run(kind, value, principal=PRINCIPAL, wait=WAIT, key=None, relay=_ignore)
        if record.state.value != "completed":
            raise RuntimeError(record)

    async def _started(self, kind: Kind[Any, Any], value: Model) -> str:
        """Submit, and return when the work itself says that it runs."""
        job_id = new_id()
        async with asyncio.timeout(WAIT), self._inbox.watch(job_id, PRINCIPAL) as watch:
            await self._queue.submit(kind, value, principal=PRINCIPAL, job_id=job_id, wait_seconds=WAIT)
            while watch.record is None or watch.record.progress is None:
                await watch.change()
        await self._queue.mark_disclosed(job_id)
        return job_id

    async def _cancel(self) -> float:
        """Milliseconds from the request to cancel a C loop until the job is cancelled, that is, its child gone."""
        job_id = await self._started(jobs.spin, jobs.Nothing())
        began = time.perf_counter()
        record, _ = await self._calls.cancel(job_id, principal=PRINCIPAL, wait=10)
        if record.state.value != "cancelled":
            raise RuntimeError(record)
        return (time.perf_counter() - began) * 1000

    async def _recover(self, path: Path) -> str:
        """Start a job that ends only in its second execution, and answer its id once it runs."""
        return await self._started(jobs.survive, jobs.NotePath(path=str(path)))


async def _ignore(_progress: Progress) -> None:
    """Drop the progress."""


def peer(name: str) -> Peer:
    """The stack of that name."""
    return Offloop(name)
