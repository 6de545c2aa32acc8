"""Jobs with the faults of real jobs, on purpose. The stack copies this ONE file to a folder outside the repository."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from offloop import Context, Model, job


class Nap(Model):
    """Seconds to sleep, and the number of steps."""

    seconds: float = 0.0
    steps: int = 4


class Slept(Model):
    """Output of these jobs."""

    steps: int
    attempt: int
    pid: int


class Gate(Model):
    """A file whose appearance lets the job end. Each execution adds a line with its pid to ``<gate>.runs``."""

    gate: str


class Load(Model):
    """A number; its meaning is the job's."""

    amount: int = 0


class Note(Model):
    """A file to make."""

    text: str
    name: str = "note.txt"
    mime_type: str = "text/plain"


@job(seconds=30, memory_mb=128)
def nap(value: Nap, context: Context) -> Slept:
    """Sleep, and report progress."""
    for step in range(1, value.steps + 1):
        time.sleep(value.seconds / value.steps)
        context.progress(step, value.steps, f"step {step}")
    return Slept(steps=value.steps, attempt=context.attempt, pid=os.getpid())


def _hold(value: Gate, context: Context) -> Slept:
    with Path(f"{value.gate}.runs").open("a") as runs:
        runs.write(f"{os.getpid()}\n")
    while not Path(value.gate).exists():
        time.sleep(0.02)
    return Slept(steps=0, attempt=context.attempt, pid=os.getpid())


@job(seconds=60, memory_mb=128)
def hold(value: Gate, context: Context) -> Slept:
    """Wait for a file; a lost execution is not repeated."""
    return _hold(value, context)


@job(seconds=60, memory_mb=128, retries=2)
def hold_again(value: Gate, context: Context) -> Slept:
    """Wait for a file; a lost execution is repeated twice at most."""
    return _hold(value, context)


@job(seconds=60, memory_mb=128)
def spin(value: Gate) -> Slept:
    """Never come back from C."""
    with Path(f"{value.gate}.runs").open("a") as runs:
        runs.write(f"{os.getpid()}\n")
    return Slept(steps=sum(range(10**13)), attempt=0, pid=0)


@job(seconds=1, memory_mb=128)
def overrun(value: Load) -> Slept:
    """Use more than the second it has, inside C."""
    return Slept(steps=sum(range(value.amount or 10**13)), attempt=0, pid=0)


@job(seconds=30, memory_mb=64)
def hog_memory(value: Load) -> Slept:
    """Take as many MiB as are asked for."""
    return Slept(steps=len(bytearray(value.amount << 20)), attempt=0, pid=0)


@job(seconds=30, memory_mb=128)
def crash_once(_value: Load) -> Slept:
    """Die as with a broken library."""
    os.kill(os.getpid(), signal.SIGSEGV)
    return Slept(steps=0, attempt=0, pid=0)


@job(seconds=30, memory_mb=128, retries=1)
def crash_first(_value: Load, context: Context) -> Slept:
    """Die at the first execution only."""
    if context.attempt == 1:
        os.kill(os.getpid(), signal.SIGSEGV)
    return Slept(steps=0, attempt=context.attempt, pid=os.getpid())


@job(seconds=30, memory_mb=128)
def stumble(_value: Load) -> Slept:
    """Raise an unexpected error."""
    message = "a secret of the server"
    raise ValueError(message)


@job(seconds=30, memory_mb=128)
def write_note(value: Note, context: Context) -> Load:
    """Write a text into a file."""
    with context.create(value.name, value.mime_type) as file:
        file.write(value.text.encode())
    return Load(amount=len(value.text))
