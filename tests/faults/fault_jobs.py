"""Jobs of the fault tests: some record each execution, some fail in destructive ways.

Kinds ending in ``_again`` may be retried. The module is copied out of the repository to run.
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
    """File of execution records, duration of the job, and its number, which names the gate of a held job."""

    runs: str
    seconds: float = 0.0
    number: int = 0


class Ran(Model):
    """The attempt that produced the result."""

    attempt: int
    number: int


class Text(Model):
    """A large text."""

    text: str


def _record_execution(value: Run, context: Context) -> None:
    """Append a line to the file of executions; short appends are atomic."""
    descriptor = os.open(value.runs, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    at = time.clock_gettime(time.CLOCK_REALTIME)
    os.write(descriptor, f"{context.job_id} {context.attempt} {at:.4f} {os.getpid()}\n".encode())
    os.close(descriptor)


def _nap(value: Run, context: Context) -> Ran:
    _record_execution(value, context)
    steps = max(1, int(value.seconds / 0.3))
    for step in range(steps):
        time.sleep(value.seconds / steps)
        context.progress(step + 1, steps, f"step {step + 1}")
    return Ran(attempt=context.attempt, number=value.number)


def _hold(value: Run, context: Context) -> Ran:
    _record_execution(value, context)
    gate, ticks = Path(f"{value.runs}.{value.number}.{context.attempt}"), 0
    while not gate.exists():
        time.sleep(0.02)
        ticks += 1
        context.progress(ticks // 15)
    return Ran(attempt=context.attempt, number=value.number)


@job(seconds=30, memory_mb=256, queue=QUEUE)
def noop(value: Run, context: Context) -> Ran:
    """Do nothing."""
    return Ran(attempt=context.attempt, number=value.number)


@job(seconds=30, memory_mb=256, queue=QUEUE)
def effect(value: Run, context: Context) -> Ran:
    """Record the execution; must not run twice."""
    _record_execution(value, context)
    return Ran(attempt=context.attempt, number=value.number)


@job(seconds=30, memory_mb=256, queue=QUEUE, isolation="fork", retries=5)
def effect_again(value: Run, context: Context) -> Ran:
    """Record the execution in a forked child; may run twice."""
    return _nap(value, context)


@job(seconds=60, memory_mb=256, queue=QUEUE)
def nap(value: Run, context: Context) -> Ran:
    """Sleep, with progress."""
    return _nap(value, context)


@job(seconds=60, memory_mb=256, queue=QUEUE, retries=9)
def nap_again(value: Run, context: Context) -> Ran:
    """Sleep, with progress; may run twice."""
    return _nap(value, context)


@job(seconds=90, memory_mb=256, queue=QUEUE)
def hold(value: Run, context: Context) -> Ran:
    """Run until the test releases this attempt."""
    return _hold(value, context)


@job(seconds=90, memory_mb=256, queue=QUEUE, retries=9)
def hold_again(value: Run, context: Context) -> Ran:
    """Run until the test releases this attempt; may run twice."""
    return _hold(value, context)


@job(seconds=30, memory_mb=256, queue=QUEUE)
def segfault(value: Run, context: Context) -> Ran:
    """Crash with SIGSEGV."""
    _record_execution(value, context)
    os.kill(os.getpid(), signal.SIGSEGV)
    return Ran(attempt=0, number=0)


@job(seconds=30, memory_mb=256, queue=QUEUE, retries=2)
def segfault_again(value: Run, context: Context) -> Ran:
    """Crash with SIGSEGV on every attempt."""
    _record_execution(value, context)
    os.kill(os.getpid(), signal.SIGSEGV)
    return Ran(attempt=0, number=0)


@job(seconds=90, memory_mb=256, queue=QUEUE, retries=1)
def end_worker(value: Run, context: Context) -> Ran:
    """Run until the test kills the worker; the sandbox forbids a job to send signals."""
    _record_execution(value, context)
    time.sleep(85)
    return Ran(attempt=0, number=0)


@job(seconds=30, memory_mb=64, queue=QUEUE)
def hog_memory(value: Run, context: Context) -> Ran:
    """Allocate far more memory than the limit."""
    _record_execution(value, context)
    return Ran(attempt=len(bytearray(4096 * MIB)), number=0)


@job(seconds=1, memory_mb=256, queue=QUEUE)
def loop_in_c(value: Run, context: Context) -> Ran:
    """Loop in C, with a time limit of one second."""
    _record_execution(value, context)
    return Ran(attempt=sum(range(10**13)), number=0)


@job(seconds=60, memory_mb=256, queue=QUEUE, retries=9)
def spin(value: Run, context: Context) -> Ran:
    """Loop in C until cancelled."""
    _record_execution(value, context)
    return Ran(attempt=sum(range(10**13)), number=0)


@job(seconds=30, memory_mb=1024, queue=QUEUE)
def flood(value: Run, context: Context) -> Text:
    """Return 100 MiB."""
    _record_execution(value, context)
    return Text(text="x" * (100 * MIB))


@job(seconds=30, memory_mb=256, output_mb=8, queue=QUEUE)
def fill_disk(value: Run, context: Context) -> Ran:
    """Write a file of 100 MiB, with a limit of 8."""
    _record_execution(value, context)
    with Path(context.folder / "large").open("wb") as file:
        file.writelines(bytes(MIB) for _ in range(100))
    return Ran(attempt=context.attempt, number=0)
