"""Stacks to compare, one small module each.

A module is imported only inside the virtualenv of its stack, so nothing here imports one; this table says where it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Entry:
    """Module and description of a stack.

    Attributes:
        module: under ``bench.peers``; its ``peer(name)`` makes the `bench.peer.Peer`.
        about: one line for the table.
        venv: the requirements file under ``bench/requirements`` it is installed from; ``""`` is the product's own.
        web: whether callers reach it through MCP over HTTP, so that it needs a server process besides.
        workers: whether it has workers at all.
        before: whether its server and workers are those of another checkout, see `bench.venvs.before`.
    """

    module: str
    about: str
    venv: str = ""
    web: bool = False
    workers: bool = True
    before: bool = False


PEERS: Final = {
    "floor": Entry("floor", "BLPOP ping-pong between two processes: the least that a queue in Redis can cost"),
    "offloop": Entry("offloop", "this engine: JobQueue, Inbox, worker, child process"),
    "offloop-waiting": Entry("offloop", "the same, the job on the worker's loop, as the peers' are, 64 concurrently"),
    "offloop-fleet": Entry("offloop_fleet", "many of our workers on one event loop, without children"),
    "arq": Entry("stock_arq", "arq with its defaults (polls every 0.5 s on both sides)"),
    "arq-10ms": Entry("stock_arq", "arq, both polls tuned to 10 ms"),
    "docket": Entry("docket_stack", "pydocket: Execution.get_result, checks every 10 ms", venv="docket"),
    "saq": Entry("saq_stack", "saq: enqueue + Job.refresh, which listens to pub/sub", venv="saq"),
    "taskiq": Entry("taskiq_stack", "taskiq-redis: stream broker, result polled every 2 ms", venv="taskiq"),
    "mcp-offloop": Entry("offloop_web", "offloop through MCP: front end and workers", web=True),
    "mcp-before": Entry("offloop_web", "the same, of the checkout that --before names", web=True, before=True),
    "mcp-pool": Entry("pool_web", "an MCP server with its own ProcessPoolExecutor(2)", web=True, workers=False),
    "mcp-pool-fork": Entry("pool_web", "the same, start method fork", web=True, workers=False),
    "mcp-pool-spawn": Entry("pool_web", "the same, spawn", web=True, workers=False),
    "mcp-pool-forkserver": Entry(
        "pool_web", "the same, forkserver, which has imported WeasyPrint", web=True, workers=False
    ),
    "mcp-pool-fork-10": Entry(
        "pool_web", "fork, multiprocessing.Pool with maxtasksperchild=10", web=True, workers=False
    ),
    "mcp-pool-forkserver-10": Entry("pool_web", "forkserver, the same", web=True, workers=False),
    "mcp-arq": Entry("arq_web", "an MCP server that enqueues into stock arq and awaits Job.result()", web=True),
    "mcp-docket": Entry("docket_web", "FastMCP whose tools run in Docket workers", venv="docket", web=True),
}
"""All stacks by name."""
