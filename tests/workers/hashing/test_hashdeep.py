"""Manifests of hashdeep, checked with the program itself."""

from __future__ import annotations

import base64
import io
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from pydantic import ValidationError

from offloop.errors import JobError
from offloop.jobs.hashing import ToVerify, TreeDigest, TreeToHash, Verdict
from offloop.kinds.job_context import JobContext
from offloop_workers.hashing import manifest, tree, verify
from offloop_workers.hashing.entries import Contents
from support.programs import needs

from .conftest import MakeContext

MD5 = "d41d8cd98f00b204e9800998ecf8427e"
SHA = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
HEAD = "%%%% HASHDEEP-1.0\n%%%% size,md5,sha256,filename\n"
NAMES = [
    b"plain",
    b"sub/below",
    b"with, commas,1,2",
    b'quo"te',
    b"back\\slash",
    b"caf\xe9",
    b"## remark",
    b"%%%% size,md5,filename",
]


def read(text: str) -> Contents:
    """Parse a manifest."""
    return manifest.read(io.BytesIO(text.encode()), None)


def hashed(context: JobContext, algorithm: str = "sha256") -> TreeDigest:
    """Hash the root to a manifest."""
    request = {"folder": "root:in", "manifest": "hashdeep", "algorithm": algorithm}
    result: TreeDigest = tree.hash_files(TreeToHash.model_validate(request), context)
    return result


def checked(make_context: MakeContext, text: bytes) -> Verdict:
    """Verify the root against a manifest."""
    reference = "data:text/plain;base64," + base64.b64encode(text).decode()
    request = ToVerify.model_validate({"folder": "root:in", "manifest": reference})
    found: Verdict = verify.verify(request, make_context())
    return found


@pytest.fixture
def hashdeep() -> str:
    """Path of the program."""
    needs("hashdeep", "hashdeep")
    return str(shutil.which("hashdeep"))


@pytest.fixture
def full(root: Path) -> Path:
    """A root with names that need escaping."""
    (root / "sub").mkdir()
    for name in NAMES:
        (root / os.fsdecode(name)).write_bytes(name)
    (root / "empty").touch()
    return root


@pytest.mark.parametrize(
    ("options", "start"),
    [
        (["-l", "."], "."),
        (["."], "."),
        (["-c", "md5,sha1,sha256,tiger,whirlpool", "."], "."),
        (["-c", "sha1,whirlpool", "-l", "."], "."),
    ],
    ids=["relative", "absolute", "all digests", "one known digest"],
)
def test_what_hashdeep_writes_verifies(
    full: Path, make_context: MakeContext, hashdeep: str, options: list[str], start: str
) -> None:
    text = subprocess.run([hashdeep, "-r", *options], cwd=full / start, capture_output=True, check=True).stdout
    assert checked(make_context, text).exact
    (full / "with, commas,1,2").write_bytes(b"WITH, COMMAS,1,2")
    (full / "plain").rename(full / "elsewhere")
    found = checked(make_context, text)
    assert (found.mismatch, found.missing, found.malformed) == (["with, commas,1,2"], found.missing, [])
    assert found.counts["moved"] + found.counts["missing"] == 1
    assert not found.verified


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256"])
def test_hashdeep_audits_what_we_write(full: Path, make_context: MakeContext, hashdeep: str, algorithm: str) -> None:
    context = make_context()
    hashed(context, algorithm=algorithm)
    audit = [hashdeep, "-a", "-r", "-l", "-k", str(context.artifacts[0].path), "."]
    done = subprocess.run(audit, cwd=full, capture_output=True, check=False)
    assert done.stdout.startswith(b"hashdeep: Audit passed"), done.stderr
    (full / "plain").write_bytes(b"PLAIN")
    done = subprocess.run(audit, cwd=full, capture_output=True, check=False)
    assert done.stdout.startswith(b"hashdeep: Audit failed")


def test_our_manifests_verify(full: Path, make_context: MakeContext) -> None:
    context = make_context()
    hashed(context)
    assert full.exists()
    assert checked(make_context, context.artifacts[0].path.read_bytes()).exact


def test_a_name_that_does_not_fit_the_format_is_left_out_with_a_warning(root: Path, make_context: MakeContext) -> None:
    (root / "line\nend").touch()
    (root / "plain").touch()
    context = make_context()
    result = hashed(context)
    assert result.files == 2
    assert result.tree_digest
    assert context.artifacts[0].path.read_text() == HEAD.replace("md5,", "") + f"0,{SHA},./plain\n"
    assert "1 names hold line ends" in context.warnings[0]


def test_a_digest_that_hashdeep_does_not_know_is_refused(make_context: MakeContext) -> None:
    with pytest.raises(ValidationError, match="hashdeep does not know blake3: use md5, sha1, sha256"):
        hashed(make_context(), algorithm="blake3")


def test_each_digest_is_an_entry_with_its_size() -> None:
    found = read(f"{HEAD}## Invoked from: /srv\n## $ hashdeep a\n##\n0,{MD5},{SHA},/srv/a, b\r\n0,{MD5},{SHA},./c\n")
    assert [(entry.path, entry.algorithm, entry.size) for entry in found.entries] == [
        ("a, b", "md5", 0),
        ("a, b", "sha256", 0),
        ("./c", "md5", 0),
        ("./c", "sha256", 0),
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("the rest of a name", "is not 'size,digests,filename'"),
        (f"0,{MD5},a", "is not 'size,digests,filename'"),
        (f"-2,{MD5},{SHA},a", "is not 'size,digests,filename'"),
        (f"{'9' * 5000},{MD5},{SHA},a", "is not 'size,digests,filename'"),
        (f"0,{SHA},{MD5},a", "a digest is not one of md5"),
        (f"0,{'z' * 32},{SHA},a", "a digest is not one of md5"),
        (f"0,{MD5},{SHA},", "has no name"),
        (f"0,{MD5},{SHA},a\0b", "NUL"),
    ],
)
def test_a_malformed_line_is_reported_with_its_number(line: str, why: str) -> None:
    found = read(f"{HEAD}0,{MD5},{SHA},good\n{line}\n")
    assert (len(found.entries), found.malformed_total) == (2, 1)
    assert found.malformed[0].startswith("line 4: ")
    assert why in found.malformed[0]


@pytest.mark.parametrize(
    "columns", ["", "%%%% size,tiger,filename\n", "%%%% size,md5,md5,filename\n", "%%%% nothing\n"]
)
def test_a_head_without_known_columns_is_refused(columns: str) -> None:
    with pytest.raises(JobError, match=r"has no entry \(line") as refused:
        read(f"%%%% HASHDEEP-1.0\n{columns}0,{MD5},a\n")
    assert refused.value.reason == "bad_input"
