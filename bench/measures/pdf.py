"""PDF rendering through queue, worker and child, beside the same call in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from typing import Any, Final

from bench import documents, rendering, usage
from bench.measures.plan import Plan, running
from bench.report.figures import Figures, quantile
from bench.rig import Rig

POOLS: Final = {
    "mcp-pool-fork": "mcp-pool, fork",
    "mcp-pool-spawn": "mcp-pool, spawn",
    "mcp-pool-forkserver": "mcp-pool, forkserver",
    "mcp-pool-fork-10": "mcp-pool, fork, replaced after 10 tasks",
    "mcp-pool-forkserver-10": "mcp-pool, forkserver, replaced after 10 tasks",
}
"""Names in the table of the settings of the process pool."""


async def invoice(plan: Plan, figures: Figures) -> None:
    """One caller, one worker with one child: an invoice of one page, and a report of ten.

    ``bare`` is the same render function, warm, called again and again in one process without queue, worker or file
    store; ``weasyprint`` is the library alone, without our theme and checks. ``reuse`` renders in a child that rendered
    before, ``fork`` in a fresh one each time; ``mcp-…`` comes through the front end as well.
    """
    for _ in range(plan.rounds):
        for document, count in (("invoice", plan.of(30, 6)), ("ten", plan.of(8, 2))):
            for call in plan.among("bare", "weasyprint"):
                await _bare(call, document, count, figures)
            for name in plan.among("offloop", "mcp-offloop"):
                async with running(name, figures) as stack:
                    for isolation in ("reuse", "fork"):
                        action = document if name == "mcp-offloop" and document == "ten" else f"{document}-{isolation}"
                        await stack.order("sequence", action=action, count=2)
                        times = (await stack.order("sequence", action=action, count=count))["ms"]
                        figures.add(f"{document} p50", f"{name} {isolation}", "ms", quantile(times, 0.5))


async def two_workers(plan: Plan, figures: Figures) -> None:
    """Eight callers, a fresh child for each PDF: PDFs a second of one worker with one child, and of two such."""
    for _ in range(plan.rounds):
        for workers in (1, 2):
            for name in plan.among("offloop"):
                async with running(name, figures, workers=workers) as stack:
                    for document in ("invoice", "ten"):
                        action = f"{document}-fork"
                        await stack.order("crowd", action=action, callers=4, seconds=1)
                        answer = await stack.order("crowd", action=action, callers=8, seconds=plan.of(8, 2))
                        rate = answer["count"] / answer["seconds"]
                        figures.add(f"{document}, {workers} workers", name, "PDFs/s", rate)


async def throughput(plan: Plan, figures: Figures) -> None:
    """Eight callers through MCP, two processes that render: ten-page PDFs and one-page invoices a second.

    Ours as two workers of one slot and as one worker of two, in forked and in reused children; the pool of a server in
    each start method, and with processes that are replaced after ten tasks, warmed up by its initializer. Both render
    with the same function; ours also stores the file and answers with a link. CPU time is that of all processes but
    the client and Redis, by the number of PDFs.
    """
    for _ in range(plan.rounds):
        for workers, slots in ((2, 1), (1, 2)):
            for name in plan.among("mcp-offloop", "mcp-before"):
                async with running(name, figures, workers=workers, slots=slots) as stack:
                    shape = "2 workers of 1 slot" if workers == 2 else "1 worker of 2 slots"  # noqa: PLR2004 -- or one
                    for isolation, children in (("fork", "forked children"), ("reuse", "reused children")):
                        await _pdfs_a_second(stack, f"{name}, {children}, {shape}", isolation, plan, figures)
        for name in plan.among(*POOLS):
            async with running(name, figures) as stack:
                await _pdfs_a_second(stack, POOLS[name], "fork", plan, figures)


async def _pdfs_a_second(stack: Rig, label: str, isolation: str, plan: Plan, figures: Figures) -> None:
    processes = [process.pid for process in (stack.server, *stack.workers) if process]
    for document, kind, seconds in (("ten", "ten-page PDFs", plan.of(6, 2)), ("invoice", "invoices", plan.of(2, 1))):
        action = f"{document}-{isolation}"
        await stack.order("crowd", action=action, callers=4, seconds=0.5)
        before = sum(map(usage.cpu_seconds, processes))
        answer = await stack.order("crowd", action=action, callers=8, seconds=seconds)
        spent = sum(map(usage.cpu_seconds, processes)) - before
        figures.add(f"{kind}, 8 callers", label, "PDFs/s", answer["count"] / answer["seconds"])
        figures.add(f"{kind}, 8 callers", label, "CPU s each", spent / answer["count"])


async def _bare(call: str, document: str, count: int, figures: Figures) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.measures.pdf", call, document, str(count)), stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(300):
        output, _ = await process.communicate()
    figures.add(f"{document} p50", call, "ms", quantile(json.loads(output), 0.5))


def _main(call: str, document: str, count: str) -> None:
    render: Any = rendering.render if call == "bare" else rendering.weasyprint_alone
    make = documents.invoice if document == "invoice" else documents.ten_pages
    times = []
    with contextlib.redirect_stdout(sys.stderr):
        for number in range(int(count) + 2):
            html, began = make(), time.perf_counter()
            render(html)
            if number >= 2:  # noqa: PLR2004 -- two to warm up
                times.append((time.perf_counter() - began) * 1000)
    sys.stdout.write(json.dumps(times))


if __name__ == "__main__":
    _main(*sys.argv[1:])
