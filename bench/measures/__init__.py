"""Measures: functions whose docstrings say what is timed; `ALL` has them in the order of the run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from bench.measures import cost, dispatch, faults, fetch, growth, hashing, pdf, table, web
from bench.measures.plan import Plan
from bench.report.figures import Figures

Measure = Callable[[Plan, Figures], Awaitable[None]]

ALL: Final[dict[str, Measure]] = {
    "latency": dispatch.latency,
    "throughput": dispatch.throughput,
    "idle": dispatch.idle,
    "invoice": pdf.invoice,
    "pdf-throughput": pdf.throughput,
    "pdf-table": table.table,
    "two-workers": pdf.two_workers,
    "web": web.web,
    "fetch": fetch.fetch,
    "hashing": hashing.hashing,
    "web-lean": web.lean,
    "cpu": cost.cpu,
    "memory": cost.memory,
    "cancel": faults.cancel,
    "recover": faults.recover,
    "depth": growth.depth,
    "fleet": growth.fleet,
}
OF_PEERS: Final = frozenset({"latency", "throughput", "idle", "web", "web-lean"})
"""Measures with peers whose packages lie in virtualenvs of their own."""
