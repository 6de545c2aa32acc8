"""Guests: processes that one test adds to a shared stack, and may stop or kill; the others serve the next test."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from offloop_workers.children.scratch import Scratch
from support.processes import Process
from support.stack.gates import Gate
from support.stack.stack import FrontEnd, Stack


@contextmanager
def guest_front_end(stack: Stack, **settings: object) -> Iterator[FrontEnd]:
    """A front end with settings of its own."""
    process = stack.begin_front_end(**settings)
    try:
        stack.await_front_end(process)
        yield process
    finally:
        stack.front_ends.remove(process)
        _end(process)


@contextmanager
def guest_worker(stack: Stack, **settings: object) -> Iterator[Process]:
    """A worker with settings of its own."""
    process = stack.begin_worker(**settings)
    try:
        stack.await_worker(process)
        yield process
    finally:
        stack.workers.remove(process)
        _end(process)
        sweep(stack)


@contextmanager
def two_workers(stack: Stack, **settings: object) -> Iterator[tuple[Process, Process]]:
    """The worker of the stack and one like it, of which the test kills either; the other one is kept."""
    first, second = stack.workers[0], stack.worker(**settings)
    try:
        yield first, second
    finally:
        ended = next((worker for worker in (first, second) if not worker.running), second)
        stack.workers.remove(ended)
        _end(ended)
        sweep(stack)


def sweep(stack: Stack) -> None:
    """Delete the temporary folders of killed workers, as the next worker that starts would do."""
    with Scratch(stack.folder / "tmp" / f"offloop-{os.getuid()}"):
        pass


@asynccontextmanager
async def occupied(stack: Stack, folder: Path, slots: int = 2) -> AsyncIterator[Gate]:
    """Hold all slots of the workers with jobs of another principal; they end when the yielded gate opens."""
    gate = Gate(folder / "occupied")
    async with stack.client() as other:
        jobs = [(await other.call("hold", gate=gate.argument, wait_seconds=0)).job_id for _ in range(slots)]
        await gate.entered(slots)
        try:
            yield gate
        finally:
            gate.open()
            await other.call("wait_for_jobs", job_ids=jobs, wait_seconds=20)


def _end(process: Process) -> None:
    """Stop it in order, unless the test has ended it.

    Raises:
        AssertionError: it did not end in order or in time.
    """
    if process.running:
        ending = process.stop()
        # After its shutdown, uvicorn raises the signal again.
        assert ending in (0, -signal.SIGTERM), f"{process.name} ended with {ending}:\n{process.output[-3000:]}"
