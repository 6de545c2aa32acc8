"""Scaling: cost by the number of queued jobs and by the number of workers."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from typing import Any, Final, Self

from bench import jobs
from bench.measures.plan import Plan, running
from bench.report.figures import Figures
from bench.rig import valkey
from offloop.queue.client import PENDING_SECONDS, Bounds, JobQueue, new_id
from offloop.redis import codec, schema, scripts
from offloop.redis.connection import connect

DEPTHS = (10, 1_000, 100_000)
FLEETS = (1, 4, 16, 64)


async def depth(plan: Plan, figures: Figures) -> None:
    """Submit and claim with 10, 1,000 and 100,000 jobs queued: three servers in rotation, so noise affects all alike.

    No worker runs; after each submit one job is claimed and finished, so the depth stays. Times include the round trip;
    the jobs wait in the lines of ten principals.
    """
    depths = [size for size in DEPTHS if size <= plan.of(100_000, 1_000)]
    async with AsyncExitStack() as stack:
        shallow = [await stack.enter_async_context(_Filled(size)) for size in depths]
        times: dict[tuple[str, int], list[float]] = {}
        for number in range(plan.of(600, 100) * plan.rounds):
            for filled in shallow:
                for what, step in (("submit", filled.submit), ("claim", filled.claim)):
                    began = time.perf_counter()
                    await step(number)
                    times.setdefault((what, filled.size), []).append((time.perf_counter() - began) * 1000)
                await filled.finish()
    for (what, size), sample in times.items():
        figures.add(f"{what} at {size:,} queued", "offloop", "ms", median(sample))


class _Filled:
    """A server with that many jobs queued."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._stack = AsyncExitStack()
        self._claimed: list[bytes] = []

    async def __aenter__(self) -> Self:
        folder = Path(tempfile.mkdtemp(prefix="bench-"))
        self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
        redis = connect(await self._stack.enter_async_context(valkey(folder)))
        self._stack.push_async_callback(redis.aclose)
        self._queue = JobQueue(redis, Bounds(3600, 10**7, 10**7))
        self._claim: Callable[..., Awaitable[Any]] = scripts.load(redis, scripts.HEARTBEAT)
        self._finish: Callable[..., Awaitable[Any]] = scripts.load(redis, scripts.FINISH)
        for start in range(0, self.size, 50):
            await asyncio.gather(*(self.submit(start + more) for more in range(min(50, self.size - start))))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def submit(self, number: int) -> None:
        await self._queue.submit(jobs.noop, jobs.Nothing(), principal=f"p{number % 10}", job_id=new_id())

    async def claim(self, _number: int) -> None:
        _, _, self._claimed = await self._claim(_ROTATION, [*_want(slots=1), 5000, codec.pack_for_lua({})])

    async def finish(self) -> None:
        for packed in self._claimed:
            row = codec.unpack_row(packed, binary=("payload", "references"))
            what = [row["job_id"], row["token"], "completed", b"x" * 100, 3_600_000]
            await self._finish(_ROTATION, [*_want(slots=0), *what])


_ROTATION: Final = [schema.rotation_key("default", "batch")]


def _want(*, slots: int) -> list[Any]:
    terms = {"queues": [], "lanes": [("default", "batch")], "lease": 4000, "retention": 3_600_000, "abandoned": b""}
    return ["bench", "default", slots, PENDING_SECONDS * 1000, codec.pack_for_lua(terms)]


async def fleet(plan: Plan, figures: Figures) -> None:
    """Noop latency, and 64 callers, with 1, 4, 16 and 64 workers of one slot.

    These workers are event loops of one process beside the callers', and perform a noop without children: on
    two cores 64 sets of processes would only measure the scheduler. The measure shows what more workers cost the queue.
    """
    for _ in range(plan.rounds):
        for size in FLEETS:
            async with running("offloop-fleet", figures, slots=size) as stack:
                sys.stderr.write(f"    {size} workers in one process\n")
                await stack.order("sequence", action="noop", count=100)
                before = await stack.requests()
                times = (await stack.order("sequence", action="noop", count=plan.of(600, 100)))["ms"]
                requests = (await stack.requests() - before - 1) / len(times)
                figures.add(f"noop p50, {size} workers", "offloop-fleet", "ms", median(times))
                figures.add(f"requests per job, {size} workers", "offloop-fleet", "", requests)
                answer = await stack.order("crowd", action="noop", callers=64, seconds=plan.of(3, 1))
                rate = answer["count"] / answer["seconds"]
                figures.add(f"64 callers, fleet of {size}", "offloop-fleet", "jobs/s", rate)
