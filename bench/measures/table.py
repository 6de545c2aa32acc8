"""A long table: what our own part of a rendering costs where the layout takes seconds."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from bench import documents, rendering
from bench.measures.plan import Plan
from bench.report import Figures


async def table(plan: Plan, figures: Figures) -> None:
    """One table of a hundred pages: ``offloop child`` is ``render_pdf`` in a fresh child of a warm zygote.

    ``weasyprint`` is the library's own call in a warm process, with nothing around it. Both alternate.
    """
    count = plan.of(3, 1)
    for _ in range(plan.rounds):
        for call, stack in (("weasyprint", "weasyprint"), ("child", "offloop child")):
            if plan.among(call if call == "weasyprint" else "offloop"):
                figures.add("100-page table", stack, "s", await _seconds(call, count))


async def _seconds(call: str, count: int) -> float:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.measures.table", call, str(count)), stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(600):
        output, _ = await process.communicate()
    found: float = json.loads(output)
    return found


async def _in_children(count: int) -> list[float]:
    """Seconds from handing the task to a waiting child until its file lies there."""
    from offloop.jobs.pdf import render_pdf  # noqa: PLC0415 -- the other call does without
    from offloop_workers.children import Children, Task  # noqa: PLC0415 -- the same

    times = []
    with tempfile.TemporaryDirectory() as folder:
        async with Children(1, ("pdf",), Path(folder) / "temporary") as children:
            for number in range(count + 1):
                html, began = documents.table() if number else "<p>warm", time.perf_counter()
                task = Task(render_pdf, f"table-{number}", 1, {"html": html}, f"{folder}/{number}", {})
                await children.run(task, lambda _progress: None)
                times.append(time.perf_counter() - began)
    return times[1:]


def _alone(count: int) -> list[float]:
    rendering.weasyprint_alone("<p>warm")
    times = []
    for _ in range(count):
        html, began = documents.table(), time.perf_counter()
        rendering.weasyprint_alone(html)
        times.append(time.perf_counter() - began)
    return times


def _main(call: str, count: str) -> None:
    with contextlib.redirect_stdout(sys.stderr):
        times = _alone(int(count)) if call == "weasyprint" else asyncio.run(_in_children(int(count)))
    sys.stdout.write(json.dumps(median(times)))


if __name__ == "__main__":
    _main(*sys.argv[1:])
