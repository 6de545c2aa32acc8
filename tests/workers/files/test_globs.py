"""Path patterns."""

from __future__ import annotations

import time

import pytest

from offloop.errors import JobError
from offloop_workers.files.globs import Glob, Globs


def matches(pattern: str, path: str) -> bool:
    """Whether the pattern matches the whole path."""
    glob = Glob(pattern)
    positions = glob.start
    for name in path.split("/"):
        positions = glob.step(positions, name)
    return glob.matches(positions)


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("*.txt", ["a.txt", "x/y/a.txt", ".txt"], ["a.txtx", "a.txt/b", "atxt"]),
        (".git", [".git", "x/.git"], ["x.git", ".git/x"]),
        ("/a", ["a"], ["b/a"]),
        ("./a/b", ["a/b"], ["x/a/b"]),
        ("a/", ["a", "q/a"], ["aa"]),
        ("src/*.py", ["src/a.py"], ["src/x/a.py", "x/src/a.py"]),
        ("docs/**", ["docs/a", "docs/a/b"], ["docs", "xdocs/a"]),
        ("**/a", ["a", "b/a", "b/c/a"], ["ba", "a/b"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["a/xb", "ab", "xa/b"]),
        ("a/*/b", ["a/x/b"], ["a/b", "a/x/y/b"]),
        ("**/**/x", ["x", "a/x", "a/b/x"], ["ax"]),
        ("x/**/**/*", ["x/a", "x/a/b"], ["x"]),
        ("**", ["a", "a/b"], []),
        ("a**b", ["ab", "axxb"], ["ax/b"]),
        ("a**/b", ["a/b", "axx/b"], ["ax/x/b"]),
        ("a**/**/b", ["a/b", "axx/b", "ax/x/y/b"], ["ab"]),
        ("a*b*c", ["abc", "axbxc", "abcbc"], ["ab", "acb"]),
        ("?", ["a", "ü"], ["ab"]),
        ("[a-c]x", ["bx"], ["dx", "-x"]),
        ("[!a-c]x", ["dx"], ["bx"]),
        ("[]-]", ["]", "-"], ["a"]),
        ("[[]", ["["], ["a"]),
        ("[.^\\]", [".", "^", "\\"], ["a"]),
        ("[a/b]x", ["ax", "bx"], ["/x"]),
        ("a//b", [], ["a/b", "a/x/b"]),
        ("/", [], ["a", "a/b"]),
        ("a.c", ["a.c"], ["abc"]),
        ("a\nb*", ["a\nbc"], ["a\n"]),
    ],
)
def test_a_pattern_matches_what_the_documentation_says(pattern: str, yes: list[str], no: list[str]) -> None:
    assert [path for path in yes if not matches(pattern, path)] == []
    assert [path for path in no if matches(pattern, path)] == []


@pytest.mark.parametrize("pattern", ["[a", "x[", "[z-a]", "[az-b]", "[!]", "[]", "a/[b/c"])
def test_a_broken_set_is_refused(pattern: str) -> None:
    with pytest.raises(JobError, match="write \\[abc\\]") as refused:
        Glob(pattern)
    assert refused.value.reason == "bad_input"


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("**/" * 160 + "*a*a*a", "a/" * 2000 + "b"),
        ("*a" * 249, "a" * 4000 + "b"),
        ("**/*" * 120 + "b", "a/" * 2000),
        ("[!b]*" * 99 + "b", "a" * 4000),
        ("*?" * 249 + "b", "a" * 4000),
        ("*" + "a" * 498 + "b", "a" * 4000),
        ("**/a/" * 99 + "b", "a/" * 2000),
        ("**/*a*/" * 71 + "b", "aaaa/" * 2000),
    ],
)
def test_no_pattern_takes_long(pattern: str, path: str) -> None:
    """A backtracking matcher needs exponential time for most of these, and quadratic time for the others."""
    began = time.process_time()
    assert not matches(pattern, path)
    assert time.process_time() - began < 1


def test_the_state_after_a_folder_is_reused_for_its_entries() -> None:
    globs = Globs(["a/*/c", "*.txt"])
    folder = globs.step(globs.step(globs.start, "a"), "b")
    assert globs.matches(globs.step(folder, "c"))
    assert globs.matches(globs.step(folder, "x.txt"))
    assert not globs.matches(globs.step(folder, "x"))
    assert not globs.matches(folder)
    assert not Globs([])
