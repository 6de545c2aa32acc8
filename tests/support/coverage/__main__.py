"""Run the tests and report what they cover: ``./run coverage [ARGS]``; ARGS go to pytest.

The floor, ``fail_under`` in pyproject.toml, holds for a whole run: without ARGS, or with ``--all``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

from coverage import Coverage, CoverageData

from support.coverage import hook

ROOT: Final = Path(__file__).parents[3]
DATA: Final = ROOT / ".coverage-data"
REPORT: Final = DATA / "report.txt"
_WHOLE: Final[tuple[list[str], ...]] = ([], ["--all"])
_TEST_SECONDS: Final = 180
_START: Final = (
    'import os, pathlib; path = os.environ.get("TESTS_COVERAGE_HOOK"); '
    'path and exec(compile(pathlib.Path(path).read_text(), path, "exec"), {"__name__": "tests_coverage_hook"})\n'
)


def main(arguments: list[str]) -> int:
    """Run, combine, report; returns the exit code of pytest, or 2 below the floor."""
    os.chdir(ROOT)  # reports show paths relative to it
    shutil.rmtree(DATA, ignore_errors=True)
    DATA.mkdir()
    (DATA / ".gitignore").write_text("*\n")
    ended = _run(arguments)
    coverage = Coverage(config_file=str(ROOT / "pyproject.toml"), data_file=str(DATA / "data"))
    _combine(coverage)
    coverage.html_report(directory=str(DATA / "html"))
    with REPORT.open("w") as file:
        reached = coverage.report(file=file, show_missing=True, skip_covered=True, sort="Cover")
    sys.stdout.write(REPORT.read_text())
    floor = coverage.get_option("report:fail_under")
    if not ended and arguments in _WHOLE and reached < float(str(floor)):
        sys.stdout.write(f"{reached:.2f} % are covered; the floor in pyproject.toml is {floor} %.\n")
        return 2
    return ended


def _run(arguments: list[str]) -> int:
    # coverage's own file starts it in all processes; this one must come after it.
    start = Path(sysconfig.get_paths()["purelib"]) / "a2_tests_coverage.pth"
    start.write_text(_START)
    environment = {
        **os.environ,
        "COVERAGE_PROCESS_START": str(ROOT / "pyproject.toml"),
        "COVERAGE_FILE": str(DATA / "data"),
        "TESTS_COVERAGE_HOOK": str(hook.__file__),
    }
    command = [sys.executable, "-m", "pytest", f"--timeout={_TEST_SECONDS}", *arguments]
    try:
        return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    finally:
        start.unlink()


def _combine(coverage: Coverage) -> None:
    forked: dict[str, set[hook.Arc]] = {}
    logs = list(DATA.glob(f"*{hook.SUFFIX}"))
    sys.stdout.write(f"{len(logs)} forked processes have recorded what they executed.\n")
    for path in logs:
        for record in hook.read_arcs(path):
            for name, arcs in record.items():
                forked.setdefault(name, set()).update(arcs)
        path.unlink()
    data = CoverageData(basename=str(DATA / "data"), suffix="forked")
    data.add_arcs(forked)
    data.close()
    coverage.combine([str(DATA)])
    coverage.save()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
