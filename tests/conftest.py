"""Fixtures of all tests: a temporary folder, leak checks, and running stacks.

`stack` is a running offloop shared by the tests of one process; each test uses its own principals and files. A test
that stops or breaks processes uses `new_stack`.
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

from support.processes import SESSION, wait_gone
from support.stack import stack as stacks
from support.stack.stack import Stack
from support.strays import Strays
from support.waiting import until_empty

pytest_plugins = [
    *("hostile.summary", "support.caller", "support.failures", "support.redis"),
    *("support.mariadb", "support.mongodb", "support.postgres"),
    *("support.fuzzing", "support.repetition", "support.selection"),
]
"""Modules with fixtures and hooks for all tests; a server starts with the first test that uses it."""

_numbers = itertools.count(1)
_strays = Strays()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio."""
    return "asyncio"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Fail a test that leaves its task with pending cancellations: the next test runs in the same task."""
    if inspect.iscoroutinefunction(test := pyfuncitem.obj):

        @functools.wraps(test)
        async def checked(**arguments: Any) -> None:
            task = asyncio.current_task()
            assert task
            try:
                await test(**arguments)
            finally:
                pending = task.cancelling()
                for _ in range(pending):
                    task.uncancel()
            assert not pending, "the test leaves its task marked as cancelled"

        pyfuncitem.obj = checked
    return (yield)


@pytest.fixture(scope="session", autouse=True)
def temporary() -> Iterator[Path]:
    """A temporary folder with a short path, for this process and its children; checks at the end that none is left."""
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
    """Check after each test: no process, no ``offloop-`` folder, no key without expiry, no temporary file."""
    yield
    for stack in stacks.OPEN:
        stack.check()
    until_empty(_found, "processes of the test still run")
    folders = [path.name for path in temporary.glob("offloop-*") if not _is_scratch(path)]
    assert not folders, f"temporary folders are left: {folders}"


def _found() -> dict[int, str]:
    """Processes that tests started, except those of open stacks."""
    return _strays.found(os.environ[SESSION], [stack.mark for stack in stacks.OPEN])


def _is_scratch(path: Path) -> bool:
    """Whether this is the workers' empty scratch folder, of which there is one a user."""
    return path.name == f"offloop-{os.getuid()}" and not any(path.iterdir())


@pytest.fixture(scope="session")
def stack(temporary: Path) -> Iterator[Stack]:
    """Two front ends and a worker, shared: tests must not stop them."""
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
    """A factory of stacks that the test may break; they are checked and closed after it."""
    with ExitStack() as closing:

        def make(**options: Any) -> Stack:
            own = Stack(temporary / f"own{next(_numbers)}", **options)
            closing.callback(own.close)
            closing.callback(own.check)
            return own

        yield make
