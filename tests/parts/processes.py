"""Whether processes are alive, and waiting, within bounds, until something is so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def gone(pids: Iterable[int], seconds: float = 5) -> bool:
    """Whether they all end within some seconds: the kernel takes a moment to end what was killed."""
    deadline = time.monotonic() + seconds
    left = list(pids)
    while (left := [pid for pid in left if alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not left


async def until(holds: Callable[[], Awaitable[object]], seconds: float = 10) -> None:
    """Return as soon as something holds that nobody tells of; fail after some seconds."""
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110 -- it is for what has no event
            await asyncio.sleep(0.005)
