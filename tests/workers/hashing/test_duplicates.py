"""find_duplicates."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from offloop.jobs.hashing import DuplicatesFound, DuplicatesToFind
from offloop.kinds.job_context import JobContext
from offloop_workers.hashing import duplicates


def run(context: JobContext, **request: Any) -> DuplicatesFound:
    """Find duplicates."""
    result: DuplicatesFound = duplicates.find(DuplicatesToFind.model_validate(request), context)
    return result


def test_groups_are_sorted_by_wasted_bytes(root: Path, context: JobContext) -> None:
    for name, content in {"a": b"x" * 10, "b": b"x" * 10, "c": b"y" * 10, "d": b"z" * 99, "e": b"z" * 99}.items():
        (root / name).write_bytes(content)
    found = run(context, folder="root:in")
    assert [(group.size, group.count, group.wasted, group.paths) for group in found.groups] == [
        (99, 2, 99, ["d", "e"]),
        (10, 2, 10, ["a", "b"]),
    ]
    assert (found.wasted, found.files, found.groups_total) == (109, 5, 2)
    assert found.groups[0].blake3 == blake3(b"z" * 99).hexdigest()
    report = json.loads(context.artifacts[0].path.read_bytes())
    assert report["groups"][0]["copies"] == [[{"path": "d"}], [{"path": "e"}]]


@pytest.mark.parametrize("offset", [0, 50_000, 99_999])
def test_one_different_byte_anywhere_tells_large_files_apart(root: Path, context: JobContext, offset: int) -> None:
    content = bytearray(os.urandom(100_000))
    (root / "a").write_bytes(content)
    (root / "b").write_bytes(content)
    content[offset] ^= 1
    (root / "c").write_bytes(content)
    found = run(context, folder="root:in")
    assert [group.paths for group in found.groups] == [["a", "b"]]
    # Files that differ at an end are not read as a whole.
    assert found.bytes_read == 3 * 32 * 1024 + (3 if offset == 50_000 else 2) * 100_000


def test_names_of_one_file_are_one_copy(root: Path, context: JobContext) -> None:
    (root / "a").write_text("same")
    (root / "b").hardlink_to(root / "a")
    found = run(context, folder="root:in")
    assert (found.groups, found.hard_links, found.wasted) == ([], 1, 0)


def test_hard_links_are_listed_beside_true_copies(root: Path, context: JobContext) -> None:
    (root / "a").write_text("same")
    (root / "b").hardlink_to(root / "a")
    (root / "c").write_text("same")
    found = run(context, folder="root:in")
    assert [(group.count, group.wasted, group.paths) for group in found.groups] == [(2, 4, ["a", "b", "c"])]


def test_empty_and_small_files_count_only_when_asked_for(root: Path, context: JobContext) -> None:
    (root / "a").touch()
    (root / "b").touch()
    assert run(context, folder="root:in").groups == []
    assert run(context, folder="root:in", min_size=0).groups[0].count == 2
    assert run(context, folder="root:in", min_size=0).wasted == 0


def test_files_may_be_named_one_by_one(context: JobContext) -> None:
    found = run(context, files={"one": "data:,abc", "two": "data:,abc", "three": "data:,abd", "gone": "root:in/gone"})
    assert [group.paths for group in found.groups] == [["one", "two"]]
    assert found.troubles[0].path == "gone"


def test_many_groups_are_cut_and_counted(root: Path, context: JobContext) -> None:
    for number in range(60):
        for copy in range(2):
            (root / f"{number}-{copy}").write_bytes(b"x" * (number + 1))
    found = run(context, folder="root:in")
    assert (len(found.groups), found.groups_total) == (50, 60)


def test_files_that_were_not_looked_at_are_told(root: Path, context: JobContext) -> None:
    (root / "empty").touch()
    (root / ".hidden").write_text("x")
    run(context, folder="root:in", hidden=False)
    assert context.warnings == [
        "1 hidden names were left out (hidden=false), with all that is in them.",
        "1 files have fewer bytes than min_size, and were not looked at.",
    ]
