"""Logs of the processes of a failed test, as sections of its report; and ``--keep-stacks`` for their folders.

A section has the end of what one process wrote while the test ran, so a stack shared by many tests shows only the lines
of this one.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from support.folders import FOLDERS
from support.processes import STARTED, Process

TAIL_BYTES = 6000
"""Bytes of the log of one process in a report."""

_written = pytest.StashKey[dict[Process, int]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    help_text = "keep the folders of stacks and clusters (logs, Redis data, artifacts) of failed tests in this folder"
    parser.getgroup("general").addoption("--keep-stacks", metavar="FOLDER", type=Path, help=help_text)


def pytest_configure(config: pytest.Config) -> None:
    """Set the destination."""
    if config.option.keep_stacks:
        FOLDERS.destination = config.option.keep_stacks.absolute()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Remember how much each running process has written before the test."""
    item.stash[_written] = {process: process.written for process in STARTED}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the sections to the report of a failure; after the test, forget the ended processes."""
    report = yield
    if report.failed:
        FOLDERS.failed += 1
        report.sections += _sections(item.stash.get(_written, {}))
    if call.when == "teardown":
        FOLDERS.judge()
        for process in [process for process in STARTED if not process.running]:
            STARTED.remove(process)
            process.forget()
    return report


def _sections(before: dict[Process, int]) -> list[tuple[str, str]]:
    """Title and text for each process that has written since."""
    found = []
    for process in STARTED:
        if text := process.tail(TAIL_BYTES, before.get(process, 0)):
            state = "running" if process.running else "ended"
            found.append((f"Log of {process.name} ({state}): {process.log}", text))
    return found
