"""Traces: made only if a collector is set up. Garbage: collected in full while few calls are open."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from mcp.server.lowlevel import Server
from opentelemetry import trace

from offloop_server.runtime import tuning
from offloop_server.runtime.tuning import collect_when_quiet, drop_unseen_traces


class Provider(trace.TracerProvider):
    """An OpenTelemetry SDK, as an operator installs it."""

    def get_tracer(self, *_arguments: Any, **_named: Any) -> trace.Tracer:
        """A tracer without behaviour."""
        return trace.NoOpTracer()


async def _other(ctx: Any, call_next: Any) -> Any:
    return await call_next(ctx)


@pytest.fixture
def server() -> Server[Any]:
    """A server of the SDK, with a middleware besides its own."""
    server: Server[Any] = Server("traced")
    assert len(server.middleware) == 1, "the SDK has another middleware of its own: is it known under its name?"
    server.middleware.append(_other)
    return server


@pytest.mark.parametrize("provider", [trace.ProxyTracerProvider(), trace.NoOpTracerProvider()], ids=["api", "off"])
def test_without_a_collector_no_traces_are_made(
    server: Server[Any], provider: trace.TracerProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    drop_unseen_traces(server)
    assert server.middleware == [_other]


def test_where_an_operator_collects_them_the_sdk_makes_them(
    server: Server[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = list(server.middleware)
    monkeypatch.setattr(trace, "get_tracer_provider", Provider)
    drop_unseen_traces(server)
    assert server.middleware == before


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("due", "few", "collected"), [(50, 100, True), (51, 100, False), (50, 0, False)], ids=["quiet", "not due", "busy"]
)
async def test_a_full_collection_is_done_when_it_is_due_and_few_calls_are_open(
    monkeypatch: pytest.MonkeyPatch, *, due: int, few: int, collected: bool
) -> None:
    """Its loop looks once a second."""
    seconds: list[float] = []
    collections: list[None] = []

    async def sleep(delay: float) -> None:
        seconds.append(delay)
        if len(seconds) > 1:
            raise asyncio.CancelledError

    monkeypatch.setattr(tuning, "DUE", due)
    monkeypatch.setattr(tuning, "FEW", few)
    monkeypatch.setattr(gc, "get_count", lambda: (1, 2, 50))
    monkeypatch.setattr(gc, "collect", lambda: collections.append(None))
    monkeypatch.setattr(asyncio, "sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await collect_when_quiet()
    assert seconds == [1, 1]
    assert bool(collections) == collected
