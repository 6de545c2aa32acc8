"""Background load: callers that keep fetches in flight; ``python -m bench.crowd TOOL PORT HOST`` runs until ended."""

from __future__ import annotations

import asyncio
import random
import sys
from typing import Final

from bench.http import Mcp

IN_FLIGHT: Final = 500
CALLERS: Final = {"bulk_fetch": 5, "http_get": IN_FLIGHT}
"""Number of callers that keep these fetches in flight, by tool."""


async def _crowd(tool: str, port: str, host: str) -> None:
    """Keep the fetches in flight until the process is ended."""
    mcp = Mcp(f"127.0.0.1:{port}")
    calls = CALLERS[tool]
    async with asyncio.TaskGroup() as callers:
        for _ in range(calls):
            callers.create_task(_fetch_on(mcp, tool, host))


async def _fetch_on(mcp: Mcp, tool: str, host: str) -> None:
    while True:
        # Delays at random, so that they do not all end at the same time.
        urls = [f"{host}/{n}?delay={random.uniform(2, 4):.3f}" for n in range(400 if tool == "bulk_fetch" else 1)]  # noqa: S311
        if tool == "bulk_fetch":
            await mcp.call(tool, {"urls": urls, "max_chars": 100, "deadline_seconds": 300})
        else:
            await mcp.call(tool, {"url": urls[0], "max_chars": 100})


if __name__ == "__main__":
    asyncio.run(_crowd(*sys.argv[1:]))
