"""Cluster under test: a Valkey with an append-only file, a proxy, workers and front ends, all real processes."""

from __future__ import annotations

import asyncio
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

from faults import fault_jobs, impatient
from faults.history import TERMINAL
from faults.proxy import Proxy
from offloop.kinds.catalogue import Catalogue, kinds_in
from offloop.queue.client import Bounds, JobQueue, new_id
from offloop.queue.record import Record
from offloop.redis import schema
from offloop.redis.connection import connect
from support.folders import FOLDERS
from support.processes import Process, inherited
from support.stack.health import healthy
from support.stack.stack import START_SECONDS
from support.stack.valkey import Valkey
from support.waiting import eventually, poll

PRINCIPAL = "anonymous"
KINDS = Catalogue(kinds_in(fault_jobs))
DRAIN_SECONDS = 2
SKEW_SECONDS = 3600
_OFFLOOP = (sys.executable, "-P", "-m", "offloop")
_IMPATIENT = (sys.executable, "-P", impatient.__file__)


class ClusterProcess(Process):
    """A worker or front end.

    Attributes:
        via_proxy: whether its Redis connections go through the proxy.
        address: URL of a front end.
    """

    via_proxy = False
    address = ""

    async def ended(self, seconds: float = 40.0) -> None:
        """Wait for the end.

        Raises:
            AssertionError: the process still runs.
        """
        await poll(lambda: not self.running, f"{self.name} ends; its output:\n{self.output[-2000:]}", seconds)


