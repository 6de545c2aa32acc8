"""Jobs that tests run in real children: some behave, some do not. Loaded as a user's own jobs are."""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import os
import random
import sys
import time
from pathlib import Path

from offloop import Context, JobError, Model, job


class Given(Model):
    """What these jobs are given."""

    text: str = ""
    number: int = 0


class Told(Model):
    """What they tell."""

    pid: int
    text: str = ""
    number: float = 0


_calls: list[int] = []
_kept: list[bytes] = []


@job(seconds=20, memory_mb=256)
def echo(given: Given, context: Context) -> Told:
    """Answer what was given, in three steps."""
    for done in (1, 2, 3):
        context.progress(done, 3, f"step {done}")
    context.warn("an echo")
    return Told(pid=os.getpid(), text=given.text, number=context.attempt)


@job(seconds=20, memory_mb=256, queue="other")
def echo_elsewhere(given: Given) -> Told:
    """Answer what was given, from another queue."""
    return Told(pid=os.getpid(), text=given.text)


@job(seconds=20, memory_mb=256)
def count_calls(given: Given) -> Told:
    """Count the calls that this process has seen."""
    _calls.append(given.number)
    return Told(pid=os.getpid(), number=len(_calls))


@job(seconds=20, memory_mb=256)
def note_runs(given: Given) -> Told:
    """Note that it runs, and go on until it is ended."""
    with Path(given.text).open("a") as notes:
        notes.write("1\n")
    time.sleep(60)
    return Told(pid=os.getpid())


@job(seconds=20, memory_mb=256, retries=1)
def note_runs_again(given: Given) -> Told:
    """Do the same, for it may run again."""
    with Path(given.text).open("a") as notes:
        notes.write("1\n")
    time.sleep(60)
    return Told(pid=os.getpid())


_together = 0
_met = asyncio.Event()


@job(isolation="none", seconds=20, retries=1)
async def meet(given: Given, context: Context) -> Told:
    """Wait until so many run at once in this process."""
    global _together  # noqa: PLW0603 -- what these jobs share is the point
    _together += 1
    context.progress(_together, given.number)
    if _together == given.number:
        _met.set()
    await _met.wait()
    context.warn("met")
    return Told(pid=os.getpid(), number=_together)


@job(isolation="none", seconds=0.2)
async def wait_too_long(_given: Given) -> Told:
    """Wait longer than it may."""
    await asyncio.sleep(60)
    return Told(pid=os.getpid())


@job(isolation="none", seconds=20)
async def wait_for_cancel(given: Given, context: Context) -> Told:
    """Wait until it is cancelled, and leave a note of that."""
    context.progress(1)
    try:
        await asyncio.sleep(60)
    finally:
        Path(given.text).touch()  # noqa: ASYNC240 -- takes no time
    return Told(pid=os.getpid())


@job(isolation="none", seconds=20)
async def fail_at(given: Given) -> Told:
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
async def make_waiting(given: Given, context: Context) -> Told:
    """Write a file, perhaps too large a one."""
    with context.create("file.txt", "text/plain") as file:
        file.write(b"x" * given.number)
    return Told(pid=os.getpid())


@job(seconds=20, memory_mb=256, isolation="fork")
def count_calls_forked(given: Given) -> Told:
    """Count the calls that this process has seen; there is only one."""
    _calls.append(given.number)
    return Told(pid=os.getpid(), number=len(_calls), text=str(random.random()))  # noqa: S311 -- only to be different


@job(seconds=20, memory_mb=256)
async def echo_async(given: Given) -> Told:
    """Answer what was given, from a coroutine."""
    return Told(pid=os.getpid(), text=given.text)


@job(seconds=20, memory_mb=256)
def refuse(given: Given) -> Told:
    """Fail as foreseen."""
    message = f"{given.text} is too much: send less"
    raise JobError(message, code="too_much", retryable=True)


@job(seconds=20, memory_mb=256)
def explode(given: Given) -> Told:
    """Fail as nobody foresaw."""
    message = f"a secret: {given.text}"
    raise ValueError(message)


