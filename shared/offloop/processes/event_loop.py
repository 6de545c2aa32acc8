"""The event loop of the processes that serve and work: uvloop's, where it is installed, else asyncio's own.

uvloop does in C what asyncio does in Python between a socket and a coroutine, and each call passes there many times.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, on the fastest loop there is."""
    with asyncio.Runner(loop_factory=_factory()) as runner:
        return runner.run(main)


def _factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 -- commands that only print something do without
    except ImportError:  # Windows has none, and another interpreter may have none either
        return None
    return uvloop.new_event_loop
