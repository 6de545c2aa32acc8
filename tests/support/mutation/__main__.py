"""Change the code in small ways, and show the changes that no test notices: ``./run mutate FILES TESTS [OPTIONS]``.

FILES are modules, TESTS lie in tests/. mutmut expects packages beside each other and beside their tests, so it works in
a copy.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]
DATA: Final = ROOT / ".mutation-data"
TREE: Final = DATA / "tree"
MUTANTS: Final = TREE / "mutants"
SURVIVORS: Final = DATA / "survivors.txt"
_TOOL: Final = Path(__file__).with_name("tool.py")
_PACKAGES: Final = ("shared/offloop", "server/offloop_server", "workers/offloop_workers")
_BESIDE: Final = ("docs", "bench", "run", "README.md", "compose.yaml", "requirements.lock")
_STATES: Final = ("killed", "survived", "timeout", "no tests")
_LENIENT: Final = ("--timeout=20", "-W", "default::pytest.PytestUnraisableExceptionWarning")
"""A test that hangs has noticed; mutmut's trial run, in which every call fails, leaves coroutines that never ran."""
_HUNG_SECONDS: Final = 12.0
"""A mutant that hangs ends after this time and twice that of its tests."""


def main(arguments: Sequence[str]) -> int:
    """Mutate and report; returns 1 if a mutant has survived."""
    options = _options(arguments)
    tests = [path for path in options.paths if path.startswith("tests/")]
    files = [path.split("/", 1)[1] for path in options.paths if path not in tests]
    if not files or not tests:
        sys.stderr.write("Name modules and the tests that reach them: ./run mutate FILES TESTS\n")
        return 2
    _copy()
    _configure(files, tests, options)
    if status := _mutmut("run", "--max-children", str(options.processes)).returncode:
        return status
    return _report()


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run mutate")
    parser.add_argument("paths", nargs="+", help="modules, and the tests that reach them")
    parser.add_argument("--processes", type=int, default=1, help="mutants that are tested side by side")
    parser.add_argument(
        "--fork", action="store_true", help="fork each from one process: quicker, for tests without threads"
    )
    parser.add_argument("--deselect", action="append", default=[], metavar="TEST", help="leave out a test")
    return parser.parse_args(arguments)


def _copy() -> None:
    shutil.rmtree(DATA, ignore_errors=True)
    (MUTANTS / "tests").mkdir(parents=True)  # before the start: Python forgets folders of its path that are missing
    (DATA / ".gitignore").write_text("*\n")
    for name in (*_PACKAGES, "tests", *_BESIDE):
        source, target = ROOT / name, TREE / Path(name).name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
        else:
            shutil.copy(source, target)


def _configure(files: list[str], tests: list[str], options: argparse.Namespace) -> None:
    deselected = [word for test in options.deselect for word in ("--deselect", test)]
    settings = {
        "source_paths": [Path(package).name for package in _PACKAGES],
        "only_mutate": files,
        "also_copy": [*_BESIDE],
        "do_not_mutate_patterns": [r"\blog\.(debug|info|warning|error|exception)\("],
        # The store has threads, which a fork of the process of the first tests would lack.
        "process_isolation": "fork" if options.fork else "forkserver",
        "forkserver_warmup": "none",
        "pytest_add_cli_args": ["-n", "0", "-x", "-p", "no:cacheprovider", *_LENIENT, *deselected],
        "pytest_add_cli_args_test_selection": tests,
        "timeout_constant": _HUNG_SECONDS,
        "timeout_multiplier": 2.0,
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    project = (ROOT / "pyproject.toml").read_text()
    (TREE / "pyproject.toml").write_text("\n".join([project, "[tool.mutmut]", *lines, ""]))


def _mutmut(*arguments: str, quiet: bool = False) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(MUTANTS), str(MUTANTS / "tests"), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, str(_TOOL), *arguments],
        cwd=TREE,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE if quiet else None,
        text=True,
        check=False,
    )


def _report() -> int:
    """Write a line for each module, then the changes of the mutants that have survived."""
    lines = [line.strip().split(": ") for line in _mutmut("results", "--all", "true", quiet=True).stdout.splitlines()]
    states = {line[0]: line[1] for line in lines if len(line) == 2}
    modules: dict[str, Counter[str]] = {}
    for name, state in states.items():
        modules.setdefault(_module(name), Counter())[state] += 1
    survivors = [name for name, state in states.items() if state == "survived"]
    SURVIVORS.write_text("\n".join(_mutmut("show", name, quiet=True).stdout for name in survivors))
    sys.stdout.write(SURVIVORS.read_text())
    for module, counts in modules.items():
        sys.stdout.write(f"\n{module}: {counts.total()} mutants, {', '.join(f'{counts[s]} {s}' for s in _STATES)}")
    sys.stdout.write(f"\nThe survivors are in {SURVIVORS.relative_to(ROOT)} as well.\n")
    return int(bool(survivors))


def _module(name: str) -> str:
    return name.rpartition(".")[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
