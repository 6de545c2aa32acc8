"""One process of a stack: ``python -m bench.role worker|server|client NAME …``, started by the harness.

A client takes one order a line from standard input and answers one line of JSON::

    {"do": "sequence", "action": "noop", "count": 100}                     → {"ms": […]}
    {"do": "crowd", "action": "noop", "callers": 64, "seconds": 3}          → {"count": …, "seconds": …, "ms": […]}
    {"do": "beside", "action": "light", "load": "ten", "callers": 8, ...}   → {"ms": […], "count": ...}
    {"do": "once", "action": "recover", "arguments": {...}}                 → {"answer": ...}
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import importlib
import itertools
import json
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from bench.peer import Peer
from bench.peers import PEERS

BOUND = 60.0
"""Time limit of one call in seconds; a call that exceeds it counts as lost and ends the run."""


def main() -> None:
    """Run the role until the harness closes standard input or ends the process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["worker", "server", "client"])
    parser.add_argument("name", choices=list(PEERS))
    parser.add_argument("--target", required=True)
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    peer: Peer = importlib.import_module(f"bench.peers.{PEERS[given.name].module}").peer(given.name)
    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        match given.role:
            case "worker":
                peer.run("worker", peer.work(given.target, given.slots))
            case "server":
                peer.run("server", peer.serve(given.target, given.port))
            case _:
                peer.run("client", _client(peer, given.target))


async def _client(peer: Peer, target: str) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, lambda: None)
    await peer.open(target)
    orders = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    try:
        while line := await orders.readline():
            order = json.loads(line)
            gc.collect()
            answer = await _ORDERS[order.pop("do")](peer, **order)
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
    finally:
        await peer.close()


def _call(peer: Peer, action: str, arguments: dict[str, Any] | None) -> Callable[[], Awaitable[Any]]:
    return peer.noop if action == "noop" else lambda: peer.act(action, dict(arguments or {}))


async def _timed(call: Callable[[], Awaitable[Any]]) -> float:
    began = time.perf_counter()
    await call()
    return (time.perf_counter() - began) * 1000


async def sequence(
    peer: Peer, action: str, count: int, pause: float = 0, arguments: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Call `count` times, one after the other; each call is timed from its start to its result."""
    call, times = _call(peer, action, arguments), []
    for _ in range(count):
        async with asyncio.timeout(BOUND):
            times.append(await _timed(call))
        if pause:
            await asyncio.sleep(pause)
    return {"ms": times}


async def crowd(peer: Peer, action: str, callers: int, seconds: float, calls: int | None = None) -> dict[str, Any]:
    """Let `callers` call again and again for `seconds`, or until there were so many `calls`.

    Calls under way at the end are waited for and counted.
    """
    call, times = _call(peer, action, None), []
    began, numbers = time.perf_counter(), itertools.count()

    async def caller() -> None:
        while time.perf_counter() - began < seconds and (calls is None or next(numbers) < calls):
            times.append(await _timed(call))

    async with asyncio.timeout(seconds + BOUND):
        await asyncio.gather(*(caller() for _ in range(callers)))
    return {"count": len(times), "seconds": time.perf_counter() - began, "ms": times}


async def beside(  # noqa: PLR0913, PLR0917 -- all named, an order is a table of values
    peer: Peer, action: str, load: str, callers: int, seconds: float, pause: float = 0.01
) -> dict[str, Any]:
    """Time one caller's light calls, one every `pause`, while `callers` others keep the heavy ones coming."""
    heavy = asyncio.create_task(crowd(peer, load, callers, seconds))
    light, times = _call(peer, action, None), []
    await asyncio.sleep(0.3)  # until the load is on
    while not heavy.done():
        times.append(await _timed(light))
        await asyncio.sleep(pause)
    return {"ms": times, "count": (await heavy)["count"]}


async def once(peer: Peer, action: str, arguments: dict[str, Any] | None = None) -> dict[str, Any]:
    """Do one action and return its answer."""
    async with asyncio.timeout(BOUND):
        return {"answer": await peer.act(action, dict(arguments or {}))}


_ORDERS: dict[str, Callable[..., Awaitable[dict[str, Any]]]] = {
    "sequence": sequence,
    "crowd": crowd,
    "beside": beside,
    "once": once,
}

if __name__ == "__main__":
    main()
