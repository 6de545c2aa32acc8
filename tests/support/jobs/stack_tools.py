"""Light tools with the faults of real tools, on purpose, and one that inspects its front end.

The stack copies this ONE file to a folder outside the repo.
"""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

from offloop import JobError, Model, tool


class Nothing(Model):
    """No arguments."""


class Gate(Model):
    """A file whose appearance lets a call end. Each call adds a line to ``<gate>.runs``."""

    gate: str


class Inside(Model):
    """Tasks and threads of a front end."""

    tasks: list[str]
    threads: list[str]


class Stall(Model):
    """Seconds."""

    seconds: float = 0.3


class Cause(Model):
    """Causes of failures; each fails a task of its own."""

    causes: list[str]


@tool(read_only=True)
async def look_inside(_value: Nothing) -> Inside:
    """Name the tasks and threads of this process."""
    tasks = sorted(getattr(task.get_coro(), "__qualname__", "?") for task in asyncio.all_tasks())
    return Inside(tasks=tasks, threads=sorted(thread.name for thread in threading.enumerate()))


@tool(seconds=60)
def hold_thread(value: Gate) -> Gate:
    """Wait for a file, in a thread."""
    with Path(f"{value.gate}.runs").open("a") as runs:
        runs.write("one\n")
    end = time.monotonic() + 60
    while not Path(value.gate).exists() and time.monotonic() < end:
        time.sleep(0.02)
    return value


@tool(seconds=60)
async def hold_loop(value: Gate) -> Gate:
    """Wait for ever, as a task of the loop; its end, however it comes, is noted in ``<gate>.ended``."""
    try:
        Path(f"{value.gate}.runs").touch()  # noqa: ASYNC240 -- a moment
        await asyncio.Event().wait()
    finally:
        Path(f"{value.gate}.ended").touch()  # noqa: ASYNC240 -- a moment
    return value


@tool()
async def stall_loop(value: Stall) -> Stall:
    """Do on the loop what belongs into a thread."""
    time.sleep(value.seconds)  # noqa: ASYNC251 -- on purpose
    return value


async def _fail(cause: str) -> None:
    if cause.startswith("secret"):
        raise ValueError(cause)
    raise JobError(cause)


@tool()
async def fail_together(value: Cause) -> Nothing:
    """Fail in several tasks of one group."""
    async with asyncio.TaskGroup() as group:
        for cause in value.causes:
            group.create_task(_fail(cause))
    return Nothing()
