"""Hashing: all digests of a file in one read."""

from __future__ import annotations

import hashlib
import os
import zlib
from pathlib import Path
from typing import Any, get_args

import pytest
import xxhash
from blake3 import blake3

from offloop.errors import JobError
from offloop.jobs.hashing import Algorithm, Digests, FileToHash
from offloop_workers.context import JobContext
from offloop_workers.hashing import digest as module

EMPTY = {
    "md5": "d41d8cd98f00b204e9800998ecf8427e",
    "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "blake3": "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
    "crc32": "00000000",
    "xxh3_64": "2d06800538d394c2",
}


@pytest.fixture
def reports() -> list[dict[str, Any]]:
    """What the context told the worker."""
    return []


@pytest.fixture
def context(tmp_path: Path, reports: list[dict[str, Any]]) -> JobContext:
    """A context whose root ``in`` is a folder the tests write to."""
    (tmp_path / "in").mkdir()
    return JobContext(
        job_id="job",
        attempt=1,
        folder=tmp_path,
        inputs={},
        roots={"in": tmp_path / "in"},
        output_bytes=0,
        report=reports.append,
    )


def run(context: JobContext, **request: Any) -> Digests:
    """Hash a file."""
    made: Digests = module.hash_bytes(FileToHash.model_validate(request), context)
    return made


def test_every_algorithm_gives_its_own_digest_in_one_read(context: JobContext, tmp_path: Path) -> None:
    content = os.urandom(3 * 2**20 + 12_345)  # several blocks, the last one not full
    (tmp_path / "in" / "file").write_bytes(content)
    algorithms = list(get_args(Algorithm))
    made = run(context, file="root:in/file", algorithms=algorithms)
    assert made.size == len(content)
    assert list(made.digests) == algorithms
    known = {
        name: hashlib.new(name, content).hexdigest() for name in algorithms if name in hashlib.algorithms_available
    }
    others = {
        "blake3": blake3(content).hexdigest(),
        "crc32": f"{zlib.crc32(content):08x}",
        "xxh3_64": xxhash.xxh3_64_hexdigest(content),
        "xxh3_128": xxhash.xxh3_128_hexdigest(content),
    }
    assert made.digests == {**known, **others}


def test_an_empty_file_has_the_published_digests(context: JobContext) -> None:
    made = run(context, file="data:,", algorithms=list(EMPTY))
    assert (made.digests, made.size) == (EMPTY, 0)


def test_sha256_is_what_you_get_unasked(context: JobContext) -> None:
    assert run(context, file="data:,abc").digests == {"sha256": hashlib.sha256(b"abc").hexdigest()}


def test_an_algorithm_given_twice_counts_once(context: JobContext) -> None:
    assert list(run(context, file="data:,abc", algorithms=["md5", "sha1", "md5"]).digests) == ["md5", "sha1"]


def test_progress_is_in_bytes(context: JobContext, tmp_path: Path, reports: list[dict[str, Any]]) -> None:
    size = 5 * 2**20
    (tmp_path / "in" / "file").write_bytes(bytes(size))
    run(context, file="root:in/file")
    steps = [report["progress"] for report in reports]
    assert steps[0] == {"done": 0, "total": size, "message": "reading"}
    assert steps[-1] == {"done": size, "total": size, "message": "reading"}


def test_a_missing_file_fails_with_its_reference(context: JobContext) -> None:
    with pytest.raises(JobError, match="root:in/none"):
        run(context, file="root:in/none")


def test_warming_up_needs_nothing() -> None:
    module.warm()
