"""Waiting for a condition, always with an end; the failure says what did not come true."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE = 0.02
SECONDS = 10.0
"""Enough for anything here on a busy machine, and well below the time a test may take."""


def until(condition: Callable[[], T], what: str, seconds: float = SECONDS) -> T:
    """Ask again and again; returns the first true answer.

    Raises:
        AssertionError: there was none within `seconds`; shows the last one.
    """
    end = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > end:
            message = f"not within {seconds:g} s: {what} (last seen: {answer!r})"
            raise AssertionError(message)
        time.sleep(PAUSE)
    return answer


async def eventually(condition: Callable[[], Awaitable[T]], what: str = "", seconds: float = SECONDS) -> T:
    """The same for a condition that is awaited.

    Raises:
        AssertionError: there was no true answer within `seconds`.
    """
    end = time.monotonic() + seconds
    while not (answer := await condition()):
        if time.monotonic() > end:
            message = f"not within {seconds:g} s: {what or condition} (last seen: {answer!r})"
            raise AssertionError(message)
        await asyncio.sleep(PAUSE)
    return answer