class Cluster:
    """An async context manager: starts a Valkey and a proxy, and ends all processes at the exit.

    Attributes:
        folder: folder of all files.
        valkey: the Valkey, which can be killed and frozen.
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
        self._stack = AsyncExitStack()
        self.valkey = Valkey(self.folder / "redis", mark="", persistent=True, fsync="everysec")
        self.proxy = Proxy(self.valkey.socket)
        self.redis = connect(self.valkey.url)
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
        self, *, via_proxy: bool = False, skewed: bool = False, impatient: bool = False, **settings: object
    ) -> ClusterProcess:
        """Start a worker and wait for its heartbeat.

        Args:
            via_proxy: whether its Redis connections go through the proxy.
            skewed: whether its clock is an hour fast.
            impatient: whether it runs with the short term of `faults.impatient`.
            settings: its settings, named without ``OFFLOOP_``.
        """
        command = _IMPATIENT if impatient else _OFFLOOP
        process = self._start((*command, "worker"), via_proxy=via_proxy, skewed=skewed, settings=settings)
        self.workers.append(process)
        await eventually(lambda: self._sends_heartbeats(process), f"{process.name} sends heartbeats", START_SECONDS)
        return process

    async def front_end(
        self, *, via_proxy: bool = False, impatient: bool = False, **settings: object
    ) -> ClusterProcess:
        """Start a front end and wait until it answers; the arguments are those of `worker`."""
        port = _free_port()
        command = _IMPATIENT if impatient else _OFFLOOP
        given = {"port": port, **settings}
        process = self._start((*command, "serve"), via_proxy=via_proxy, skewed=False, settings=given)
        process.address = f"http://127.0.0.1:{port}"
        self.front_ends.append(process)
        await eventually(lambda: asyncio.to_thread(_answers, process), f"{process.name} answers", START_SECONDS)
        return process

    def new_queue(self, front_end: str = "", *, via_proxy: bool = False) -> JobQueue:
        """The job queue of a front end; with `via_proxy` it has its own connection."""
        bounds = Bounds(retention_seconds=3600, max_queued=1_000_000, max_queued_per_principal=1_000_000)
        redis = connect(self.proxy.url, retries=2) if via_proxy else self.redis
        if via_proxy:
            self._stack.push_async_callback(redis.aclose, close_connection_pool=True)
        return JobQueue(redis, bounds, front_end=front_end)

    async def start_valkey(self) -> None:
        """Start or restart the Valkey on the same data, and wait until it answers."""
        self.valkey.begin()
        await poll(self.valkey.answers, "the Valkey answers", START_SECONDS)

    # --- jobs ---

    async def forget_free_slots(self) -> None:
        """Delete the advertised free slots of all workers."""
        if keys := [key async for key in self.redis.scan_iter(schema.FREE_SLOTS + "*")]:
            await self.redis.delete(*keys)

    async def lapse(self, *workers: Process) -> None:
        """Let the leases and heartbeats of killed or stopped workers expire now instead of after their terms.

        The next sweep finds Redis as it is 5 s after such a worker's last heartbeat.
        """
        for worker in workers:
            for owner in await self.redis.zrange(schema.heartbeats_key(fault_jobs.QUEUE), 0, -1):
                if f".{worker.pid}." in owner.decode():
                    await self.redis.zrem(schema.heartbeats_key(fault_jobs.QUEUE), owner)
            for job_id in await self.held_by(worker):
                await self.redis.delete(schema.LEASE + job_id)
                await self.redis.zadd(schema.LEASES + fault_jobs.QUEUE, {job_id: 0})

    async def leases(self) -> dict[str, int]:
        """Time left of each lease in milliseconds, by the clock of Redis; negative once it has expired."""
        seconds, microseconds = await self.redis.time()
        now = seconds * 1000 + microseconds // 1000
        found = await self.redis.zrange(schema.LEASES + fault_jobs.QUEUE, 0, -1, withscores=True)
        return {job_id.decode(): int(end) - now for job_id, end in found}

    def release(self, number: int = 0, attempt: int = 1) -> None:
        """Let an attempt of the held jobs with this number end, also one that begins later."""
        Path(f"{self.runs}.{number}.{attempt}").touch()

    async def submit(self, kind: str, seconds: float = 0.0, number: int = 0, **options: Any) -> Record:
        """Submit a job, bypassing the proxy."""
        submission = await self.queue.submit(
            KINDS[kind], self.input_of(kind, seconds, number), principal=PRINCIPAL, job_id=new_id(), **options
        )
        return submission.record

    def input_of(self, kind: str, seconds: float = 0.0, number: int = 0) -> Any:
        """The input of a kind."""
        return KINDS[kind].input(runs=str(self.runs), seconds=seconds, number=number)

    async def get(self, job_id: str) -> Record:
        """Read a job, bypassing the proxy."""
        return await self.queue.get(job_id, principal=PRINCIPAL)

    async def until_running(self, *records: Record) -> None:
        """Wait until each of these jobs has begun at least once."""
        await poll(lambda: {record.job_id for record in records} <= set(self.executions()), "the jobs run", 40)

    async def until_attempt(self, number: int, *records: Record) -> None:
        """Wait until that attempt of each of these jobs has begun."""
        ids = [record.job_id for record in records]
        await poll(lambda: all(number in self.executions()[i] for i in ids), f"attempt {number} of {ids} begins", 40)

    async def until_state(self, job_id: str, *states: str, seconds: float = 40.0) -> Record:
        """Wait for one of the states of a job."""
        found: list[Record] = []

        async def there() -> bool:
            found[:] = [await self.get(job_id)]
            return found[0].state.value in states

        await eventually(there, f"{job_id} is {' or '.join(states)}, it is {found}", seconds)
        return found[0]

    async def until_ended(self, records: list[Record], seconds: float = 40.0) -> list[Record]:
        """Wait for the end of all jobs."""
        return [await self.until_state(record.job_id, *TERMINAL, seconds=seconds) for record in records]

    def executions(self) -> dict[str, dict[int, list[float]]]:
        """Start times of the executions of each attempt of each job, as recorded by the jobs."""
        found: defaultdict[str, dict[int, list[float]]] = defaultdict(dict)
        if self.runs.exists():
            for line in self.runs.read_text().splitlines():
                job_id, attempt, at, _ = line.split()
                found[job_id].setdefault(int(attempt), []).append(float(at))
        return found

    def pid_of(self, job_id: str, attempt: int = 1) -> int:
        """Process id of the first execution of an attempt."""
        lines = [line.split() for line in self.runs.read_text().splitlines()]
        return next(int(pid) for job, number, _, pid in lines if (job, number) == (job_id, str(attempt)))

    async def held_by(self, worker: Process) -> set[str]:
        """The jobs leased to the worker."""
        held: set[str] = set()
        for job_id in await self.redis.zrange(schema.LEASES + fault_jobs.QUEUE, 0, -1):
            token = await self.redis.hget(schema.RECORD + job_id.decode(), "token")  # type: ignore[misc]  # the client is asynchronous
            if token and f".{worker.pid}." in token.decode():
                held.add(job_id.decode())
        return held

    # --- internals ---

    def _start(
        self, command: tuple[str, ...], *, via_proxy: bool, skewed: bool, settings: dict[str, object]
    ) -> ClusterProcess:
        self._started += 1
        name = f"{command[-1]}-{self._started}"
        path = [str(self.folder / "modules"), *([str(Path(__file__).parent / "clock")] if skewed else [])]
        given = {
            "redis_url": self.proxy.url if via_proxy else self.valkey.url,
            "state_dir": self.folder / "state",
            "slots": 2,
            "job_modules": "fault_jobs",
            "drain_seconds": DRAIN_SECONDS,
            "retention_seconds": 3600,
            "max_queued": 1_000_000,
            "max_queued_per_principal": 1_000_000,
            "log_format": "json",
            **({"queues": fault_jobs.QUEUE} if command[-1] == "worker" else {}),
            **settings,
        }
        environment = {
            **inherited(),
            **{f"OFFLOOP_{name.upper()}": str(value) for name, value in given.items()},
            "PYTHONPATH": os.pathsep.join([*path, *filter(None, [os.environ.get("PYTHONPATH")])]),
            "TMPDIR": str(self.folder / "tmp"),
            **({"FAULTS_CLOCK_SKEW": str(SKEW_SECONDS)} if skewed else {}),
        }
        process = ClusterProcess(name, command, environment, self.folder / f"{name}.log")
        process.via_proxy = via_proxy
        return process

    async def _sends_heartbeats(self, process: Process) -> bool:
        assert process.running, f"{process.name} has ended:\n{process.output[-3000:]}"
        with contextlib.suppress(RedisError, OSError):
            owners = await self.redis.zrange(schema.heartbeats_key(fault_jobs.QUEUE), 0, -1)
            return any(f".{process.pid}." in owner.decode() for owner in owners)
        return False

    async def _end_well(self) -> None:
        """Stop workers and front ends with SIGTERM; none of their children may stay."""
        self.valkey.thaw()
        living = [process for process in (*self.front_ends, *self.workers) if process.running]
        children = [pid for process in living for pid in process.descendants]
        for process in living:
            process.signal(signal.SIGCONT)
            process.signal(signal.SIGTERM)
        for process in living:
            await process.ended()
        await poll(lambda: not [pid for pid in children if Path(f"/proc/{pid}").exists()], "children are gone", 40)

    def _end_all(self) -> None:
        for process in (*self.front_ends, *self.workers):
            if process.running:
                process.kill()
        self.valkey.stop()


def _answers(process: ClusterProcess) -> bool:
    assert process.running, f"{process.name} has ended:\n{process.output[-3000:]}"
    return healthy(process.address)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
