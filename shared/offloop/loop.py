"""The event loop of the processes that serve and work: uvloop's, where it is installed, else asyncio's own.

uvloop does in C what asyncio does in Python between a socket and a coroutine, and each call passes there many times.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

YOUNG: Final = 10_000
"""Objects made and not freed again before the collector looks at them; Python's own 700 are those of a call or two."""

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, on the fastest loop there is."""
    with asyncio.Runner(loop_factory=_factory()) as runner:
        return runner.run(main)


def settle() -> None:
    """Say that all is loaded which stays as long as the process: the collector of cycles need not look at it again.

    A front end holds some hundred thousand objects of libraries and schemas, and makes a few hundred for a call.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])


def _factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 -- commands that only print something do without
    except ImportError:  # Windows has none, and another interpreter may have none either
        return None
    return uvloop.new_event_loop
