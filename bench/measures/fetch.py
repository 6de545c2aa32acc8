"""Outbound requests: bulk_fetch beside the ideal, and the latency of other calls meanwhile."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import venvs
from bench.crowd import CALLERS, IN_FLIGHT
from bench.http import Mcp
from bench.measures.plan import Plan
from bench.report.figures import Figures, quantile
from bench.rig import end, free_port, valkey
from bench.usage import cpu_seconds
from offloop.processes.parent_death import die_with_parent_command

LIMIT = 64
LATENCY = 0.1


async def fetch(plan: Plan, figures: Figures) -> None:
    """One front end and a host that answers after a while, each a process of its own; the limit in flight is 64 or 500.

    bulk_fetch asks for 200 and for 500 URLs of 100 ms each, 64 at a time: its time over the ideal, which is rounds x
    latency; the first one of a front end is ``cold``. The front end's CPU time for a URL is less noisy. Then callers
    keep 500 fetches of 2 to 4 s in flight, five with bulk_fetch or 500 with http_get, from a process of their own,
    while another calls list_jobs every 10 ms: its times with and without them.
    """
    if not plan.among("offloop"):
        return
    for _ in range(plan.rounds):
        for count in (200, 500):
            await _bulk(count, figures)
        for tool in CALLERS:
            await _beside(tool, plan.of(1000, 200), figures)


async def _bulk(count: int, figures: Figures) -> None:
    async with _front_end(LIMIT) as (front_end, host):
        before = cpu_seconds(front_end.pid)
        for number in range(2):  # the first opens the connections
            urls = [f"{host}/{number}/{item}?delay={LATENCY}" for item in range(count)]
            began = time.perf_counter()
            await front_end.mcp.call("bulk_fetch", {"urls": urls, "max_chars": 100})
            took = time.perf_counter() - began
            rounds = -(-len(urls) // LIMIT)
            name = f"bulk_fetch of {count} / ideal" + (", cold" if not number else "")
            figures.add(name, "offloop", "x", took / (rounds * LATENCY))
        spent = (cpu_seconds(front_end.pid) - before) / (2 * count)
        figures.add(f"bulk_fetch of {count}, CPU of a URL", "offloop", "ms", spent * 1000)


async def _beside(tool: str, count: int, figures: Figures) -> None:
    async with _front_end(IN_FLIGHT) as (front_end, host):
        alone = await _light(front_end.mcp, count)
        callers = await asyncio.create_subprocess_exec(
            *die_with_parent_command((sys.executable, "-m", "bench.crowd", tool, str(front_end.port), host)),
            cwd=venvs.ROOT,
        )
        try:
            await asyncio.sleep(8)  # the callers start together, and disperse
            beside = await _light(front_end.mcp, count)
        finally:
            if callers.returncode is not None:
                figures.failures.append(f"the callers of {tool} ended: {callers.returncode}")
            await end(callers)
    for share in (0.5, 0.99):
        name = f"light p{share * 100:.0f}"
        beside_all = f"{name} beside 500 fetches of {tool}"
        figures.add(name, "offloop", "ms", quantile(alone, share))
        figures.add(beside_all, "offloop", "ms", quantile(beside, share))
        figures.add(f"{beside_all}, ratio", "offloop", "x", quantile(beside, share) / quantile(alone, share))


async def _light(mcp: Mcp, count: int) -> list[float]:
    times = []
    for _ in range(count):
        began = time.perf_counter()
        await mcp.call("list_jobs", {})
        times.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(0.01)
    return times


@dataclass(frozen=True, slots=True)
class _FrontEnd:
    """A front end and a client of it."""

    mcp: Mcp
    port: int
    pid: int


@asynccontextmanager
async def _front_end(limit: int) -> AsyncIterator[tuple[_FrontEnd, str]]:
    """A front end with that many requests in flight, and the URL of a host outside."""
    async with AsyncExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="bench-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        url = await stack.enter_async_context(valkey(folder))
        port = free_port()  # only now: a port without a listener can be given twice
        settings = {
            "REDIS_URL": url,
            "STATE_DIR": str(folder / "state"),
            "PORT": str(port),
            "FETCH_HOSTS": "127.0.0.1",
            "FETCH_NETWORKS": "127.0.0.0/8",
            "FETCH_CONCURRENCY": str(limit),
            "FETCH_PER_HOST": str(limit),
            "FETCH_TOTAL_SECONDS": "300",
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("OFFLOOP_")}
        environment = {**kept, **{f"OFFLOOP_{name}": value for name, value in settings.items()}}
        log = stack.enter_context((folder / "log").open("wb"))
        outside = await asyncio.create_subprocess_exec(
            *die_with_parent_command((sys.executable, "-m", "bench.outside")),
            cwd=venvs.ROOT,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        stack.push_async_callback(end, outside)
        front_end = await asyncio.create_subprocess_exec(
            *die_with_parent_command((sys.executable, "-m", "offloop", "serve")),
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        stack.push_async_callback(end, front_end)
        mcp = Mcp(f"127.0.0.1:{port}")
        stack.push_async_callback(mcp.close)
        await mcp.ready("list_jobs", {})
        line = await outside.stdout.readline() if outside.stdout else b""
        yield _FrontEnd(mcp, port, front_end.pid), f"http://127.0.0.1:{int(line)}"
