"""verify_manifest."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from offloop.jobs.hashing import ToVerify, TreeToHash, Verdict
from offloop.kinds.job_context import JobContext
from offloop_workers.hashing import tree, verify

from .conftest import MakeContext


def run(context: JobContext, **request: Any) -> Verdict:
    """Verify."""
    result: Verdict = verify.verify(ToVerify.model_validate(request), context)
    return result


def data(text: str) -> str:
    """A manifest as a reference."""
    return "data:text/plain;base64," + base64.b64encode(text.encode()).decode()


def line(content: str, path: str, algorithm: str = "sha256") -> str:
    """A GNU line."""
    return f"{hashlib.new(algorithm, content.encode()).hexdigest()}  {path}\n"


@pytest.fixture
def full(root: Path) -> Path:
    """A root with a few files."""
    (root / "sub").mkdir()
    for name in ("a", "b", "sub/c", "sub/d"):
        (root / name).write_text(name)
    return root


@pytest.mark.parametrize("form", ["gnu", "bsd", "json"])
@pytest.mark.parametrize("links", ["skip", "record"])
def test_an_unchanged_tree_verifies_exactly(full: Path, make_context: MakeContext, form: str, links: str) -> None:
    (full / "link").symlink_to("a")
    (full / os.fsdecode(b"caf\xe9\n")).write_text("x")
    result = make_context()
    tree.hash_files(
        TreeToHash.model_validate({"folder": "root:in", "manifest": form, "links": links}),
        result,
    )
    reference = "root:out/0/" + result.artifacts[0].path.name
    found = run(make_context(), folder="root:in", manifest=reference, links=links if form == "json" else "skip")
    assert found.exact
    assert found.counts["ok"] == (6 if links == "record" and form == "json" else 5)


def test_each_file_is_in_the_list_it_belongs_to(full: Path, context: JobContext) -> None:
    assert full.exists()
    text = line("a", "a") + line("other", "b") + line("sub/c", "was/c") + line("gone", "gone") + line("x", "../out")
    found = run(context, folder="root:in", manifest=data(text + "rubbish\n"))
    assert (found.mismatch, found.missing, found.extra, found.refused) == (["b"], ["gone"], ["sub/d"], ["../out"])
    assert [(one.listed, one.found) for one in found.moved] == [("was/c", "sub/c")]
    assert found.malformed[0].startswith("line 6: ")
    assert not found.verified
    assert found.counts == {
        "ok": 1, "mismatch": 1, "missing": 1, "moved": 1, "extra": 1, "unreadable": 0, "refused": 1, "malformed": 1
    }  # fmt: skip
    report = json.loads(context.artifacts[0].path.read_bytes())
    assert report["ok"] == [{"path": "a"}]
    assert report["moved"] == [{"listed": {"path": "was/c"}, "found": {"path": "sub/c"}}]


def test_unlisted_files_do_not_hinder_verification(full: Path, context: JobContext) -> None:
    assert full.exists()
    found = run(context, folder="root:in", manifest=data(line("a", "./a")))
    assert (found.verified, found.exact, found.extra) == (True, False, ["b", "sub/c", "sub/d"])


def test_a_manifest_does_not_list_itself(full: Path, context: JobContext) -> None:
    (full / "sub" / "SUMS").write_text(line("sub/c", "c") + line("sub/d", "d"))
    assert run(context, folder="root:in/sub", manifest="root:in/sub/SUMS").exact


def test_a_download_is_verified_by_name(context: JobContext) -> None:
    text = line("payload", "tool.tar.gz") + line("another", "tool.zip")
    found = run(context, files={"tool.tar.gz": "data:,payload"}, manifest=data(text))
    assert (found.counts["ok"], found.missing) == (1, ["tool.zip"])


def test_a_file_listed_twice_must_have_both_digests(full: Path, make_context: MakeContext) -> None:
    assert full.exists()
    both = line("a", "a") + line("a", "a", "md5") + line("a", "./a")
    assert run(make_context(), folder="root:in", manifest=data(both)).verified
    found = run(make_context(), folder="root:in", manifest=data(line("a", "a") + line("b", "a")))
    assert (found.mismatch, found.counts["ok"]) == (["a"], 0)


def test_weak_digests_are_warned_of(full: Path, context: JobContext) -> None:
    assert full.exists()
    assert run(context, folder="root:in", manifest=data(line("a", "a", "md5"))).algorithms == ["md5"]
    assert "accidents, not attackers" in context.warnings[0]


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "sub/../a", "a/../../b", ".", "sub/"])
def test_a_path_that_leaves_the_folder_is_refused_and_never_opened(full: Path, context: JobContext, path: str) -> None:
    assert full.exists()
    found = run(context, folder="root:in", manifest=data(line("a", path)))
    assert (found.refused, found.verified) == ([path], False)


def test_a_listed_path_that_is_reached_through_a_link_is_missing(full: Path, context: JobContext) -> None:
    (full / "link").symlink_to("a")
    (full / "out").symlink_to(full.parent)
    assert run(context, folder="root:in", manifest=data(line("x", "link") + line("x", "out/x"))).missing == [
        "link",
        "out/x",
    ]


def test_lists_are_cut_and_counted(full: Path, context: JobContext) -> None:
    assert full.exists()
    text = "".join(line(str(number), f"n{number:04}" + "x" * 300) for number in range(200))
    found = run(context, folder="root:in", manifest=data(text))
    assert (len(found.missing), found.counts["missing"]) == (50, 200)
    assert max(map(len, found.missing)) == 200
    assert len(json.loads(context.artifacts[0].path.read_bytes())["missing"]) == 200
