"""Tuning of the front end's process: garbage collection, and tracing without a receiver."""

from __future__ import annotations

import gc
from typing import Any, Final

from mcp.server.lowlevel import Server
from opentelemetry import trace

THRESHOLDS: Final = (700, 3, 500)
"""Thresholds of the three generations.

A full collection visits every object that open calls hold: with 500 calls it takes a third of a second. Few cycles
survive the two younger generations, so full collections are ten times as rare as by default; in exchange the second
generation holds a few thousand objects. At most 700 * 4 * 500 objects wait for a full collection. A larger first
generation costs a little less CPU, and delays single calls for longer (`./run bench --only fetch`).
"""


def tune_gc() -> None:
    """Freeze the start-up heap and make full collections rare.

    Call it at the end of start-up: the loaded modules are a hundred thousand objects, a tenth of a second per visit.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


def drop_unseen_traces(server: Server[Any]) -> None:
    """Remove the SDK's tracing if OpenTelemetry has no SDK: its spans go nowhere and cost 5 % of a call's CPU time.

    Call it after OpenTelemetry has been set up.
    """
    if isinstance(trace.get_tracer_provider(), (trace.ProxyTracerProvider, trace.NoOpTracerProvider)):
        # By name, since the class is private; the SDK documents removal from this list.
        server.middleware = [one for one in server.middleware if type(one).__name__ != "OpenTelemetryMiddleware"]
