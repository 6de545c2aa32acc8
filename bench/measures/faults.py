"""Cancellation and recovery: time to stop a job, and to run it again after a loss; there is no peer to compare with."""

from __future__ import annotations

import asyncio
import os
import signal
import time

from bench.measures.plan import Plan, running
from bench.report.figures import Figures, quantile
from bench.rig import OrderError, Rig


async def cancel(plan: Plan, figures: Figures) -> None:
    """A child in a C loop that holds the interpreter's lock: from the request to cancel until the job is cancelled.

    The state changes when the child is gone. Times of all rounds are one sample.
    """
    times: list[float] = []
    for name in plan.among("offloop"):
        async with running(name, figures) as stack:
            count = plan.rounds * plan.of(20, 5)
            times += [(await stack.order("once", action="cancel"))["answer"] for _ in range(count)]
            figures.add("cancel a C loop p50", name, "ms", quantile(times, 0.5))
            figures.add("cancel a C loop p99", name, "ms", quantile(times, 0.99))


async def recover(plan: Plan, figures: Figures) -> None:
    """SIGKILL to the worker that runs a job: until the job's function runs in the other worker.

    Two workers; a new one replaces the killed one. Times of all rounds are one sample.
    """
    times: list[float] = []
    for name in plan.among("offloop"):
        async with running(name, figures, workers=2) as stack:
            count = max(plan.of(10, 2), plan.rounds * plan.of(4, 1))
            times += [await _kill_and_wait(stack, number) for number in range(count)]
            figures.add("kill -9 to second run p50", name, "s", quantile(times, 0.5))
            figures.add("kill -9 to second run p99", name, "s", quantile(times, 0.99))


async def _kill_and_wait(stack: Rig, number: int) -> float:
    notes = stack.folder / f"recover-{number}"
    await stack.order("once", action="recover", arguments={"path": str(notes)})
    worker = int(notes.read_text().split()[0])
    process = next(process for process in stack.workers if process.pid == worker)
    killed = time.monotonic()
    os.kill(worker, signal.SIGKILL)
    await process.wait()
    stack.workers.remove(process)
    await stack.start_worker()
    while len(lines := notes.read_text().splitlines()) < 2:  # noqa: PLR2004 -- a second line
        await asyncio.sleep(0.02)
        if time.monotonic() - killed > 30:  # noqa: PLR2004 -- five times the target
            message = f"the job of killed worker {worker} was not run again within 30 s"
            raise OrderError(message)
    return float(lines[1].split()[1]) - killed
