"""Traces of calls, where somebody collects them."""

from __future__ import annotations

from typing import Any

from mcp.server.lowlevel import Server
from opentelemetry import trace


def drop_unseen_traces(server: Server[Any]) -> None:
    """Have the SDK make no spans where OpenTelemetry has only its API: they go nowhere, and cost a twentieth of a call.

    Call it when whoever sets OpenTelemetry up has done so.
    """
    if isinstance(trace.get_tracer_provider(), (trace.ProxyTracerProvider, trace.NoOpTracerProvider)):
        # By name: the class is private, while to take it out of this list is the way the SDK offers.
        server.middleware = [one for one in server.middleware if type(one).__name__ != "OpenTelemetryMiddleware"]
