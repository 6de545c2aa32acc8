"""Cluster under test: a Valkey with an append-only file, a proxy, workers and front ends, all real processes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections import defaultdict
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

from redis.exceptions import RedisError

from faults import fault_jobs
from faults.history import TERMINAL
from faults.proxy import Proxy
from offloop.kinds.catalogue import Catalogue, kinds_in
from offloop.processes.embedded_redis import find_binary
from offloop.queue.client import Bounds, JobQueue, new_id
from offloop.queue.record import Record
from offloop.redis import schema
from offloop.redis.connection import connect
from support.folders import FOLDERS
from support.processes import Process, inherited
from support.stack.health import healthy
from support.waiting import eventually, poll

PRINCIPAL = "anonymous"
KINDS = Catalogue(kinds_in(fault_jobs))
DRAIN_SECONDS = 2
SKEW_SECONDS = 3600
_COMMAND = {name: (sys.executable, "-P", "-m", "offloop", name) for name in ("serve", "worker")}


class ClusterProcess(Process):
    """A worker or front end.

    Attributes:
        via_proxy: whether its Redis connections go through the proxy.
        address: URL of a front end.
    """

    via_proxy = False
    address = ""

    async def ended(self, seconds: float = 20.0) -> None:
        """Wait for the end.

        Raises:
            AssertionError: the process still runs.
        """
        await poll(lambda: not self.running, f"{self.name} ends; its output:\n{self.output[-2000:]}", seconds)


class Cluster:
    """An async context manager: starts a Valkey and a proxy, and ends all processes at the exit.

    Attributes:
        folder: folder of all files.
        runs: file in which jobs record their executions.
        queue: job queue that bypasses the proxy.
        redis: connection that bypasses the proxy.
        proxy: injects network faults, for processes with `via_proxy`.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="faults-"))
        self.runs = self.folder / "runs"
        self.workers: list[ClusterProcess] = []
        self.front_ends: list[ClusterProcess] = []
        self._started = 0
        self._socket = self.folder / "r.sock"
        self._valkey: Process | None = None
        self._stack = AsyncExitStack()
        self.proxy = Proxy(self._socket)
        self.redis = connect(f"unix://{self._socket}")
        self.queue = self.new_queue()

    async def __aenter__(self) -> Self:
        for name in ("modules", "tmp"):
            (self.folder / name).mkdir()
        shutil.copy(str(fault_jobs.__file__), self.folder / "modules" / "fault_jobs.py")
        FOLDERS.opened(self.folder)
        self._stack.callback(FOLDERS.discard, self.folder)
        self._stack.callback(self._end_all)
        self._stack.push_async_callback(self.redis.aclose, close_connection_pool=True)
        await self._stack.enter_async_context(self.proxy)
        try:
            await self.start_valkey()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self._end_well()
        finally:
            await self._stack.aclose()

    # --- processes ---

    async def worker(
        self, *, via_proxy: bool = False, skewed: bool = False, doomed: bool = False, **settings: object
    ) -> ClusterProcess:
        """Start a worker and wait for its heartbeat, unless `doomed`; the clock of a `skewed` one is an hour fast."""
        process = self._start("worker", via_proxy=via_proxy, skewed=skewed, settings=settings)
        self.workers.append(process)
        if not doomed:
            await eventually(lambda: self._sends_heartbeats(process), f"{process.name} sends heartbeats", 30)
        return process

    async def front_end(self, *, via_proxy: bool = False, **settings: object) -> ClusterProcess:
        """Start a front end and wait until it answers."""
        port = _free_port()
        process = self._start("serve", via_proxy=via_proxy, skewed=False, settings={"port": port, **settings})
        process.address = f"http://127.0.0.1:{port}"
        self.front_ends.append(process)
        await poll(lambda: _answers(process), f"{process.name} answers", 30)
        return process

    def new_queue(self, front_end: str = "", *, via_proxy: bool = False) -> JobQueue:
        """The job queue of a front end; with `via_proxy` it has its own connection."""
        bounds = Bounds(retention_seconds=3600, max_queued=1_000_000, max_queued_per_principal=1_000_000)
        redis = connect(self.proxy.url, retries=2) if via_proxy else self.redis
        if via_proxy:
            self._stack.push_async_callback(redis.aclose, close_connection_pool=True)
        return JobQueue(redis, bounds, front_end=front_end)

    # --- Valkey ---

    async def start_valkey(self) -> None:
        """Start or restart it on the same data, and wait until it answers."""
        command = [
            *(str(find_binary()), "--port", "0", "--unixsocket", str(self._socket), "--save", ""),
            *("--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction"),
            *("--dir", str(self.folder), "--loglevel", "warning"),
        ]
        self._valkey = Process("valkey", command, os.environ, self.folder / "valkey.log")
        await eventually(self._valkey_answers, "the Valkey answers")

    def kill_valkey(self) -> None:
        """Send SIGKILL."""
        self._the_valkey.kill()

    def freeze_valkey(self) -> None:
        """Stop it with SIGSTOP: connections stay open and get no answer."""
        self._the_valkey.signal(signal.SIGSTOP)

    def thaw_valkey(self) -> None:
        """Continue after `freeze_valkey`."""
        self._the_valkey.signal(signal.SIGCONT)

    # --- jobs ---

    async def forget_free_slots(self) -> None:
        """Delete the advertised free slots of all workers."""
        if keys := [key async for key in self.redis.scan_iter(schema.FREE_SLOTS + "*")]:
            await self.redis.delete(*keys)

    async def submit(self, kind: str, seconds: float = 0.0, **options: Any) -> Record:
        """Submit a job, bypassing the proxy."""
        submission = await self.queue.submit(
            KINDS[kind], self.input_of(kind, seconds), principal=PRINCIPAL, job_id=new_id(), **options
        )
        return submission.record

    def input_of(self, kind: str, seconds: float = 0.0, number: int = 0) -> Any:
        """The input of a kind."""
        return KINDS[kind].input(runs=str(self.runs), seconds=seconds, number=number)

    async def get(self, job_id: str) -> Record:
        """Read a job, bypassing the proxy."""
        return await self.queue.get(job_id, principal=PRINCIPAL)

    async def until_state(self, job_id: str, *states: str, seconds: float = 20.0) -> Record:
        """Wait for one of the states of a job."""
        found: list[Record] = []

        async def there() -> bool:
            found[:] = [await self.get(job_id)]
            return found[0].state.value in states

        await eventually(there, f"{job_id} is {' or '.join(states)}, it is {found}", seconds)
        return found[0]

    async def until_ended(self, records: list[Record], seconds: float = 20.0) -> list[Record]:
        """Wait for the end of all jobs."""
        return [await self.until_state(record.job_id, *TERMINAL, seconds=seconds) for record in records]

    def executions(self) -> dict[str, dict[int, list[float]]]:
        """Start times of the executions of each attempt of each job, as recorded by the jobs."""
        found: defaultdict[str, dict[int, list[float]]] = defaultdict(dict)
        if self.runs.exists():
            for line in self.runs.read_text().splitlines():
                job_id, attempt, at = line.split()
                found[job_id].setdefault(int(attempt), []).append(float(at))
        return found

    async def held_by(self, worker: Process) -> set[str]:
        """The jobs leased to the worker."""
        held: set[str] = set()
        for job_id in await self.redis.zrange(schema.LEASES + fault_jobs.QUEUE, 0, -1):
            token = await self.redis.hget(schema.RECORD + job_id.decode(), "token")  # type: ignore[misc]  # the client is asynchronous
            if token and f".{worker.pid}." in token.decode():
                held.add(job_id.decode())
        return held

    # --- internals ---

    @property
    def _the_valkey(self) -> Process:
        assert self._valkey, "start the Valkey first"
        return self._valkey

    def _start(self, command: str, *, via_proxy: bool, skewed: bool, settings: dict[str, object]) -> ClusterProcess:
        self._started += 1
        name = f"{command}-{self._started}"
        path = [str(self.folder / "modules"), *([str(Path(__file__).parent / "clock")] if skewed else [])]
        given = {
            "redis_url": self.proxy.url if via_proxy else f"unix://{self._socket}",
            "state_dir": self.folder / "state",
            "slots": 2,
            "job_modules": "fault_jobs",
            "drain_seconds": DRAIN_SECONDS,
            "retention_seconds": 3600,
            "max_queued": 1_000_000,
            "max_queued_per_principal": 1_000_000,
            "log_format": "json",
            **({"queues": fault_jobs.QUEUE} if command == "worker" else {}),
            **settings,
        }
        environment = {
            **inherited(),
            **{f"OFFLOOP_{name.upper()}": str(value) for name, value in given.items()},
            "PYTHONPATH": os.pathsep.join([*path, *filter(None, [os.environ.get("PYTHONPATH")])]),
            "TMPDIR": str(self.folder / "tmp"),
            **({"FAULTS_CLOCK_SKEW": str(SKEW_SECONDS)} if skewed else {}),
        }
        process = ClusterProcess(name, _COMMAND[command], environment, self.folder / f"{name}.log")
        process.via_proxy = via_proxy
        return process

    async def _sends_heartbeats(self, process: Process) -> bool:
        assert process.running, f"{process.name} has ended:\n{process.output[-3000:]}"
        with contextlib.suppress(RedisError, OSError):
            owners = await self.redis.zrange(schema.heartbeats_key(fault_jobs.QUEUE), 0, -1)
            return any(f".{process.pid}." in owner.decode() for owner in owners)
        return False

    async def _valkey_answers(self) -> bool:
        assert self._the_valkey.running, self._the_valkey.output[-2000:]
        try:
            return bool(await self.redis.ping())
        except (OSError, RedisError):
            return False

    async def _end_well(self) -> None:
        """Stop workers and front ends with SIGTERM; none of their children may stay."""
        self.thaw_valkey()
        living = [process for process in (*self.front_ends, *self.workers) if process.running]
        children = [pid for process in living for pid in process.descendants]
        for process in living:
            process.signal(signal.SIGCONT)
            process.signal(signal.SIGTERM)
        for process in living:
            await process.ended()
        await poll(lambda: not [pid for pid in children if Path(f"/proc/{pid}").exists()], "children are gone")

    def _end_all(self) -> None:
        for process in (*self.front_ends, *self.workers, *([self._valkey] if self._valkey else [])):
            if process.running:
                process.kill()


def _answers(process: ClusterProcess) -> bool:
    assert process.running, f"{process.name} has ended:\n{process.output[-3000:]}"
    return healthy(process.address)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
