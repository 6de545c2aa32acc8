"""Reports of failed tests: the logs of their processes, and the folders that ``--keep-stacks`` keeps."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent

FAILING = '''
import os
import sys

import pytest

from support.folders import FOLDERS
from support.processes import Process
from support.waiting import until


@pytest.fixture
def folder(tmp_path):
    """As a stack does: its folder is gone before the teardown is reported."""
    made = tmp_path / "own1"
    made.mkdir()
    FOLDERS.opened(made)
    yield made
    FOLDERS.discard(made)
    assert not made.exists()


def begin(folder, *lines):
    program = f"import sys, time; [print(line, flush=True) for line in {lines!r}]; time.sleep(60)"
    process = Process("a worker", [sys.executable, "-c", program], os.environ, folder / "worker.log")
    until(lambda: process.output.count("\\n") == len(lines), "the lines are written", 30)
    return process


@pytest.fixture
def process(folder):
    running = begin(folder, "first of many", *["x" * 99] * 100, "the last line")
    yield running
    running.kill()


@pytest.fixture
def broken_at_its_end(folder):
    running = begin(folder, "seen by the teardown")
    yield
    running.kill()
    pytest.fail("the teardown fails")


def test_fails(process):
    pytest.fail("the call fails")


def test_passes(process):
    pass


def test_is_torn_down(broken_at_its_end):
    pass
'''


@pytest.fixture
def report(tmp_path: Path) -> str:
    """Output of the run of the tests above, with the option."""
    (tmp_path / "test_inner.py").write_text(FAILING)
    options = ["-p", "no:cacheprovider", "-p", "support.failures", "-c", os.devnull, "--rootdir", str(tmp_path)]
    options += ["--keep-stacks", str(tmp_path / "kept"), str(tmp_path / "test_inner.py")]
    command = [sys.executable, "-m", "pytest", *options]
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    outcome = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert "1 failed, 2 passed, 1 error" in outcome.stdout, outcome.stdout + outcome.stderr
    return outcome.stdout


def test_a_failure_shows_the_end_of_each_log_and_the_folder_is_kept(report: str, tmp_path: Path) -> None:
    titles = [line.strip(" -") for line in report.splitlines() if "Log of a worker" in line]
    assert [title.partition(":")[0] for title in titles] == ["Log of a worker (ended)", "Log of a worker (running)"]
    assert "the last line" in report
    assert "first of many" not in report
    assert "seen by the teardown" in report
    kept = sorted(path.name for path in (tmp_path / "kept").iterdir())
    assert [name.split("-")[0] for name in kept] == ["test_inner.py", "test_inner.py"]
    assert ["test_fails" in kept[0], "test_is_torn_down" in kept[1]] == [True, True]
    assert "first of many" in next((tmp_path / "kept").glob("*test_fails*/worker.log")).read_text()
