"""The contributor's pages are true: files, commits, commands, options and fixtures that they name exist."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.selection import PROCESSES

ROOT = Path(__file__).parents[1]
GUIDES = [ROOT / "CONTRIBUTING.md", ROOT / "tests" / "README.md"]
COMMIT = re.compile(r'`([0-9a-f]{7,12})`\s+"([^"]+)"')
LATER = "later"
"""In the last column of a table: the commit of the example did without this file."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table of "How to add".

    Attributes:
        section: heading of the table.
        commits: hash and subject of each commit that the section names.
        file: path of today.
        then: path in one of the commits.
    """

    section: str
    commits: tuple[tuple[str, str], ...]
    file: str
    then: str


def rows() -> Iterator[Row]:
    """All rows of "How to add"."""
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    part = text.split("\n## How to add\n")[1].split("\n## ")[0]
    for section in part.split("\n### ")[1:]:
        commits = tuple((commit, " ".join(subject.split())) for commit, subject in COMMIT.findall(section))
        for line in section.splitlines():
            if line.startswith("| `"):
                file, _, then = (cell.strip(" `") for cell in line.split("|")[1:-1])
                yield Row(section.partition("\n")[0], commits, file, then or file)


@pytest.fixture(scope="module")
def git() -> str:
    """The program git, in a clone with its whole history; without one, the test is skipped."""
    program = shutil.which("git")
    if program is None or not (ROOT / ".git").exists():
        pytest.skip("the history is compared in a git clone only; install git and clone the repository")
    if run(program, "rev-parse", "--is-shallow-repository") == "true":
        pytest.skip("this clone is shallow, so old commits are not compared; type: git fetch --unshallow")
    return program


def run(git: str, *arguments: str) -> str:
    outcome = subprocess.run([git, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    return outcome.stdout.strip()


def test_every_section_names_commits_and_files() -> None:
    assert {row.section for row in rows()} == {"A kind", "A family", "A light tool", "A setting", "A database"}
    assert all(row.commits for row in rows())


@pytest.mark.parametrize("row", [*rows()], ids=lambda row: f"{row.section}: {row.file}")
def test_the_files_of_how_to_add_exist(row: Row) -> None:
    assert (ROOT / row.file).is_file(), f"{row.file} of {row.section!r} has another name now"


def test_the_commits_of_how_to_add_are_in_the_history_and_changed_the_files(git: str) -> None:
    for row in rows():
        changed = set[str]()
        for commit, subject in row.commits:
            assert run(git, "log", "-1", "--format=%s", commit) == subject
            changed.update(run(git, "diff", "--name-only", f"{commit}^", commit).splitlines())
        assert row.then in {*changed, LATER}, f"{row.then} was not changed by the commits of {row.section!r}"


def commands() -> Iterator[str]:
    """Every command ``./run …`` of the guides, without comments."""
    for guide in GUIDES:
        for command in re.findall(r"\./run [^`\n|]*[^`\n| ]", guide.read_text("utf-8")):
            yield command.partition(" #")[0].partition(r"\n'")[0]


@pytest.mark.parametrize("command", sorted(set(commands())))
def test_the_commands_of_the_guides_exist(command: str, pytestconfig: pytest.Config) -> None:
    script = (ROOT / "run").read_text("utf-8")
    name, *words = command.split()[1:]
    assert re.search(rf"^  {name}\) ", script, re.MULTILINE), f"./run has no command {name!r}"
    assert f"#   ./run {name} " in script, f"the head of ./run does not explain {name!r}"
    if name == "check":
        [steps] = re.findall(r'^STEPS="(.*)"$', script, re.MULTILINE)
        assert set(words) <= {*steps.split()}
    if name in {"test", "coverage"}:
        for word in words:
            if word.startswith("-"):
                pytestconfig.getoption(word.partition("=")[0])
            elif word.startswith("tests/"):
                assert (ROOT / word).exists(), word


def test_the_hooks_run_steps_that_exist() -> None:
    entries = re.findall(r"^ +entry: (.*)$", (ROOT / ".pre-commit-config.yaml").read_text("utf-8"), re.MULTILINE)
    assert entries
    assert set(entries) <= set(commands())


def fixtures() -> set[str]:
    """Names of all fixtures of the tests."""
    found = set()
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                decorators = {ast.unparse(decorator).partition("(")[0] for decorator in node.decorator_list}
                found |= {node.name} if "pytest.fixture" in decorators else set()
    return found


def test_the_fixtures_of_the_guide_exist() -> None:
    text = (ROOT / "tests" / "README.md").read_text("utf-8").split("\n## Fixtures\n")[1].split("\n## ")[0]
    listed = {name for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert len(listed) > 10
    assert listed <= fixtures()
    [left_out] = re.findall(r"`--quick` leaves out what uses ([^.]*)\.", text)
    assert set(re.findall(r"`(\w+)`", left_out)) == PROCESSES


def test_the_markers_of_the_guide_are_those_that_are_declared(pytestconfig: pytest.Config) -> None:
    text = (ROOT / "tests" / "README.md").read_text("utf-8").split("| marker | meaning |\n")[1].split("\n\n")[0]
    ours = {"slow", "soak", "faults", "fuzz"}
    declared = {line.partition(":")[0].strip() for line in pytestconfig.getini("markers")} & ours
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == declared
