"""Dispatch: a job that does nothing, in every stack."""

from __future__ import annotations

import asyncio
from typing import Final

from bench import usage
from bench.measures.plan import Plan, running
from bench.report.figures import Figures, quantile

QUEUES: Final = ("floor", "offloop-waiting", "offloop", "docket", "saq", "taskiq", "arq-10ms", "arq")
SLOTS: Final = 2
"""Children of one worker of ours. The peers run up to 64 noops on their event loop (taskiq 100), and so does ours where
the kind needs no process (``offloop-waiting``)."""
LIGHT_SLOTS: Final = 8
"""Children per worker in throughput measures; more than cores, because an idle child only waits for messages."""


async def latency(plan: Plan, figures: Figures) -> None:
    """One caller, one worker, one noop after the other: from submit until the result arrives.

    Ours goes through a child process, or, as the peers' do, runs on the worker's event loop (``offloop-waiting``).
    Requests per job are those the server read from all its clients during the sequence.
    """
    for _ in range(plan.rounds):
        for name in plan.among(*QUEUES):
            count = plan.of(20, 5) if name == "arq" else plan.of(1000, 200)
            async with running(name, figures, slots=SLOTS) as stack:
                await stack.order("sequence", action="noop", count=3 if name == "arq" else 100)
                before = await stack.requests()
                times = (await stack.order("sequence", action="noop", count=count))["ms"]
                requests = await stack.requests() - before - 1
                figures.add("noop p50", name, "ms", quantile(times, 0.5))
                figures.add("noop p99", name, "ms", quantile(times, 0.99))
                figures.add("requests per job", name, "", requests / count)


async def throughput(plan: Plan, figures: Figures) -> None:
    """64 callers in one process, each submitting its next noop when it has the result of the last; 1, 2, 4 workers."""
    for _ in range(plan.rounds):
        for workers in (1, 2, 4):
            for name in plan.among(*QUEUES[1:]):
                async with running(name, figures, workers=workers, slots=LIGHT_SLOTS) as stack:
                    await stack.order("crowd", action="noop", callers=64, seconds=0.5)
                    answer = await stack.order("crowd", action="noop", callers=64, seconds=plan.of(4, 1))
                    rate = answer["count"] / answer["seconds"]
                    figures.add(f"64 callers, {workers} workers", name, "jobs/s", rate)


async def idle(plan: Plan, figures: Figures) -> None:
    """CPU time of one worker and its children while no job is submitted."""
    for _ in range(plan.rounds):
        for name in plan.among(*QUEUES[1:]):
            async with running(name, figures, slots=SLOTS) as stack:
                await asyncio.sleep(1)
                seconds, pid = plan.of(10, 3), stack.workers[0].pid
                before = usage.cpu_seconds(pid)
                await asyncio.sleep(seconds)
                figures.add("idle worker", name, "% CPU", (usage.cpu_seconds(pid) - before) / seconds * 100)
