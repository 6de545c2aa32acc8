"""Folder walks, and attempts to leave the folder."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from offloop import paths as paths_of_callers
from offloop.errors import JobError, LimitExceeded
from offloop.jobs.hashing import TreeToHash
from offloop_workers.files import walk
from offloop_workers.files.walk import Listing, Walk, printable


def listing(root: Path, **wanted: Any) -> Listing:
    """Walk a folder."""
    folder = os.open(root, os.O_RDONLY)
    try:
        request = TreeToHash.model_validate({"folder": "root:in", **wanted})
        return Walk(request, request.links).through(folder)
    finally:
        os.close(folder)


def paths(root: Path, **wanted: Any) -> list[str]:
    """The files."""
    return [found.path for found in listing(root, **wanted).files]


@pytest.fixture
def full(root: Path) -> Path:
    """A root with a few files."""
    for name in ("b", "a/c.txt", "a/d.py", "a.txt", ".hidden/x", "docs/deep/e.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def test_files_come_in_the_order_of_their_paths_bytes(full: Path) -> None:
    assert paths(full) == [".hidden/x", "a.txt", "a/c.txt", "a/d.py", "b", "docs/deep/e.txt"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"include": ["*.txt"]}, ["a.txt", "a/c.txt", "docs/deep/e.txt"]),
        ({"include": ["a", "b"]}, ["a/c.txt", "a/d.py", "b"]),
        ({"include": ["docs/**"]}, ["docs/deep/e.txt"]),
        ({"include": ["*.txt"], "exclude": ["docs"]}, ["a.txt", "a/c.txt"]),
        ({"exclude": ["*.txt", ".*"]}, ["a/d.py", "b"]),
        ({"include": ["a"], "exclude": ["a/*.py"]}, ["a/c.txt"]),
        ({"hidden": False}, ["a.txt", "a/c.txt", "a/d.py", "b", "docs/deep/e.txt"]),
    ],
)
def test_patterns_choose(full: Path, wanted: dict[str, Any], found: list[str]) -> None:
    assert paths(full, **wanted) == found


def test_only_regular_files_are_taken_and_the_rest_is_counted(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "file").touch()
    (root / "link").symlink_to("file")
    (root / "loop").symlink_to(".")
    os.mkfifo(root / "pipe")
    monkeypatch.chdir(root)  # a socket's path may have about a hundred characters
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        found = listing(root)
    assert [one.path for one in found.files] == ["file"]
    assert found.skipped == {"links": 2, "pipes": 1, "sockets": 1}


def test_links_are_recorded_by_where_they_point(root: Path) -> None:
    (root / "out").symlink_to("/etc")
    (root / "dead").symlink_to("nowhere")
    found = listing(root, links="record")
    assert found.links == [("dead", b"nowhere"), ("out", b"/etc")]
    assert not found.files


def test_a_link_may_be_an_error(root: Path) -> None:
    (root / "link").symlink_to("/etc")
    with pytest.raises(JobError, match="'link' is a symbolic link") as failed:
        listing(root, links="error")
    assert failed.value.reason == "link_found"
    assert "/etc" not in failed.value.message


def test_a_folder_swapped_for_a_link_after_it_was_listed_leads_nowhere(
    full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("SECRET")
    enter = paths_of_callers.enter

    def swapped(folder: int, name: str) -> int:
        if name == "docs":
            (full / "docs").rename(full / "was")
            (full / "docs").symlink_to(outside)
        return enter(folder, name)

    monkeypatch.setattr("offloop_workers.files.walk.enter", swapped)
    found = listing(full, include=["docs"])
    assert found.files == []
    assert [path for path, _ in found.troubles] == ["docs"]


def test_too_many_files_are_refused_with_the_limit(full: Path) -> None:
    assert len(paths(full, max_files=6)) == 6
    with pytest.raises(LimitExceeded, match="more than 5 files"):
        listing(full, max_files=5)


def test_too_many_names_are_refused_whether_they_are_wanted_or_not(full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "MAX_ENTRIES", 3)
    with pytest.raises(LimitExceeded, match="more than 3 names"):
        listing(full, include=["nothing"])


def test_too_many_nested_folders_are_refused_and_nothing_stays_open(root: Path) -> None:
    here = os.open(root, os.O_RDONLY)
    for _ in range(walk.MAX_DEPTH + 50):
        os.mkdir("n" * 100, dir_fd=here)
        below = os.open("n" * 100, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- names are all that is compared
    with pytest.raises(LimitExceeded, match="more than 100 folders inside each other"):
        listing(root)
    assert len(set(os.listdir("/proc/self/fd"))) == len(before)  # noqa: PTH208 -- the same


def test_a_path_is_shown_without_control_characters() -> None:
    assert printable("a\nb\x1b[31m") == "a\\nb\\x1b[31m"
    assert printable(os.fsdecode(b"caf\xe9")) == "caf\\xe9"
    assert printable("ü/你") == "ü/你"
    assert len(printable("n" * 5000)) == 200


@pytest.mark.parametrize(
    ("include", "unused"),
    [
        (["*.txt", "*.TXT", "nothing/**"], ["*.TXT", "nothing/**"]),
        (["a", "a/*.py", "a/*.rs"], ["a/*.rs"]),
        (["a", "a.txt", "docs/**"], []),
        (["nothing"], []),
        ([], []),
    ],
)
def test_patterns_of_several_that_match_nothing_are_listed(full: Path, include: list[str], unused: list[str]) -> None:
    assert listing(full, include=include).unused == unused


def test_entries_left_out_are_listed_by_path(full: Path) -> None:
    (full / "link").symlink_to("b")
    os.mkfifo(full / "docs" / "pipe")
    assert listing(full).left_out == {"link": "links", "docs/pipe": "pipes"}
