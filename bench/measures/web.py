"""MCP over HTTP, with the revision of the protocol that needs no session."""

from __future__ import annotations

import os
from typing import Final

from bench import usage
from bench.http import CLIENT
from bench.measures.plan import Plan, running
from bench.report.figures import Figures, quantile

SERVERS: Final = ("mcp-offloop", "mcp-before", "mcp-pool", "mcp-docket", "mcp-arq")


async def lean(plan: Plan, figures: Figures) -> None:
    """The same with a lean client, so that the servers are compared and not their callers."""
    os.environ[CLIENT] = "lean"
    try:
        await web(plan, figures)
    finally:
        del os.environ[CLIENT]


async def web(plan: Plan, figures: Figures) -> None:
    """Two workers with one child each (or a pool of two): noop, calls a second, ten-page PDFs, light calls beside them.

    Callers are coroutines of one process, which share one client of the official SDK. The light tool is one the server
    answers itself with nothing; it is called every 10 ms while eight callers keep PDFs coming.
    Memory is the server process's proportional share after all that.
    """
    mcp = "MCP, lean client:" if CLIENT in os.environ else "MCP"
    for _ in range(plan.rounds):
        for name in plan.among(*SERVERS):
            async with running(name, figures, workers=2) as stack:
                count = plan.of(20, 4) if name == "mcp-arq" else plan.of(600, 100)
                await stack.order("crowd", action="noop", callers=8, seconds=1)
                times = (await stack.order("sequence", action="noop", count=count))["ms"]
                figures.add(f"{mcp} noop p50", name, "ms", quantile(times, 0.5))
                figures.add(f"{mcp} noop p99", name, "ms", quantile(times, 0.99))
                answer = await stack.order("crowd", action="noop", callers=32, seconds=plan.of(4, 1))
                figures.add(f"{mcp} 32 callers", name, "calls/s", answer["count"] / answer["seconds"])
                await stack.order("crowd", action="ten", callers=4, seconds=1)
                answer = await stack.order("crowd", action="ten", callers=8, seconds=plan.of(10, 2))
                figures.add(f"{mcp} ten-page PDFs, 8 callers", name, "PDFs/s", answer["count"] / answer["seconds"])
                times = (await stack.order("sequence", action="light", count=count, pause=0.005))["ms"]
                figures.add(f"{mcp} light p50, alone", name, "ms", quantile(times, 0.5))
                order = {"action": "light", "load": "ten", "callers": 8, "seconds": plan.of(10, 2)}
                times = (await stack.order("beside", **order))["ms"]
                figures.add(f"{mcp} light p50 beside 8 PDFs", name, "ms", quantile(times, 0.5))
                figures.add(f"{mcp} light p99 beside 8 PDFs", name, "ms", quantile(times, 0.99))
                if stack.server:
                    figures.add("server memory", name, "MiB", usage.memory_mib(stack.server.pid))
