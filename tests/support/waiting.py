"""Waiting for a condition with a timeout; the failure names the condition and the last value."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar

T = TypeVar("T")

PAUSE = 0.02
SECONDS = 30.0
"""Default timeout: only what is stuck takes so long, on a busy machine too; below the time limit of a test."""


def until(condition: Callable[[], T], what: str, seconds: float = SECONDS) -> T:
    """Block until the condition is true; returns its value.

    Raises:
        AssertionError: the condition was never true within `seconds`.
    """
    end = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > end:
            message = f"not within {seconds:g} s: {what} (last seen: {answer!r})"
            raise AssertionError(message)
        time.sleep(PAUSE)
    return answer


def until_empty(find: Callable[[], Collection[object]], what: str, seconds: float = SECONDS) -> None:
    """Block until nothing is found.

    Raises:
        AssertionError: something was found all the time; the message names what was found last.
    """
    end = time.monotonic() + seconds
    while found := find():
        assert time.monotonic() < end, f"{what} after {seconds:g} s: {found}"
        time.sleep(PAUSE)


async def eventually(condition: Callable[[], Awaitable[T]], what: str = "", seconds: float = SECONDS) -> T:
    """Wait until an asynchronous condition is true; returns its value.

    Raises:
        AssertionError: the condition was never true within `seconds`.
    """
    end = time.monotonic() + seconds
    while not (answer := await condition()):
        if time.monotonic() > end:
            message = f"not within {seconds:g} s: {what or condition} (last seen: {answer!r})"
            raise AssertionError(message)
        await asyncio.sleep(PAUSE)
    return answer


async def poll(condition: Callable[[], T], what: str, seconds: float = SECONDS) -> T:
    """Wait, without blocking the loop, until a synchronous condition is true; returns its value.

    Raises:
        AssertionError: the condition was never true within `seconds`.
    """

    async def answer() -> T:
        return condition()

    return await eventually(answer, what, seconds)