def _spin() -> None:
    sum(itertools.repeat(1, 10**12))  # in C: no signal handler of Python's ever runs


@job(seconds=0.3, memory_mb=256)
def spin_briefly(given: Given) -> Told:
    """Never end, with a limit that is soon met."""
    _spin()
    return Told(pid=given.number)


@job(seconds=50, memory_mb=256)
def spin(given: Given, context: Context) -> Told:
    """Tell the pid, then never end."""
    context.progress(1, None, str(os.getpid()))
    _spin()
    return Told(pid=given.number)


@job(seconds=30, memory_mb=256, retries=1)
def wait_for_file(given: Given, context: Context) -> Told:
    """Tell the pid, then wait until a file exists."""
    context.progress(1, None, str(os.getpid()))
    while not Path(given.text).exists():
        time.sleep(0.005)
    return Told(pid=os.getpid(), number=context.attempt)


@job(seconds=30, memory_mb=256, isolation="fork")
def wait_for_file_forked(given: Given, context: Context) -> Told:
    """The same, in a process that ends with its answer."""
    context.progress(1, None, str(os.getpid()))
    while not Path(given.text).exists():
        time.sleep(0.005)
    return Told(pid=os.getpid())


def _crash() -> None:
    ctypes.string_at(0)


@job(seconds=20, memory_mb=256)
def crash(given: Given) -> Told:
    """End the process with a bad address."""
    _crash()
    return Told(pid=given.number)


@job(seconds=20, memory_mb=256, retries=2)
def crash_at_first(given: Given, context: Context) -> Told:
    """End the process in the first so many attempts."""
    if context.attempt <= given.number:
        _crash()
    return Told(pid=os.getpid(), number=context.attempt)


@job(seconds=20, memory_mb=64)
def hog(given: Given) -> Told:
    """Take so many MiB of memory."""
    return Told(pid=os.getpid(), number=len(bytearray(given.number << 20)))


@job(seconds=20, memory_mb=256)
def leak(given: Given) -> Told:
    """Keep so many MiB of memory for good."""
    _kept.append(b"x" * (given.number << 20))
    return Told(pid=os.getpid(), number=len(_kept))


@job(seconds=20, memory_mb=256, output_mb=1)
def fill(given: Given, context: Context) -> Told:
    """Write a plain file of so many MiB."""
    written = (context.folder / "file").write_bytes(bytes(given.number << 20))
    return Told(pid=os.getpid(), number=written)


@job(seconds=20, memory_mb=256)
def make_file(given: Given, context: Context) -> Told:
    """Make a file with the text."""
    with context.create("made.txt", "text/plain") as file:
        file.write(given.text.encode())
    return Told(pid=os.getpid())


@job(seconds=20, memory_mb=256)
def talk(given: Given) -> Told:
    """Answer so many bytes."""
    return Told(pid=os.getpid(), text="x" * given.number)


@job(seconds=20, memory_mb=256)
def chatter(given: Given) -> Told:
    """Print in every way there is."""
    print("printed", "\0" * 50)  # noqa: T201 -- that is what is tested
    sys.stdout.flush()
    os.write(1, b"\xff" * 100)
    os.system("echo from a program")  # noqa: S605, S607 -- a program that prints to the same place
    return Told(pid=os.getpid(), text=given.text)


@job(seconds=20, memory_mb=256, isolation="fork")
def mutter(given: Given) -> Told:
    """Print and leave it to the process to write it."""
    print(given.text)  # noqa: T201 -- that is what is tested
    return Told(pid=os.getpid(), text=given.text)


@job(seconds=20, memory_mb=256)
def look_around(given: Given) -> Told:
    """Tell what the kernel knows of this process."""
    status = Path("/proc/self/status").read_text()
    (privileges,) = (line.split()[1] for line in status.splitlines() if line.startswith("NoNewPrivs"))
    score = Path("/proc/self/oom_score_adj").read_text().strip()
    nice = os.getpriority(os.PRIO_PROCESS, given.number)
    return Told(pid=os.getpid(), text=f"{privileges} {score} {nice}")
