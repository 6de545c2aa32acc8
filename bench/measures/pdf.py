"""PDF rendering through queue, worker and child, beside the same call in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from typing import Any

from bench import documents, rendering
from bench.measures.plan import Plan, running
from bench.report import Figures, quantile


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
