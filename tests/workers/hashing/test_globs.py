"""Patterns for paths."""

from __future__ import annotations

import time

import pytest

from offloop.errors import JobError
from offloop_workers.hashing.globs import Glob, Globs


def matches(pattern: str, path: str) -> bool:
    """Whether the pattern matches the whole path."""
    glob = Glob(pattern)
    return glob.matches(glob.step(glob.start, path))


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
        ("a*b*c", ["abc", "axbxc", "abcbc"], ["ab", "acb"]),
        ("?", ["a", "ü"], ["ab"]),
        ("[a-c]x", ["bx"], ["dx", "-x"]),
        ("[!a-c]x", ["dx"], ["bx"]),
        ("[]-]", ["]", "-"], ["a"]),
        ("[[]", ["["], ["a"]),
        ("[.^\\]", [".", "^", "\\"], ["a"]),
        ("a.c", ["a.c"], ["abc"]),
        ("a\nb*", ["a\nbc"], ["a\n"]),
    ],
)
def test_a_pattern_matches_what_the_documentation_says(pattern: str, yes: list[str], no: list[str]) -> None:
    assert [path for path in yes if not matches(pattern, path)] == []
    assert [path for path in no if matches(pattern, path)] == []


@pytest.mark.parametrize("pattern", ["[a", "x[", "[z-a]", "[!]"])
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
    ],
)
def test_no_pattern_takes_long(pattern: str, path: str) -> None:
    """Each of these takes a matcher that goes back longer than the universe will last."""
    began = time.process_time()
    assert not matches(pattern, path)
    assert time.process_time() - began < 1


def test_a_path_may_come_in_pieces() -> None:
    globs = Globs(["a/*/c", "*.txt"])
    state = globs.step(globs.step(globs.step(globs.start, "a"), "/"), "b")
    assert globs.matches(globs.step(state, "/c"))
    assert globs.matches(globs.step(state, ".txt"))
    assert not globs.matches(state)
    assert not Globs([])
