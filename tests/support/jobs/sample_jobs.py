"""Jobs that tests run in real children: some behave, some do not. Loaded like a user's own jobs."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import itertools
import os
import random
import resource
import socket
import sys
import time
from pathlib import Path

from offloop import Context, FileReference, JobError, Model, job


class Given(Model):
    """Input of these jobs."""

    text: str = ""
    number: int = 0


class Report(Model):
    """Output of these jobs."""

    pid: int
    text: str = ""
    number: float = 0


_calls: list[int] = []
_kept: list[bytes] = []


@job(seconds=20, memory_mb=256)
def echo(given: Given, context: Context) -> Report:
    """Answer what was given, in three steps."""
    for done in (1, 2, 3):
        context.progress(done, 3, f"step {done}")
    context.warn("an echo")
    return Report(pid=os.getpid(), text=given.text, number=context.attempt)


@job(seconds=20, memory_mb=256, queue="other")
def echo_elsewhere(given: Given) -> Report:
    """Answer what was given, from another queue."""
    return Report(pid=os.getpid(), text=given.text)


@job(seconds=20, memory_mb=256)
def count_calls(given: Given) -> Report:
    """Count the calls that this process has seen."""
    _calls.append(given.number)
    return Report(pid=os.getpid(), number=len(_calls))


@job(seconds=20, memory_mb=256)
def note_runs(given: Given) -> Report:
    """Note the run, and go on until the process is ended."""
    with Path(given.text).open("a") as notes:
        notes.write("1\n")
    time.sleep(60)
    return Report(pid=os.getpid())


@job(seconds=20, memory_mb=256, retries=1)
def note_runs_again(given: Given) -> Report:
    """The same, with a retry."""
    with Path(given.text).open("a") as notes:
        notes.write("1\n")
    time.sleep(60)
    return Report(pid=os.getpid())


_together = 0
_met = asyncio.Event()


@job(isolation="none", seconds=20, retries=1)
async def meet(given: Given, context: Context) -> Report:
    """Wait until so many run concurrently in this process."""
    global _together  # noqa: PLW0603 -- what these jobs share is the point
    _together += 1
    context.progress(_together, given.number)
    if _together == given.number:
        _met.set()
    await _met.wait()
    context.warn("met")
    return Report(pid=os.getpid(), number=_together)


@job(isolation="none", seconds=0.2)
async def wait_too_long(_given: Given) -> Report:
    """Wait longer than it may."""
    await asyncio.sleep(60)
    return Report(pid=os.getpid())


@job(isolation="none", seconds=20)
async def wait_for_cancel(given: Given, context: Context) -> Report:
    """Wait until it is cancelled, and leave a note of that."""
    context.progress(1)
    try:
        await asyncio.sleep(60)
    finally:
        Path(given.text).touch()  # noqa: ASYNC240 -- takes no time
    return Report(pid=os.getpid())


@job(isolation="none", seconds=20)
async def fail_at(given: Given) -> Report:
    """Fail in the way that is named."""
    match given.text:
        case "foreseen":
            message = "there is none today"
            raise JobError(message, code="none_today")
        case "given up":
            raise asyncio.CancelledError
        case "late":
            raise TimeoutError
        case "wrong":
            return given  # type: ignore[return-value] # that is what is wrong
    raise ValueError(given.text)


@job(isolation="none", seconds=20, output_mb=1)
async def make_waiting(given: Given, context: Context) -> Report:
    """Write a file, perhaps too large a one."""
    with context.create("file.txt", "text/plain") as file:
        file.write(b"x" * given.number)
    return Report(pid=os.getpid())


@job(seconds=20, memory_mb=256, isolation="fork")
def count_calls_forked(given: Given) -> Report:
    """Count the calls that this process has seen; there is only one."""
    _calls.append(given.number)
    return Report(pid=os.getpid(), number=len(_calls), text=str(random.random()))  # noqa: S311 -- only to be different


@job(seconds=20, memory_mb=256)
def send_frame(given: Given) -> Report:
    """Send a frame of these bytes (in hexadecimal) to the worker, as a document that has taken the child over might."""
    body = bytes.fromhex(given.text)
    (to_worker,) = (found for found in gc.get_objects() if type(found) is socket.socket and found.fileno() >= 0)
    to_worker.sendall(len(body).to_bytes(4) + body)
    return Report(pid=os.getpid())


@job(seconds=20, memory_mb=256)
async def echo_async(given: Given) -> Report:
    """Answer what was given, from a coroutine."""
    return Report(pid=os.getpid(), text=given.text)


@job(seconds=20, memory_mb=256)
def refuse(given: Given) -> Report:
    """Fail with an error of the job."""
    message = f"{given.text} is too much: send less"
    raise JobError(message, code="too_much", retryable=True)


@job(seconds=20, memory_mb=256)
def explode(given: Given) -> Report:
    """Fail with an unexpected error."""
    message = f"a secret: {given.text}"
    raise ValueError(message)


def _spin() -> None:
    sum(itertools.repeat(1, 10**12))  # in C: no signal handler of Python's ever runs


@job(seconds=0.3, memory_mb=256)
def spin_briefly(given: Given) -> Report:
    """Never end, with a limit that is soon met."""
    _spin()
    return Report(pid=given.number)


@job(seconds=50, memory_mb=256)
def spin(given: Given, context: Context) -> Report:
    """Report the pid, then never end."""
    context.progress(1, None, str(os.getpid()))
    _spin()
    return Report(pid=given.number)


@job(seconds=30, memory_mb=256, retries=1)
def wait_for_file(given: Given, context: Context) -> Report:
    """Report the pid, then wait until a file exists."""
    context.progress(1, None, str(os.getpid()))
    while not Path(given.text).exists():
        time.sleep(0.005)
    return Report(pid=os.getpid(), number=context.attempt)


@job(seconds=30, memory_mb=256, isolation="fork")
def wait_for_file_forked(given: Given, context: Context) -> Report:
    """The same, in a process that ends with its answer."""
    context.progress(1, None, str(os.getpid()))
    while not Path(given.text).exists():
        time.sleep(0.005)
    return Report(pid=os.getpid())


class FileGiven(Model):
    """A file, and a text beside it."""

    file: FileReference
    note: str = ""


class Measured(Model):
    """Bytes of the file, characters of the text."""

    size: int
    note: int


@job(seconds=30, memory_mb=256)
def measure_file(given: FileGiven, context: Context) -> Measured:
    """Measure a file and a text."""
    with context.open(given.file) as file:
        return Measured(size=len(file.read()), note=len(given.note))


def _crash() -> None:
    ctypes.string_at(0)


@job(seconds=20, memory_mb=256)
def crash(given: Given) -> Report:
    """End the process with a bad address."""
    _crash()
    return Report(pid=given.number)


@job(seconds=20, memory_mb=256, retries=2)
def crash_at_first(given: Given, context: Context) -> Report:
    """End the process in the first so many attempts."""
    if context.attempt <= given.number:
        _crash()
    return Report(pid=os.getpid(), number=context.attempt)


@job(seconds=20, memory_mb=64)
def hog(given: Given) -> Report:
    """Take so many MiB of memory."""
    return Report(pid=os.getpid(), number=len(bytearray(given.number << 20)))


@job(seconds=20, memory_mb=256)
def leak(given: Given) -> Report:
    """Keep so many MiB of memory for good."""
    _kept.append(b"x" * (given.number << 20))
    return Report(pid=os.getpid(), number=len(_kept))


@job(seconds=20, memory_mb=256, output_mb=1)
def fill(given: Given, context: Context) -> Report:
    """Write a plain file of so many MiB."""
    written = (context.folder / "file").write_bytes(bytes(given.number << 20))
    return Report(pid=os.getpid(), number=written)


@job(seconds=20, memory_mb=256)
def make_file(given: Given, context: Context) -> Report:
    """Make a file with the text."""
    with context.create("made.txt", "text/plain") as file:
        file.write(given.text.encode())
    return Report(pid=os.getpid())


@job(seconds=20, memory_mb=256)
def talk(given: Given) -> Report:
    """Answer so many bytes."""
    return Report(pid=os.getpid(), text="x" * given.number)


@job(seconds=20, memory_mb=256)
def chatter(given: Given) -> Report:
    """Print in every way there is."""
    print("printed", "\0" * 50)  # noqa: T201 -- that is what is tested
    sys.stdout.flush()
    os.write(1, b"\xff" * 100)
    os.system("echo from a program")  # noqa: S605, S607 -- a program that prints to the same place
    return Report(pid=os.getpid(), text=given.text)


def _descend(depth: int) -> None:
    if depth:
        _descend(depth - 1)


def _recurse_often(loops: int) -> int:
    """Page faults of so many loops that recurse to each of several depths, after one that touches the stack."""
    _descend(800)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for depth in (50, 200, 400, 800):
        for _ in range(loops):
            _descend(depth)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@job(seconds=60, memory_mb=256)
def recurse_often(given: Given) -> Report:
    """Report the page faults of loops that recurse."""
    return Report(pid=os.getpid(), number=_recurse_often(given.number))


@job(seconds=60, memory_mb=256, isolation="fork")
def recurse_often_forked(given: Given) -> Report:
    """The same, in a process that ends with its answer."""
    return Report(pid=os.getpid(), number=_recurse_often(given.number))


@job(seconds=60, memory_mb=256)
async def recurse_often_async(given: Given) -> Report:
    """The same, in a coroutine."""
    return Report(pid=os.getpid(), number=_recurse_often(given.number))


def _endless(given: Given) -> Report:
    return _endless(given)


@job(seconds=60, memory_mb=256)
def recurse_endlessly(given: Given) -> Report:
    """Recurse until Python refuses."""
    return _endless(given)


class _Node:
    """An object of a cycle, with so many bytes."""

    def __init__(self, size: int) -> None:
        self.itself = self
        self.content = bytes(size)


@job(seconds=60, memory_mb=64)
def outlive_garbage(given: Given) -> Report:
    """Drop so many MiB in cycles that were old by then, in generations of 8 MiB."""
    for _ in range(given.number // 8):
        generation = [_Node(1 << 10) for _ in range(8 << 10)]
        young: list[list[int]] = [[] for _ in range(300_000)]  # so that both younger generations are collected
        del young, generation
    return Report(pid=os.getpid(), number=gc.get_threshold()[2])


@job(seconds=60, memory_mb=64)
def count_garbage(given: Given) -> Report:
    """Count the objects that jobs in this process have dropped in cycles, without a collection."""
    return Report(pid=os.getpid(), number=sum(type(found) is _Node for found in gc.get_objects()) + given.number)


@job(seconds=60, memory_mb=512)
def count_full_collections(given: Given) -> Report:
    """Count the full collections while so many objects are made that all live."""
    before = gc.get_stats()[2]["collections"]
    living: list[list[int]] = [[] for _ in range(given.number)]
    return Report(pid=os.getpid(), text=f"{len(living)}", number=gc.get_stats()[2]["collections"] - before)


@job(seconds=20, memory_mb=256, isolation="fork")
def mutter(given: Given) -> Report:
    """Print and leave it to the process to write it."""
    print(given.text)  # noqa: T201 -- that is what is tested
    return Report(pid=os.getpid(), text=given.text)


@job(seconds=20, memory_mb=256)
def look_around(given: Given) -> Report:
    """Report the state of this process in the kernel."""
    status = Path("/proc/self/status").read_text()
    (privileges,) = (line.split()[1] for line in status.splitlines() if line.startswith("NoNewPrivs"))
    score = Path("/proc/self/oom_score_adj").read_text().strip()
    nice = os.getpriority(os.PRIO_PROCESS, given.number)
    return Report(pid=os.getpid(), text=f"{privileges} {score} {nice}")
