"""Extent of a test run: ``--quick`` (unit tests), the default, or ``--all`` (soak tests too).

What is left out is deselected and counted in the summary; a test named on the command line with ``::`` runs.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

UNITS = ("shared", "server", "workers")
"""Folders of unit tests, which mirror the import roots."""

PROCESSES = frozenset({"begin", "children", "cluster", "harness", "mariadb", "mongo", "new_stack", "postgres", "stack"})
"""Fixtures that start processes beyond a Valkey."""

_OUTPUT = "left_out"
_left_out = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the two options, which exclude each other."""
    group = parser.getgroup("extent of the run")
    group.addoption("--quick", action="store_true", help="run only unit tests that start no process and are not slow")
    group.addoption("--all", action="store_true", help="run the soak tests too")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse both options together."""
    if config.option.quick and config.option.all:
        message = "--quick leaves tests out and --all adds some: choose one"
        raise pytest.UsageError(message)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Processes without ``-n``: one a core for unit tests, which compute; two a core for the others, which wait too."""
    cores = len(os.sched_getaffinity(0))
    return cores if config.option.quick else 2 * cores


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests outside the extent, except those named on the command line."""
    if config.option.all:
        return
    named = {argument.partition("[")[0] for argument in config.args if "::" in argument}
    wanted = _is_quick if config.option.quick else _is_daily
    left_out = {item for item in items if not wanted(item) and item.nodeid.partition("[")[0] not in named}
    if left_out:
        config.stash[_left_out] = len(left_out)
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Send the count from a process of xdist to the one that prints the summary."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output[_OUTPUT] = session.config.stash.get(_left_out, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:  # noqa: ARG001 -- pytest passes arguments by name
    """Receive the count; each process of xdist collects all tests, so any one of them knows it."""
    node.config.stash[_left_out] = getattr(node, "workeroutput", {}).get(_OUTPUT, 0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Tell what was left out."""
    if left_out := config.stash.get(_left_out, 0):
        more = "without --quick, or with --all" if config.option.quick else "with --all"
        terminalreporter.write_line(f"{left_out} tests were left out; they run {more}.")


def _is_daily(item: pytest.Item) -> bool:
    return item.get_closest_marker("soak") is None


def _is_quick(item: pytest.Item) -> bool:
    folder = item.path.relative_to(Path(__file__).parents[1]).parts[0]
    fixtures = getattr(item, "fixturenames", ())
    return _is_daily(item) and folder in UNITS and not (item.get_closest_marker("slow") or PROCESSES & set(fixtures))
