"""hash_tree."""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from offloop.errors import JobError, LimitExceeded
from offloop.jobs.hashing import TreeDigest, TreeToHash
from offloop.kinds.job_context import JobContext
from offloop_workers.hashing import tree

from .conftest import MakeContext


def run(context: JobContext, **request: Any) -> TreeDigest:
    """Hash files."""
    result: TreeDigest = tree.hash_files(TreeToHash.model_validate(request), context)
    return result


@pytest.fixture
def full(root: Path) -> Path:
    """A root with two files, one of them in a folder."""
    (root / "sub").mkdir()
    (root / "a").write_text("A")
    (root / "sub" / "b").write_text("B")
    return root


def test_the_tree_digest_is_made_as_documented(full: Path, context: JobContext) -> None:
    assert full.exists()
    result = run(context, folder="root:in")
    entries = b"".join(
        b"F" + struct.pack(">Q", len(path)) + path + hashlib.sha256(content).digest()
        for path, content in ((b"a", b"A"), (b"sub/b", b"B"))
    )
    assert result.tree_digest == hashlib.sha256(b"offloop-tree-1\0sha256\0" + entries).hexdigest()
    assert (result.files, result.bytes, result.troubles) == (2, 2, [])
    assert context.artifacts[0].name == "sha256sums.txt"


def test_the_same_files_give_the_same_digest_wherever_they_are(full: Path, make_context: MakeContext) -> None:
    named = run(make_context(), files={"sub/b": "data:,B", "a": "root:in/a"})
    assert named.tree_digest == run(make_context(), folder="root:in").tree_digest
    (full / "x").mkdir()
    (full / "a").rename(full / "x" / "a")
    (full / "sub").rename(full / "x" / "sub")
    assert run(make_context(), folder="root:in/x").tree_digest == named.tree_digest
    assert run(make_context(), folder="root:in/x/").tree_digest == named.tree_digest


@pytest.mark.parametrize("change", ["content", "name", "split", "more", "link"])
def test_any_change_changes_the_digest(full: Path, make_context: MakeContext, change: str) -> None:
    before = run(make_context(), folder="root:in", links="record").tree_digest
    match change:
        case "content":
            (full / "a").write_text("a")
        case "name":
            (full / "a").rename(full / "A")
        case "split":
            (full / "sub").rename(full / "su")
        case "more":
            (full / "empty").touch()
        case "link":
            (full / "link").symlink_to("a")
    assert run(make_context(), folder="root:in", links="record").tree_digest != before


def test_the_target_of_a_link_changes_the_digest_and_is_not_revealed(full: Path, make_context: MakeContext) -> None:
    (full / "link").symlink_to("/srv/private/place")
    context = make_context()
    before = run(context, folder="root:in", links="record", manifest="json").tree_digest
    assert b"private" not in context.artifacts[0].path.read_bytes()
    (full / "link").unlink()
    (full / "link").symlink_to("/srv/private/other")
    assert run(make_context(), folder="root:in", links="record").tree_digest != before


def test_an_unreadable_file_is_reported_and_leaves_no_tree_digest(context: JobContext) -> None:
    result = run(context, files={"good": "data:,x", "gone": "root:in/gone"})
    assert (result.files, result.tree_digest, result.troubles_total) == (1, None, 1)
    assert result.troubles[0].path == "gone"
    assert "no tree digest" in context.warnings[-1]


def test_more_bytes_than_a_job_reads_are_refused_before_reading(root: Path, context: JobContext) -> None:
    with (root / "holes").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(LimitExceeded, match="1,024 GiB together, a job reads at most 256 GiB"):
        run(context, folder="root:in")


def test_an_empty_folder_has_a_digest_and_a_warning(root: Path, context: JobContext) -> None:
    assert root.exists()
    assert run(context, folder="root:in").files == 0
    assert "No file was chosen" in context.warnings[0]


@pytest.mark.parametrize("folder", ["root:other", "root:in/..", "root:in/none", "root:in/a", "root:in//sub"])
def test_a_missing_folder_is_refused_without_its_path(full: Path, context: JobContext, folder: str) -> None:
    with pytest.raises(JobError) as refused:
        run(context, folder=folder)
    assert refused.value.reason == "unreadable_file"
    assert str(full) not in refused.value.message


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"folder": "root:in", "files": {"a": "data:,"}},
        {"files": {}},
        {"files": {"": "data:,"}},
        {"files": {"a\nb": "data:,"}},
        {"folder": "data:,"},
        {"folder": "/etc"},
        {"folder": "root:in", "include": ["x"] * 51},
        {"folder": "root:in", "max_files": 10**9},
    ],
)
def test_an_invalid_request_is_refused(request_: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TreeToHash.model_validate(request_)


def test_bytes_are_counted_over_all_files(full: Path, context: JobContext, reports: list[dict[str, Any]]) -> None:
    (full / "big").write_bytes(os.urandom(3 * 2**20))
    result = run(context, folder="root:in")
    assert result.bytes == 3 * 2**20 + 2
    assert reports[-1]["progress"] == {"done": result.bytes, "total": result.bytes, "message": "3.15 MB of 3.15 MB"}


@pytest.mark.parametrize("name", ["/etc/x", "a/../b", "../b", "a//b", "./a", "a/", "."])
def test_a_name_that_no_manifest_may_have_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="is no path inside a folder"):
        TreeToHash.model_validate({"files": {name: "data:,x"}})


def test_what_is_left_out_is_warned_of_with_an_example(root: Path, context: JobContext) -> None:
    (root / "a").touch()
    (root / "link").symlink_to("a")
    tree.hash_files(TreeToHash.model_validate({"folder": "root:in", "include": ["*", "*.TXT"]}), context)
    assert context.warnings == [
        "1 links left out, such as 'link': only regular files are read.",
        "1 patterns in include match nothing, such as '*.TXT': is it spelt right?",
    ]


def test_a_file_that_changed_after_it_was_listed_has_no_digest(
    root: Path, context: JobContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a").write_text("short")
    listing = tree.listed

    def grown(*arguments: Any) -> Any:
        (root / "a").write_text("longer than it was")
        return listing(*arguments)

    monkeypatch.setattr(tree, "listed", grown)
    found = tree.hash_files(TreeToHash.model_validate({"folder": "root:in"}), context)
    assert (found.files, found.tree_digest) == (0, None)
    assert found.troubles[0].reason == "changed after it was listed"
