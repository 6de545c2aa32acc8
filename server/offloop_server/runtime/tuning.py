"""Tuning of the front end's process: garbage collection, and tracing without a receiver."""

from __future__ import annotations

import gc
from typing import Any, Final

from mcp.server.lowlevel import Server
from opentelemetry import trace

THRESHOLDS: Final = (700, 3, 500)
"""Thresholds of the three generations.

A full collection visits all that open calls hold: with 500 of them it takes a third of a second. It is for cycles that
have survived two shorter collections, which are few, and comes a tenth as often as by default; the second generation
holds a few thousand objects instead. At most 700 * 4 * 500 objects wait for a full collection. A larger first
generation costs a little less CPU, and delays single calls for longer (`./run bench --only fetch`).
"""


def tune_gc() -> None:
    """Freeze the start-up heap and make full collections rare.

    For the end of the start: what is loaded stays for good, a hundred thousand objects, a tenth of a second a visit.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


def drop_unseen_traces(server: Server[Any]) -> None:
    """Have the SDK make no spans where OpenTelemetry has only its API: they go nowhere, and cost a twentieth of a call.

    Call it after OpenTelemetry has been set up.
    """
    if isinstance(trace.get_tracer_provider(), (trace.ProxyTracerProvider, trace.NoOpTracerProvider)):
        # By name: the class is private, while to take it out of this list is the way the SDK offers.
        server.middleware = [one for one in server.middleware if type(one).__name__ != "OpenTelemetryMiddleware"]
