"""Harness of a measure: a fresh Valkey, the processes of a stack, and a client for orders; all end with the block."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from redis.asyncio import Redis

from bench import venvs
from bench.peers import PEERS
from offloop.processes.embedded_redis import find_binary

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

MAX_ORDER: Final = 300.0
"""Time limit of an order in seconds; a stack that exceeds it is reported as failed, and the others go on."""


class OrderError(RuntimeError):
    """A stack did not carry out an order; the message has the end of its logs."""


@dataclass(slots=True)
class Rig:
    """One running stack.

    Attributes:
        name: of the stack.
        redis: for counting requests.
        url: of its Valkey.
        workers: its worker processes.
        server: its server process, if callers come through MCP.
        client: takes orders.
        folder: for its logs and files.
        slots: of each worker.
        settings: environment of its processes, beyond what all stacks have.
    """

    name: str
    redis: Any
    url: str
    folder: Path
    workers: list[Process] = field(default_factory=list)
    server: Process | None = None
    client: Process | None = None
    slots: int = 1
    settings: dict[str, str] = field(default_factory=dict)
    _count: int = 0

    async def order(self, do: str, **values: Any) -> dict[str, Any]:
        """Give the client one order and return its answer.

        Raises:
            OrderError: the client ended, or did not answer in time.
        """
        client = self.client
        if client is None or client.stdin is None or client.stdout is None:
            raise OrderError(self.name)
        client.stdin.write(json.dumps({"do": do, **values}).encode() + b"\n")
        try:
            async with asyncio.timeout(MAX_ORDER):
                line = await client.stdout.readline()
        except TimeoutError:
            line = b""
        if not line:
            message = f"{self.name} did not answer {do} {values}: {self._last_words()}"
            raise OrderError(message)
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def start_worker(self) -> Process:
        """Start one more worker."""
        process = await self.start("worker", "--target", self.url, "--slots", str(self.slots))
        self.workers.append(process)
        return process

    async def start(self, role: str, *arguments: str, **pipes: Any) -> Process:
        """Start a process of this stack in a role."""
        self._count += 1
        entry = PEERS[self.name]
        of_before = entry.before and role != "client"  # the callers are the same as those of our own stack
        checkout = venvs.before() if of_before else None
        with (self.folder / f"{role}-{self._count}.log").open("wb") as log:
            pipes = {"stdout": log, "stderr": log, **pipes}
            return await asyncio.create_subprocess_exec(
                str(checkout / ".venv/bin/python" if checkout else venvs.python(entry.venv)),
                *("-m", "bench.role", role, self.name, *arguments),
                env={**_environment(self.folder, self.url, checkout or venvs.ROOT), **self.settings},
                cwd=self.folder,
                start_new_session=True,
                limit=1 << 24,
                **pipes,
            )

    async def requests(self) -> int:
        """Requests the server has read from clients so far."""
        stats = await self.redis.info("stats")
        return int(stats["total_reads_processed"])

    async def redis_pid(self) -> int:
        """The process of its Valkey."""
        server = await self.redis.info("server")
        return int(server["process_id"])

    def _last_words(self) -> str:
        logs = sorted(self.folder.glob("*.log"), key=lambda log: log.stat().st_mtime)
        return " | ".join(" ".join(log.read_text(errors="replace").split()[-40:]) for log in logs[-3:])


@asynccontextmanager
async def valkey(folder: Path) -> AsyncIterator[str]:
    """A fresh server on a loopback port, with the append-only file on as in production; the value is its URL."""
    port = free_port()
    options = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--dir", str(folder))
    process = await asyncio.create_subprocess_exec(
        str(find_binary()), *options, "--loglevel", "warning", "--logfile", str(folder / "valkey.log")
    )
    try:
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.02)
                else:
                    writer.close()
                    break
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        await end(process)


@asynccontextmanager
async def rig(
    name: str, *, workers: int = 1, slots: int = 1, settings: dict[str, str] | None = None
) -> AsyncIterator[Rig]:
    """A stack, running and warm."""
    async with AsyncExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="bench-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        url = await stack.enter_async_context(valkey(folder))
        redis: Any = Redis.from_url(url)
        stack.push_async_callback(redis.aclose)
        built = Rig(name, redis, url, folder, slots=slots, settings=settings or {})
        stack.push_async_callback(_end_all, built)
        entry = PEERS[name]
        for _ in range(workers if entry.workers else 0):
            await built.start_worker()
        target = url
        if entry.web:
            port = free_port()
            built.server = await built.start("server", "--target", url, "--port", str(port))
            target = f"127.0.0.1:{port}"
        pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
        built.client = await built.start("client", "--target", target, **pipes)
        await built.order("sequence", action="noop", count=3)
        yield built


async def _end_all(built: Rig) -> None:
    if built.client and built.client.stdin:
        built.client.stdin.close()
    for process in (built.client, built.server, *built.workers):
        if process:
            await end(process)


async def end(process: Process) -> None:
    """Terminate a process, then kill it with all its descendants."""
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(8):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # its own session's group: children that outlived it


def free_port() -> int:
    """A free loopback port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _environment(folder: Path, url: str, checkout: Path) -> dict[str, str]:
    """Environment of a process; `bench` is always this one, the product that of the checkout."""
    roots = [venvs.ROOT, *(checkout / part for part in ("shared", "server", "workers"))]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OFFLOOP_")}
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(map(str, roots)),
        "TMPDIR": str(folder),
        "OFFLOOP_REDIS_URL": url,
        "OFFLOOP_STATE_DIR": str(folder / "state"),
        "OFFLOOP_JOB_MODULES": "bench.jobs",
        "OFFLOOP_QUEUES": "default,pdf",
        "OFFLOOP_MAX_QUEUED": "1000000",
        "OFFLOOP_MAX_QUEUED_PER_PRINCIPAL": "1000000",
    }
