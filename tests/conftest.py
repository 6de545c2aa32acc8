"""What every test has: a temporary folder that is checked, and the certainty that nothing is left behind.

Tests that need a running offloop ask for `stack`, which is shared by the tests of one process (each uses principals and
files of its own), or for `new_stack`, where they break things.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import itertools
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from hostile.summary import pytest_terminal_summary
from support.processes import SESSION, STACK, marked, wait_gone
from support.stack import stack as stacks
from support.stack.stack import Stack
from support.waiting import until

__all__ = ["pytest_terminal_summary"]

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio, as offloop does."""
    return "asyncio"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Asynchronous tests of a process share one task; one that leaves it marked as cancelled fails, not the next."""
    if inspect.iscoroutinefunction(test := pyfuncitem.obj):

        @functools.wraps(test)
        async def unmarked(**arguments: Any) -> None:
            task = asyncio.current_task()
            assert task
            try:
                await test(**arguments)
            finally:
                marks = task.cancelling()
                for _ in range(marks):
                    task.uncancel()
            assert not marks, "the test leaves its task marked as cancelled"

        pyfuncitem.obj = unmarked
    return (yield)


@pytest.fixture(scope="session", autouse=True)
def temporary() -> Iterator[Path]:
    """A short temporary folder for this process and all it starts; at the end, no process may be left."""
    before = os.environ.get("TMPDIR"), tempfile.tempdir
    folder = Path(tempfile.mkdtemp(prefix="ob-", dir="/tmp"))
    os.environ["TMPDIR"], tempfile.tempdir = str(folder), str(folder)
    os.environ[SESSION] = secrets.token_hex(8)
    yield folder
    left = wait_gone(SESSION, os.environ.pop(SESSION))
    if before[0] is None:
        del os.environ["TMPDIR"]
    else:
        os.environ["TMPDIR"] = before[0]
    tempfile.tempdir = before[1]
    shutil.rmtree(folder, ignore_errors=True)
    assert not left, f"processes outlive the tests: {left}"


@pytest.fixture(autouse=True)
def nothing_left_behind(temporary: Path) -> Iterator[None]:
    """After each test: no process, no ``offloop-`` folder, no key without end, no temporary file."""
    yield
    for stack in stacks.OPEN:
        stack.check()
    until(lambda: not _strays(), f"processes have ended, but {_strays()}", 3)
    folders = [path.name for path in temporary.glob("offloop-*") if not _is_scratch(path)]
    assert not folders, f"temporary folders are left: {folders}"


def _strays() -> dict[int, str]:
    """Processes that tests started, but for those of the stacks that still run."""
    kept = {pid for stack in stacks.OPEN for pid in marked(STACK, stack.mark)}
    return {pid: command for pid, command in marked(SESSION, os.environ[SESSION]).items() if pid not in kept}


def _is_scratch(path: Path) -> bool:
    """Workers keep one empty folder a user, for all their attempts."""
    return path.name == f"offloop-{os.getuid()}" and not any(path.iterdir())


@pytest.fixture(scope="session")
def stack(temporary: Path) -> Iterator[Stack]:
    """Two front ends and a worker; shared, so do not stop any of them."""
    shared = Stack(temporary / "shared")
    try:
        worker, *front_ends = shared.begin_worker(), shared.begin_front_end(), shared.begin_front_end()
        for front_end in front_ends:
            shared.await_front_end(front_end)
        shared.await_worker(worker)
        yield shared
    finally:
        shared.close()


@pytest.fixture
def new_stack(temporary: Path) -> Iterator[Callable[..., Stack]]:
    """Makes stacks that a test may break; they are closed and checked after it."""
    with ExitStack() as closing:

        def make(**options: Any) -> Stack:
            made = Stack(temporary / f"own{next(_numbers)}", **options)
            closing.callback(made.close)
            closing.callback(made.check)
            return made

        yield make
