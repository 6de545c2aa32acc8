"""Tuning of the front end's process: garbage collection, and tracing without a receiver."""

from __future__ import annotations

import asyncio
import gc
from typing import Any, Final, NoReturn

from mcp.server.lowlevel import Server
from opentelemetry import trace

THRESHOLDS: Final = (700, 3, 500)
"""Thresholds of the three generations.

A full collection visits every object that open calls hold: with 500 calls it takes a third of a second. Few cycles
survive the two younger generations, so full collections are ten times as rare as by default; in exchange the second
generation holds a few thousand objects. At most 700 * 4 * 500 objects wait for a full collection. A larger first
generation costs a little less CPU, and delays single calls for longer (`./run bench --only fetch`).
"""

DUE: Final = 50
"""Collections of the second generation after which a full one is due, if few calls are open."""
FEW: Final = 100
"""Tasks up to which a full collection takes a few milliseconds."""


def tune_gc() -> None:
    """Freeze the start-up heap and make full collections rare.

    Call it at the end of start-up: the loaded modules are a hundred thousand objects, a tenth of a second per visit.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


async def collect_when_quiet() -> NoReturn:
    """Do full collections while few calls are open.

    A collection of a younger generation keeps what the open calls hold. When they end, some of it is in cycles, which
    stay until the next full one: 15 MiB after ten thousand calls of 32 callers.
    """
    while True:
        await asyncio.sleep(1)
        if gc.get_count()[2] >= DUE and len(asyncio.all_tasks()) <= FEW:
            gc.collect()


def drop_unseen_traces(server: Server[Any]) -> None:
    """Remove the SDK's tracing if OpenTelemetry has no SDK: its spans go nowhere and cost 5 % of a call's CPU time.

    Call it after OpenTelemetry has been set up.
    """
    if isinstance(trace.get_tracer_provider(), (trace.ProxyTracerProvider, trace.NoOpTracerProvider)):
        # By name, since the class is private; the SDK documents removal from this list.
        server.middleware = [one for one in server.middleware if type(one).__name__ != "OpenTelemetryMiddleware"]
