"""Load: simulated clients that submit, follow and cancel jobs, and record their observations.

The seed and the job's number determine the job and the operations on it; their timing is not deterministic.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final

from mcp_types import CallToolResult

from faults.cluster import KINDS, PRINCIPAL, Cluster
from faults.history import POISON, TERMINAL, History, Observation
from offloop.errors import NotFound, OffloopError, Unavailable
from offloop.queue.client import JobQueue, new_id
from offloop_server.client import Offloop

DIRECT_CLIENTS: Final = 14
HTTP_CLIENTS: Final = 4
FOLLOW_SECONDS: Final = 12.0
"""Time limit of following a job; later outcomes are read at the end of the run."""
ONE_SECONDS: Final = 120.0
"""Time limit of a client for one job; exceeding it is an error, whatever faults are injected."""

MIX: Final = {
    "noop": 45,
    "effect": 30,
    "effect_again": 4,
    "nap": 6,
    "nap_again": 3,
    "same id": 4,
    "same key": 4,
    "cancel": 2,
    "poison": 1,
}
"""Operations of the clients, with weights."""


class Load:
    """All clients.

    Args:
        cluster: the cluster.
        history: receives the observations.
        jobs: number of jobs of all clients together.
        seconds: duration of the load, if the cluster keeps up.
        seed: determines each job.

    Attributes:
        cancels: times from the request of a cancellation to the end of the running job, in seconds.
        done: number of operations by name.
    """

    def __init__(self, cluster: Cluster, history: History, *, jobs: int, seconds: float, seed: int) -> None:
        self._cluster = cluster
        self._history = history
        self._jobs = jobs
        self._pace = seconds / jobs
        self._seed = seed
        self._numbers = itertools.count()
        self._queues = [cluster.queue, cluster.new_queue(via_proxy=True)]
        self.cancels: list[float] = []
        self.done: Counter[str] = Counter()

    async def run(self) -> None:
        """Submit all jobs; returns when the clients have stopped following them."""
        self._begun = time.monotonic()
        async with asyncio.TaskGroup() as clients:
            for _ in range(DIRECT_CLIENTS):
                clients.create_task(self._client(self._direct))
            for number in range(HTTP_CLIENTS):
                clients.create_task(self._client(_HttpClient(self._cluster, self._history, number).one))

    async def _client(self, one: Callable[[random.Random, int], Awaitable[None]]) -> None:
        while (number := next(self._numbers)) < self._jobs:
            await asyncio.sleep(self._begun + number * self._pace - time.monotonic())
            async with asyncio.timeout(ONE_SECONDS):
                await one(random.Random(f"{self._seed}:{number}"), number)  # noqa: S311 -- repeatable by its seed

    async def _direct(self, chance: random.Random, number: int) -> None:
        [operation] = chance.choices(list(MIX), list(MIX.values()))
        self.done[operation] += 1
        queue = self._queues[chance.random() < 0.15]
        match operation:
            case "same id" | "same key":
                await self._twice(chance, queue, number, by_key=operation == "same key")
            case "cancel":
                await self._cancel(chance, queue, number)
            case "poison":
                kinds, weights = list(POISON), [0.1 if kind == "flood" else 1 for kind in POISON]
                await self._follow(queue, await self._submit(queue, chance.choices(kinds, weights)[0], 0, number))
            case kind:
                job_id = await self._submit(queue, kind, _seconds(kind, chance), number, wait=chance.choice([0.0, 5.0]))
                await self._follow(queue, job_id)

    async def _twice(self, chance: random.Random, queue: JobQueue, number: int, *, by_key: bool) -> None:
        """Submit one job through two connections concurrently, and again after it has ended."""
        key = f"direct-{number}" if by_key else None
        job_id = None if by_key else new_id()
        kind = chance.choice(["effect", "effect_again"]) if not by_key else "effect_again"
        ids = set(
            await asyncio.gather(
                *(self._submit(one, kind, 0, number, key=key, job_id=job_id) for one in self._queues),
            )
        )
        for found in ids:
            await self._follow(queue, found)
        await self._submit(queue, kind, 0, number, key=key, job_id=job_id)

    async def _cancel(self, chance: random.Random, queue: JobQueue, number: int) -> None:
        """Submit a long job and cancel it, usually once it runs."""
        job_id = await self._submit(queue, chance.choice(["spin", "nap_again"]), 8.0, number)
        if chance.random() < 0.8:
            await self._follow(queue, job_id, until=frozenset({"running", *TERMINAL}))
        running = job_id in self._history.observations and self._history.last(job_id).state == "running"
        self._history.accepted[job_id].cancelled = True
        requested = time.time()
        while True:
            with contextlib.suppress(Unavailable):
                await queue.cancel(job_id, principal=PRINCIPAL)
                break
            await asyncio.sleep(0.1)
        last = await self._follow(queue, job_id)
        if running and last and last.state == "cancelled" and last.finished:
            self.cancels.append(last.finished / 1000 - requested)

    async def _submit(  # noqa: PLR0913 -- the parts of a request
        self,
        queue: JobQueue,
        kind: str,
        seconds: float,
        number: int,
        *,
        key: str | None = None,
        job_id: str | None = None,
        wait: float = 0.0,
    ) -> str:
        """Submit until accepted, with the same id on every attempt."""
        job_id = job_id or new_id()
        value = self._cluster.input_of(kind, seconds, number)
        while True:
            requested = time.monotonic()
            try:
                submission = await queue.submit(
                    KINDS[kind], value, principal=PRINCIPAL, job_id=job_id, key=key, wait_seconds=wait
                )
            except Unavailable:
                await asyncio.sleep(0.1)
                continue
            if wait:  # else the job, whose id is not disclosed yet, would be dropped after its wait budget
                with contextlib.suppress(Unavailable):
                    await queue.mark_disclosed(job_id)
                    wait = 0
            if wait:
                continue
            self._history.accept(submission.record.job_id, kind, key)
            self._history.observe("submit", requested, submission.record)
            return submission.record.job_id

    async def _follow(self, queue: JobQueue, job_id: str, until: frozenset[str] = TERMINAL) -> Observation | None:
        """Poll with backoff until one of the states; ``None`` after `FOLLOW_SECONDS`."""
        end, pause = time.monotonic() + FOLLOW_SECONDS, 0.01
        while (requested := time.monotonic()) < end:
            with contextlib.suppress(Unavailable):
                try:
                    observation = self._history.observe("poll", requested, await queue.get(job_id, principal=PRINCIPAL))
                except NotFound:
                    self._history.observe_missing("poll", requested, job_id)
                    return None
                if observation.state in until:
                    return observation
            await asyncio.sleep(pause)
            pause = min(0.25, pause * 1.5)
        return None


class _HttpClient:
    """An MCP client that uses a random front end for each request."""

    def __init__(self, cluster: Cluster, history: History, number: int) -> None:
        self._cluster = cluster
        self._history = history
        self._source = f"http client {number}"

    async def one(self, chance: random.Random, number: int) -> None:
        """Submit a job, usually with an idempotency key, and long-poll until it has ended."""
        kind = chance.choices(["noop", "effect_again", "nap_again"], [8, 1.5, 0.5])[0]
        key = f"http-{number}" if chance.random() < 0.8 else None
        arguments = self._cluster.input_of(kind, _seconds(kind, chance), number).model_dump()
        budget = {"wait_seconds": chance.choice([0, 0.2, 5]), **({"idempotency_key": key} if key else {})}
        tool, request = kind, {**arguments, **budget}
        end = time.monotonic() + 2 * FOLLOW_SECONDS
        while time.monotonic() < end:
            answer = await self._call(chance, tool, request)
            if answer is None:
                if tool == kind and key is None:
                    return  # unknown whether the job was accepted
                continue
            job_id, requested, content = answer
            if tool == kind:
                self._history.accept(job_id, kind, key)
            self._history.observe_answer(self._source, requested, content)
            if content["state"] in TERMINAL:
                break
            tool, request = "job_status", {"job_id": job_id, "wait_seconds": chance.choice([0, 1, 5])}
        if chance.random() < 0.1:
            await self._list(chance)

    async def _call(
        self, chance: random.Random, tool: str, arguments: dict[str, Any]
    ) -> tuple[str, float, dict[str, Any]] | None:
        requested = time.monotonic()
        result = await self._ask(chance, tool, arguments)
        content = result.structured_content if result else None
        if isinstance(content, dict):
            return content["job_id"], requested, content
        if result and tool == "job_status" and "No job" in str(result.content):
            self._history.observe_missing(self._source, requested, arguments["job_id"])
        await asyncio.sleep(0.1)
        return None

    async def _list(self, chance: random.Random) -> None:
        requested = time.monotonic()
        result = await self._ask(chance, "list_jobs", {"limit": 50})
        if result and isinstance(result.structured_content, dict):
            for job in result.structured_content["jobs"]:
                self._history.observe_answer(f"{self._source}, list", requested, job)

    async def _ask(self, chance: random.Random, tool: str, arguments: dict[str, Any]) -> CallToolResult | None:
        living = [process for process in self._cluster.front_ends if process.running]
        if not living:
            return None
        try:
            async with asyncio.timeout(30), Offloop(f"{chance.choice(living).address}/mcp") as client:
                return await client.call(tool, arguments)
        except (OffloopError, OSError, TimeoutError, ExceptionGroup):
            return None


def _seconds(kind: str, chance: random.Random) -> float:
    match kind:
        case "nap":
            return chance.uniform(0.02, 0.3)
        case "nap_again":
            return 6.0 if chance.random() < 0.05 else chance.uniform(0.1, 1.0)
    return 0.0
