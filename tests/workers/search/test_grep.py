"""The lines that grep finds, in the pages of this repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.programs import needs

DOCS = Path(__file__).parents[3] / "docs"
_OUTPUT = re.compile(r"(\d+)([:-])(.*)")


def grep(*arguments: str) -> str:
    """The output of grep; exit code 1, for no match, is no error."""
    needs("grep", "grep")
    program = shutil.which("grep") or ""
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [program, *arguments], cwd=DOCS, env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode in {0, 1}, done.stderr
    return done.stdout


@pytest.fixture
def root() -> Path:
    """The pages."""
    return DOCS


@pytest.mark.parametrize(
    ("flags", "pattern", "options"),
    [
        ("-P", r"\bworkers?\b", {}),
        ("-P", r"^\|.*\d+ MiB", {}),
        ("-P", r"`[a-z_]+`(?=, `)", {}),
        ("-P", r"(\w)\1\w*ing", {}),
        ("-P", r"(?<!the )queue$", {}),
        ("-E", "(front|back) ?ends?", {}),
        ("-E", "^$", {}),
        ("-Ei", "REDIS", {"ignore_case": True}),
        ("-F", "a.b(", {"fixed": True}),
        ("-Fw", "job", {"fixed": True, "word": True}),
        ("-Ev", "[a-z]", {"invert": True}),
        ("-P", "é|ä|…|→", {}),
    ],
)
@pytest.mark.parametrize("name", ["jobs.md", "operations.md", "architecture.md"])
def test_lines_and_context_are_those_of_grep(
    run: Any, flags: str, pattern: str, options: dict[str, bool], name: str
) -> None:
    found = run(pattern, file=f"root:in/{name}", before=2, after=1, max_matches=2000, **options)
    lines: dict[int, tuple[str, str]] = {}
    for line in found.matches:
        for distance, text in enumerate(reversed(line.before), 1):
            lines.setdefault(line.line - distance, ("-", text[:300]))
        for distance, text in enumerate(line.after, 1):
            lines.setdefault(line.line + distance, ("-", text[:300]))
    lines |= {line.line: (":", line.text[:300]) for line in found.matches}
    printed = grep("-n", "-B2", "-A1", flags, "--", pattern, name)
    expected = {int(one[1]): (one[2], one[3][:300]) for one in map(_OUTPUT.fullmatch, printed.splitlines()) if one}
    cut = {line.line for line in found.matches if line.cut}
    assert {number: line for number, line in lines.items() if number not in cut} == {
        number: line for number, line in expected.items() if number not in cut
    }
    assert lines.keys() == expected.keys()


@pytest.mark.parametrize("pattern", [r"\bworker\w*", r"`[^`]+`", r"\d+(\.\d+)? (s|ms|MiB)\b", r"(?i)tests?(?!s)"])
def test_matches_of_all_files_are_those_of_grep(run: Any, pattern: str) -> None:
    found = run(pattern, folder="root:in", include=["/*.md"], count_only=True)
    pages = sorted(path.name for path in DOCS.glob("*.md"))
    assert found.matches_total == len(grep("-ohP", "--", pattern, *pages).splitlines())
    counts = (line.split(":") for line in grep("-cP", "--", pattern, *pages).splitlines())
    assert {one.file: one.lines for one in found.files} == {name: int(count) for name, count in counts if int(count)}
