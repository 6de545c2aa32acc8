"""Jobs that leave a line for each execution, and jobs that break what they can; copied out of the repository to run.

Those with ``_again`` may be retried.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from offloop import Context, Model, job

QUEUE = "faults"
MIB = 1 << 20


class Run(Model):
    """Where each execution is noted, and how long it takes."""

    runs: str
    seconds: float = 0.0
    number: int = 0


class Ran(Model):
    """Which execution this came of."""

    attempt: int
    number: int


class Text(Model):
    """Something large."""

    text: str


def _note(value: Run, context: Context) -> None:
    """Add a line to the file of executions, whole or not at all, as short appends are."""
    descriptor = os.open(value.runs, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, f"{context.job_id} {context.attempt} {time.clock_gettime(time.CLOCK_REALTIME):.4f}\n".encode())
    os.close(descriptor)


def _nap(value: Run, context: Context) -> Ran:
    _note(value, context)
    steps = max(1, int(value.seconds / 0.3))
    for step in range(steps):
        time.sleep(value.seconds / steps)
        context.progress(step + 1, steps, f"step {step + 1}")
    return Ran(attempt=context.attempt, number=value.number)


@job(seconds=30, memory_mb=256, queue=QUEUE)
def noop(value: Run, context: Context) -> Ran:
    """Do nothing."""
    return Ran(attempt=context.attempt, number=value.number)


@job(seconds=30, memory_mb=256, queue=QUEUE)
def effect(value: Run, context: Context) -> Ran:
    """Do what must not be done twice."""
    _note(value, context)
    return Ran(attempt=context.attempt, number=value.number)


@job(seconds=30, memory_mb=256, queue=QUEUE, isolation="fork", retries=5)
def effect_again(value: Run, context: Context) -> Ran:
    """Do what may be done twice, in a child of its own."""
    return _nap(value, context)


@job(seconds=60, memory_mb=256, queue=QUEUE)
def nap(value: Run, context: Context) -> Ran:
    """Sleep, and tell how far."""
    return _nap(value, context)


@job(seconds=60, memory_mb=256, queue=QUEUE, retries=9)
def nap_again(value: Run, context: Context) -> Ran:
    """Sleep, and tell how far; may be repeated."""
    return _nap(value, context)


@job(seconds=30, memory_mb=256, queue=QUEUE)
def segfault(value: Run, context: Context) -> Ran:
    """Die of a broken library."""
    _note(value, context)
    os.kill(os.getpid(), signal.SIGSEGV)
    return Ran(attempt=0, number=0)


@job(seconds=30, memory_mb=256, queue=QUEUE, retries=2)
def segfault_again(value: Run, context: Context) -> Ran:
    """Die of a broken library, each time."""
    _note(value, context)
    os.kill(os.getpid(), signal.SIGSEGV)
    return Ran(attempt=0, number=0)


@job(seconds=30, memory_mb=256, queue=QUEUE, retries=1)
def end_worker(value: Run, context: Context) -> Ran:
    """Run until the worker ends, which whoever tests sees to: a job itself may signal nobody."""
    _note(value, context)
    time.sleep(25)
    return Ran(attempt=0, number=0)


@job(seconds=30, memory_mb=64, queue=QUEUE)
def hog_memory(value: Run, context: Context) -> Ran:
    """Ask for far more memory than there may be."""
    _note(value, context)
    return Ran(attempt=len(bytearray(4096 * MIB)), number=0)


@job(seconds=1, memory_mb=256, queue=QUEUE)
def loop_in_c(value: Run, context: Context) -> Ran:
    """Never come back from C, with one second to do so."""
    _note(value, context)
    return Ran(attempt=sum(range(10**13)), number=0)


@job(seconds=60, memory_mb=256, queue=QUEUE, retries=9)
def spin(value: Run, context: Context) -> Ran:
    """Never come back from C, until somebody cancels it."""
    _note(value, context)
    return Ran(attempt=sum(range(10**13)), number=0)


@job(seconds=30, memory_mb=1024, queue=QUEUE)
def flood(value: Run, context: Context) -> Text:
    """Answer with 100 MiB."""
    _note(value, context)
    return Text(text="x" * (100 * MIB))


@job(seconds=30, memory_mb=256, output_mb=8, queue=QUEUE)
def fill_disk(value: Run, context: Context) -> Ran:
    """Write a file of 100 MiB where 8 are allowed."""
    _note(value, context)
    with Path(context.folder / "large").open("wb") as file:
        file.writelines(bytes(MIB) for _ in range(100))
    return Ran(attempt=context.attempt, number=0)
