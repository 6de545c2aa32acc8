"""Event loop of servers and workers: uvloop where it is installed, else asyncio.

uvloop implements in C the path between socket and coroutine that asyncio implements in Python; every call runs through
it many times.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, on the fastest installed loop."""
    with asyncio.Runner(loop_factory=_factory()) as runner:
        return runner.run(main)


def _factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 -- not needed by commands that only print
    except ImportError:  # not available on Windows and on some interpreters
        return None
    return uvloop.new_event_loop
