"""Jobs of the benchmarks, loaded through ``OFFLOOP_JOB_MODULES`` like a user's own."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

from offloop.jobs.pdf import Page, Pdf
from offloop.kinds.context import Context
from offloop.kinds.kind import Model, job
from offloop.kinds.tool import tool


class Nothing(Model):
    """No arguments, no result."""


class NotePath(Model):
    """Path of the file to leave a note in."""

    path: str


@job(retries=1)
def noop(_value: Nothing) -> Nothing:
    """Do nothing; it may be run again after a loss, like the jobs of the peers."""
    return Nothing()


@job(isolation="none", queue="waiting", retries=1)
async def noop_waiting(_value: Nothing) -> Nothing:
    """Do nothing, on the worker's loop, as a job of the peers does."""
    return Nothing()


@tool(read_only=True)
async def light(_value: Nothing) -> Nothing:
    """Answer in the front end, without a job."""
    return Nothing()


@job(seconds=300)
def spin(_value: Nothing, context: Context) -> Nothing:
    """Stay in a loop in C that holds the interpreter's lock and handles no signal."""
    context.progress(1)
    sum(itertools.repeat(1, 10**13))
    return Nothing()


@job(seconds=300, retries=3)
def survive(value: NotePath, context: Context) -> Nothing:
    """Note the worker and the time; the first execution then waits to be killed, the next one ends."""
    with Path(value.path).open("a") as notes:
        notes.write(f"{_worker()} {time.monotonic()}\n")
    context.progress(1)
    if context.attempt == 1:
        time.sleep(290)
    return Nothing()


@job(queue="pdf", isolation="reuse")
def render_reuse(page: Page, context: Context) -> Pdf:
    """Render a page in a child that rendered others before."""
    return _render(page, context)


@job(queue="pdf", isolation="fork")
def render_fork(page: Page, context: Context) -> Pdf:
    """Render a page in a child of its own."""
    return _render(page, context)


def _render(page: Page, context: Context) -> Pdf:
    from offloop_workers.pdf.rendering.render import render  # noqa: PLC0415 -- heavy; the front end imports this module too

    pdf: Pdf = render(page, context)
    return pdf


def _worker() -> int:
    """The worker's process: the parent of the zygote, which is the parent of this child."""
    status = Path(f"/proc/{os.getppid()}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("PPid:"))
