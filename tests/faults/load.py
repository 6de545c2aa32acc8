"""Clients that keep a cluster busy, and tell the history all they see.

What job number n of a seed is, and what is done with it, is decided by the seed and n alone; when it happens is not.
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
from faults.history import POISON, TERMINAL, History, Sight
from offloop.errors import NotFound, OffloopError, Unavailable
from offloop.queue.client import JobQueue, new_id
from offloop_server.client import Offloop

DIRECT_CLIENTS: Final = 14
HTTP_CLIENTS: Final = 4
FOLLOW_SECONDS: Final = 12.0
"""How long a client follows a job; what becomes of the others is read at the end."""
ONE_SECONDS: Final = 120.0
"""A client that is not done with one job by then, however much breaks, has found a fault that nobody brought about."""

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
"""What clients do, by weight."""


class Load:
    """The clients.

    Args:
        cluster: what they use.
        history: what they tell.
        jobs: how many jobs they ask for together.
        seconds: over how long a time, if the cluster can follow.
        seed: decides what each job is.

    Attributes:
        cancels: how long cancellations of running jobs took, from the request to the end, in seconds.
        done: how often each thing was done.
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
        """Ask for all the jobs; returns when the last client has lost interest in its last job."""
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
                await one(random.Random(f"{self._seed}:{number}"), number)  # noqa: S311 -- repeatable on purpose

    async def _direct(self, chance: random.Random, number: int) -> None:
        [what] = chance.choices(list(MIX), list(MIX.values()))
        self.done[what] += 1
        queue = self._queues[chance.random() < 0.15]
        match what:
            case "same id" | "same key":
                await self._twice(chance, queue, number, by_key=what == "same key")
            case "cancel":
                await self._cancel(chance, queue, number)
            case "poison":
                kinds, weights = list(POISON), [0.1 if kind == "flood" else 1 for kind in POISON]
                await self._follow(queue, await self._submit(queue, chance.choices(kinds, weights)[0], 0, number))
            case kind:
                job_id = await self._submit(queue, kind, _seconds(kind, chance), number, wait=chance.choice([0.0, 5.0]))
                await self._follow(queue, job_id)

    async def _twice(self, chance: random.Random, queue: JobQueue, number: int, *, by_key: bool) -> None:
        """Ask for one job from two sides at once, and once more when it has been followed."""
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
        """Have a job begun (or not yet) that would run for long, and stop it."""
        job_id = await self._submit(queue, chance.choice(["spin", "nap_again"]), 8.0, number)
        if chance.random() < 0.8:
            await self._follow(queue, job_id, until=frozenset({"running", *TERMINAL}))
        running = job_id in self._history.sights and self._history.last(job_id).state == "running"
        self._history.accepted[job_id].cancelled = True
        asked = time.time()
        while True:
            with contextlib.suppress(Unavailable):
                await queue.cancel(job_id, principal=PRINCIPAL)
                break
            await asyncio.sleep(0.1)
        last = await self._follow(queue, job_id)
        if running and last and last.state == "cancelled" and last.finished:
            self.cancels.append(last.finished / 1000 - asked)

    async def _submit(  # noqa: PLR0913 -- all of them say what to ask for
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
        """Ask until a job is accepted, always under the same id, as a client may."""
        job_id = job_id or new_id()
        value = self._cluster.input_of(kind, seconds, number)
        while True:
            asked = time.monotonic()
            try:
                submission = await queue.submit(
                    KINDS[kind], value, principal=PRINCIPAL, job_id=job_id, key=key, wait_seconds=wait
                )
            except Unavailable:
                await asyncio.sleep(0.1)
                continue
            if wait:  # or the job would be dropped where it waits for long: nobody would know it
                with contextlib.suppress(Unavailable):
                    await queue.disclose(job_id)
                    wait = 0
            if wait:
                continue
            self._history.accept(submission.record.job_id, kind, key)
            self._history.see("submit", asked, submission.record)
            return submission.record.job_id

    async def _follow(self, queue: JobQueue, job_id: str, until: frozenset[str] = TERMINAL) -> Sight | None:
        """Look until it is there, ever less often; None where it took too long."""
        end, pause = time.monotonic() + FOLLOW_SECONDS, 0.01
        while (asked := time.monotonic()) < end:
            with contextlib.suppress(Unavailable):
                try:
                    sight = self._history.see("poll", asked, await queue.get(job_id, principal=PRINCIPAL))
                except NotFound:
                    self._history.miss("poll", asked, job_id)
                    return None
                if sight.state in until:
                    return sight
            await asyncio.sleep(pause)
            pause = min(0.25, pause * 1.5)
        return None


class _HttpClient:
    """An MCP client: asks any front end, and another one where that breaks."""

    def __init__(self, cluster: Cluster, history: History, number: int) -> None:
        self._cluster = cluster
        self._history = history
        self._source = f"http client {number}"

    async def one(self, chance: random.Random, number: int) -> None:
        """Ask for a job, most often under a key, and long-poll until it has ended."""
        kind = chance.choices(["noop", "effect_again", "nap_again"], [8, 1.5, 0.5])[0]
        key = f"http-{number}" if chance.random() < 0.8 else None
        arguments = self._cluster.input_of(kind, _seconds(kind, chance), number).model_dump()
        budget = {"wait_seconds": chance.choice([0, 0.2, 5]), **({"idempotency_key": key} if key else {})}
        tool, asked_for = kind, {**arguments, **budget}
        end = time.monotonic() + 2 * FOLLOW_SECONDS
        while time.monotonic() < end:
            answer = await self._call(chance, tool, asked_for)
            if answer is None:
                if tool == kind and key is None:
                    return  # nobody knows whether there is a job; it may run or not
                continue
            job_id, asked, told = answer
            if tool == kind:
                self._history.accept(job_id, kind, key)
            self._history.see_answer(self._source, asked, told)
            if told["state"] in TERMINAL:
                break
            tool, asked_for = "job_status", {"job_id": job_id, "wait_seconds": chance.choice([0, 1, 5])}
        if chance.random() < 0.1:
            await self._list(chance)

    async def _call(
        self, chance: random.Random, tool: str, arguments: dict[str, Any]
    ) -> tuple[str, float, dict[str, Any]] | None:
        asked = time.monotonic()
        result = await self._ask(chance, tool, arguments)
        told = result.structured_content if result else None
        if isinstance(told, dict):
            return told["job_id"], asked, told
        if result and tool == "job_status" and "No job" in str(result.content):
            self._history.miss(self._source, asked, arguments["job_id"])
        await asyncio.sleep(0.1)
        return None

    async def _list(self, chance: random.Random) -> None:
        asked = time.monotonic()
        result = await self._ask(chance, "list_jobs", {"limit": 50})
        if result and isinstance(result.structured_content, dict):
            for told in result.structured_content["jobs"]:
                self._history.see_answer(f"{self._source}, list", asked, told)

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
