"""Stack: a Valkey, front ends and workers, each a real process, in its own folder."""

from __future__ import annotations

import itertools
import json
import secrets
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from redis import Redis

from offloop.kinds import catalogue
from offloop.redis import schema
from support.folders import FOLDERS
from support.jobs import stack_jobs
from support.processes import STACK, Process, inherited, stop_all, wait_gone
from support.stack.client import Caller, Mode, connected
from support.stack.health import healthy
from support.stack.leaks import left_in_folders, left_in_redis
from support.stack.valkey import Valkey
from support.waiting import until, until_empty

QUEUES = ("default", *catalogue.load().queues)
DRAIN_SECONDS = 2
SLOTS = 2
START_SECONDS = 50
"""Time limit of the start of a front end or worker: it takes 1 to 3 s of CPU time, and the machine may be busy."""
MAX_UPLOAD_MB = 2
_PRINCIPALS = 500

OPEN: list[Stack] = []
"""Open stacks; the leak checks after each test cover all of them."""


class FrontEnd(Process):
    """An ``offloop serve``."""

    _port = 0

    @property
    def port(self) -> int:
        """Port on which it listens; 0 while it starts."""
        if not self._port:  # read from the log: a scan of the system's sockets takes milliseconds
            self._port = next((line["port"] for line in log_lines(self) if line["event"] == "listening"), 0)
        return self._port

    @property
    def base(self) -> str:
        """URL of the front end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def endpoint(self) -> str:
        """URL of its MCP endpoint."""
        return f"{self.base}/mcp"


class Stack:
    """Starts with only a Valkey; the test adds front ends and workers.

    Args:
        folder: folder to create, with a short path; `close` removes it.
        persistent: whether the Valkey's data survives SIGKILL.
        keys: whether callers need an API key.
        settings: settings of all processes, named without ``OFFLOOP_``.
    """

    def __init__(self, folder: Path, *, persistent: bool = False, keys: bool = True, **settings: object) -> None:
        self.folder = folder
        self.mark = secrets.token_hex(8)
        self.root = folder / "root"
        for name in ("modules", "root", "tmp", "logs"):
            (folder / name).mkdir(parents=True)
        shutil.copy(str(stack_jobs.__file__), folder / "modules" / "stack_jobs.py")
        self.valkey = Valkey(folder / "redis", mark=self.mark, persistent=persistent)
        self.front_ends: list[FrontEnd] = []
        self.workers: list[Process] = []
        self._keys = keys
        self._principals = iter(range(_PRINCIPALS))
        self._settings = {
            "redis_url": self.valkey.url,
            "state_dir": folder / "state",
            "port": 0,
            "slots": SLOTS,
            "job_modules": "stack_jobs",
            "file_roots": f"bed={self.root}",
            "drain_seconds": DRAIN_SECONDS,
            "max_upload_mb": MAX_UPLOAD_MB,
            "retention_seconds": 600,
            "log_format": "json",
            **({"api_keys": f"@{self._key_file()}"} if keys else {}),
            **settings,
        }
        FOLDERS.opened(folder)
        self.valkey.start()
        OPEN.append(self)

    def front_end(self, **settings: object) -> FrontEnd:
        """Start a front end and wait until it answers."""
        process = self.begin_front_end(**settings)
        self.await_front_end(process)
        return process

    def begin_front_end(self, **settings: object) -> FrontEnd:
        """Start a front end without waiting."""
        number = len(self.front_ends) + 1
        process = FrontEnd(f"front end {number}", _COMMAND["serve"], self.environment(settings), self._log("serve"))
        self.front_ends.append(process)
        return process

    def await_front_end(self, process: FrontEnd) -> None:
        """Wait until a front end answers."""
        until(lambda: self._healthy(process), f"{process.name} answers", START_SECONDS)

    def worker(self, **settings: object) -> Process:
        """Start a worker and wait for its first heartbeat."""
        process = self.begin_worker(**settings)
        self.await_worker(process)
        return process

    def begin_worker(self, **settings: object) -> Process:
        """Start a worker without waiting."""
        number = len(self.workers) + 1
        process = Process(f"worker {number}", _COMMAND["worker"], self.environment(settings), self._log("worker"))
        self.workers.append(process)
        return process

    def await_worker(self, process: Process) -> None:
        """Wait for a worker's first heartbeat."""
        with self.valkey.redis() as redis:
            until(lambda: self._sends_heartbeats(process, redis), f"{process.name} sends heartbeats", START_SECONDS)

    def new_key(self) -> str | None:
        """The API key of an unused principal; ``None`` without keys."""
        return _key(next(self._principals)) if self._keys else None

    @asynccontextmanager
    async def client(
        self, front_end: FrontEnd | None = None, *, key: str | None = None, mode: Mode = "auto"
    ) -> AsyncIterator[Caller]:
        """Connect to a front end (default: the first) with that key (default: of a new principal)."""
        endpoint = (front_end or self.front_ends[0]).endpoint
        async with connected(endpoint, key or self.new_key(), mode) as caller:
            yield caller

    async def open_jobs(self) -> int:
        """Number of jobs that are queued or leased to a worker."""
        with self.valkey.redis() as redis:
            return sum(redis.zcard(schema.queue_key(queue)) + redis.zcard(schema.LEASES + queue) for queue in QUEUES)

    def environment(self, settings: dict[str, Any] | None = None) -> dict[str, str]:
        """Environment variables of a process of this stack."""
        given = {**self._settings, **(settings or {})}
        return {
            **inherited(),
            **{f"OFFLOOP_{name.upper()}": str(value) for name, value in given.items()},
            "PYTHONPATH": str(self.folder / "modules"),
            "TMPDIR": str(self.folder / "tmp"),
            STACK: self.mark,
        }

    def check(self) -> None:
        """Check for leaks: keys without expiry in Redis, temporary files.

        Raises:
            AssertionError: a leak is still there after the timeout.
        """
        until_empty(lambda: left_in_redis(self.valkey), "keys are left without expiry")
        until_empty(lambda: left_in_folders(self.folder), "files are left")

    def close(self) -> None:
        """Stop every process with SIGTERM, check exit codes and leaks, remove the folder.

        Raises:
            AssertionError: a process did not end in order or in time, or left something behind.
        """
        try:
            for process, ending in stop_all([*self.front_ends, *self.workers]).items():
                # After its shutdown, uvicorn raises the signal again.
                output = process.output[-3000:]
                assert ending in (0, -signal.SIGTERM), f"{process.name} ended with {ending}:\n{output}"
            self.valkey.stop()
            assert not (left := wait_gone(STACK, self.mark)), f"processes are left: {left}"
            assert not (files := left_in_folders(self.folder, running=False)), f"files are left: {files}"
        finally:
            OPEN.remove(self)
            for process in (*self.front_ends, *self.workers):
                if process.running:
                    process.kill()
            self.valkey.stop()
            FOLDERS.discard(self.folder)

    def _key_file(self) -> Path:
        file = self.folder / "keys"
        file.write_text("".join(f"principal-{number}:{_key(number)}\n" for number in range(_PRINCIPALS)))
        return file

    def _log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}-{time.monotonic_ns()}.log"

    def _healthy(self, process: FrontEnd) -> bool:
        assert process.running, f"{process.name} has ended:\n{process.output[-3000:]}"
        return bool(process.port) and healthy(process.base)

    def _sends_heartbeats(self, process: Process, redis: Redis) -> bool:
        assert process.running, f"{process.name} has ended:\n{process.output[-3000:]}"
        found = [cast("list[bytes]", redis.zrange(schema.heartbeats_key(queue), 0, -1)) for queue in QUEUES]
        owners = itertools.chain(*found)
        return any(f".{process.pid}." in owner.decode() for owner in owners)


_COMMAND = {name: (sys.executable, "-P", "-m", "offloop", name) for name in ("serve", "worker")}


def _key(number: int) -> str:
    return f"a-key-for-principal-{number:05}"


def log_lines(process: Process) -> list[dict[str, Any]]:
    """The log lines of a process."""
    return [json.loads(line) for line in process.output.splitlines() if line.startswith("{")]
