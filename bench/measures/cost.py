"""Cost of running offloop: CPU time of a call, by process, and memory of each process."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from bench.measures.plan import Plan, running
from bench.report.figures import Figures
from bench.rig import OrderError, Rig
from bench.usage import Family, cpu_seconds, memory_mib, own_cpu_seconds

SLOTS: Final = (1, 4, 16)
CALLS: Final = 10_000
"""Calls after which a front end counts as used."""
_CALLS_SECONDS: Final = 240
_START_SECONDS: Final = 60
_SAMPLE_SECONDS: Final = 0.2


async def cpu(plan: Plan, figures: Figures) -> None:
    """CPU time of a noop through MCP with the official client, by process: user and system time from /proc.

    Two workers with one child each, or a pool of two, as in ``web``; one caller, then 32. ``server side`` is all but
    the client. A second of calls comes before.
    """
    for _ in range(plan.rounds):
        for name in plan.among("mcp-offloop", "mcp-before", "mcp-pool"):
            async with running(name, figures, workers=2) as stack:
                await stack.order("crowd", action="noop", callers=8, seconds=1)
                for callers, crowd, calls in ((1, "one caller", (1500, 200)), (32, "32 callers", (4000, 400))):
                    for part, value in (await _noops(stack, callers, plan.of(*calls))).items():
                        figures.add(f"CPU per noop, {crowd}: {part}", name, "ms", value)


async def _noops(stack: Rig, callers: int, calls: int) -> dict[str, float]:
    """Milliseconds of CPU for a call, by process."""
    before = await _cpu_by_process(stack)
    await stack.order("crowd", action="noop", callers=callers, seconds=_CALLS_SECONDS, calls=calls)
    after = await _cpu_by_process(stack)
    spent = {part: (after[part] - before[part]) / calls * 1000 for part in after}
    return {**spent, "server side": sum(spent.values()) - spent["client"]}


async def _cpu_by_process(stack: Rig) -> dict[str, float]:
    """CPU seconds so far; time of children that have ended counts as the children's."""
    spent = {"client": own_cpu_seconds(stack.client.pid if stack.client else 0)}
    if stack.server:
        spent["front end"] = own_cpu_seconds(stack.server.pid)
        if not stack.workers:
            return {**spent, "children": cpu_seconds(stack.server.pid) - spent["front end"]}
    families = [Family.of(worker.pid) for worker in stack.workers]
    spent["workers"] = sum(own_cpu_seconds(one.head) for one in families)
    spent["zygotes"] = sum(own_cpu_seconds(zygote) for one in families for zygote in one.zygotes)
    whole = sum(cpu_seconds(one.head) for one in families)
    spent["children"] = whole - spent["workers"] - spent["zygotes"]
    spent["Redis"] = own_cpu_seconds(await stack.redis_pid())
    return spent


async def memory(plan: Plan, figures: Figures) -> None:
    """Proportional set size of front end, worker, zygote and a child (the mean), for a worker of 1, 4 and 16 slots.

    The worker serves all queues, as by default. ``idle``: no slot had a job yet. ``hashed``: 20 files a slot.
    ``rendering``: each slot renders ten pages, the largest sum that was seen, five samples a second. ``rendered``:
    each child has rendered ten pages and waits for its next job, as that of a kind with ``isolation="reuse"`` does; the
    child of any other kind is replaced by an idle one. The front end is measured before and after 10,000 noops of 32
    callers.
    """
    for _ in range(plan.rounds):
        for slots in SLOTS:
            for name in plan.among("mcp-offloop", "mcp-before"):
                async with running(name, figures, slots=slots, settings={"OFFLOOP_QUEUES": ""}) as stack:
                    await _memory(stack, slots, figures)
                    if slots == SLOTS[0] and stack.server:
                        await _noops(stack, 32, plan.of(CALLS, CALLS // 50))
                        figures.add(f"front end, after {CALLS:,} calls", name, "MiB", memory_mib(stack.server.pid))


async def _memory(stack: Rig, slots: int, figures: Figures) -> None:
    worker = stack.workers[0].pid
    await _until_complete(worker, slots)
    if stack.server:
        figures.add("front end, fresh", stack.name, "MiB", memory_mib(stack.server.pid))
    _add_worker(stack, slots, "idle", figures)
    each = {"callers": slots, "seconds": _CALLS_SECONDS}
    await stack.order("crowd", action="hash", calls=20 * slots, **each)
    _add_worker(stack, slots, "hashed", figures)
    peak, rendering = 0.0, asyncio.create_task(stack.order("crowd", action="ten-reuse", calls=slots, **each))
    while not rendering.done():
        peak = max(peak, memory_mib(worker, whole_family=True))
        await asyncio.wait({rendering}, timeout=_SAMPLE_SECONDS)
    await rendering
    figures.add(f"worker and all below, {_slots(slots)}, rendering", stack.name, "MiB", peak)
    await _until_complete(worker, slots)
    _add_worker(stack, slots, "rendered", figures)


async def _until_complete(worker: int, slots: int) -> None:
    """Wait until each slot has its child.

    Raises:
        OrderError: there are too few after a minute.
    """
    deadline = time.monotonic() + _START_SECONDS
    while (found := len(Family.of(worker).children)) < slots:
        if time.monotonic() > deadline:
            message = f"worker {worker} has {found} children for {_slots(slots)}"
            raise OrderError(message)
        await asyncio.sleep(0.1)


def _add_worker(stack: Rig, slots: int, when: str, figures: Figures) -> None:
    one = Family.of(stack.workers[0].pid)
    found = {
        "worker": memory_mib(one.head),
        "zygote": sum(map(memory_mib, one.zygotes)),
        "child": sum(map(memory_mib, one.children)) / len(one.children),
        "worker and all below": memory_mib(one.head, whole_family=True),
    }
    for part, value in found.items():
        if not value:
            message = f"no memory of the {part}: /proc/<pid>/smaps_rollup cannot be read"
            raise OrderError(message)
        figures.add(f"{part}, {_slots(slots)}, {when}", stack.name, "MiB", value)


def _slots(count: int) -> str:
    return "1 slot" if count == 1 else f"{count} slots"
