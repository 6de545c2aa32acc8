"""hash_file: all digests of a file in one read."""

from __future__ import annotations

import hashlib
import hmac
import os
import zlib
from pathlib import Path
from typing import Any, get_args

import pytest
import xxhash
from blake3 import blake3
from pydantic import ValidationError

from offloop.errors import JobError, LimitExceeded
from offloop.jobs.hashing import Algorithm, Digests, FileToHash
from offloop.kinds.job_context import JobContext
from offloop_workers.files import progress
from offloop_workers.hashing import digest, single

EMPTY = {
    "md5": "d41d8cd98f00b204e9800998ecf8427e",
    "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "blake3": "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
    "crc32": "00000000",
    "xxh3_64": "2d06800538d394c2",
}


def run(context: JobContext, **request: Any) -> Digests:
    """Hash a file."""
    result: Digests = single.hash_bytes(FileToHash.model_validate(request), context)
    return result


def test_every_algorithm_gives_its_own_digest_in_one_read(context: JobContext, root: Path) -> None:
    content = os.urandom(3 * 2**20 + 12_345)  # several blocks, the last one not full
    (root / "file").write_bytes(content)
    algorithms = list(get_args(Algorithm))
    result = run(context, file="root:in/file", algorithms=algorithms)
    assert result.size == len(content)
    assert list(result.digests) == algorithms
    known = {
        name: hashlib.new(name, content).hexdigest() for name in algorithms if name in hashlib.algorithms_available
    }
    others = {
        "blake3": blake3(content).hexdigest(),
        "crc32": f"{zlib.crc32(content):08x}",
        "xxh3_64": xxhash.xxh3_64_hexdigest(content),
        "xxh3_128": xxhash.xxh3_128_hexdigest(content),
    }
    assert result.digests == {**known, **others}


def test_an_empty_file_has_the_published_digests(context: JobContext) -> None:
    result = run(context, file="data:,", algorithms=list(EMPTY))
    assert (result.digests, result.size) == (EMPTY, 0)


def test_sha256_is_the_default(context: JobContext) -> None:
    assert run(context, file="data:,abc").digests == {"sha256": hashlib.sha256(b"abc").hexdigest()}


def test_an_algorithm_given_twice_counts_once(context: JobContext) -> None:
    assert list(run(context, file="data:,abc", algorithms=["md5", "sha1", "md5"]).digests) == ["md5", "sha1"]


def test_progress_is_in_bytes(context: JobContext, root: Path, reports: list[dict[str, Any]]) -> None:
    size = 5 * 2**20
    (root / "file").write_bytes(bytes(size))
    run(context, file="root:in/file")
    steps = [report["progress"] for report in reports]
    assert steps[0] == {"done": 0, "total": size, "message": "0 bytes of 5.24 MB"}
    assert steps[-1] == {"done": size, "total": size, "message": "5.24 MB of 5.24 MB"}


def test_a_missing_file_fails_with_its_reference(context: JobContext) -> None:
    with pytest.raises(JobError, match="root:in/none"):
        run(context, file="root:in/none")


def test_warming_up_needs_nothing() -> None:
    digest.warm()


@pytest.mark.parametrize("expected", ["{}", " {}\n", "sha256:{}", "SHA256: {}"])
def test_an_expected_digest_is_compared_however_it_is_written(context: JobContext, expected: str) -> None:
    right = hashlib.sha256(b"abc").hexdigest()
    assert run(context, file="data:,abc", expected=expected.format(right)).matches is True
    assert run(context, file="data:,abc", expected=expected.format(right.upper())).matches is True
    assert run(context, file="data:,abd", expected=expected.format(right)).matches is False
    assert run(context, file="data:,abc").matches is None


def test_an_expected_digest_is_only_compared_with_its_own_algorithm(context: JobContext) -> None:
    blake = blake3(b"abc").hexdigest()
    both = ["sha256", "blake3"]
    assert run(context, file="data:,abc", algorithms=both, expected=blake).matches is True
    assert run(context, file="data:,abc", algorithms=both, expected=f"sha256:{blake}").matches is False


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        ("", "0 characters"),
        ("abcd", "sha256 has 64"),
        ("z" * 64, "is no digest"),
        ("d41d8cd98f00b204e9800998ecf8427e", "ask for its algorithm"),
        ("md5:d41d8cd98f00b204e9800998ecf8427e", "not among those asked for"),
        ("sha9:00", "there are md5"),
    ],
)
def test_an_expected_digest_that_cannot_match_is_refused_before_anything_is_read(expected: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        FileToHash.model_validate({"file": "data:,abc", "expected": expected})


def test_a_key_makes_hmacs_of_all_digests(context: JobContext, root: Path) -> None:
    (root / "key").write_bytes(b"key")
    result = run(context, file="data:,abc", algorithms=["sha256", "blake2b", "sha3_256", "md5"], hmac_key="root:in/key")
    assert result.digests == {
        name: hmac.new(b"key", b"abc", name).hexdigest() for name in ("sha256", "blake2b", "sha3_256", "md5")
    }
    assert run(context, file="data:,abc", hmac_key="data:,key").digests["sha256"] == result.digests["sha256"]


@pytest.mark.parametrize("key", ["data:,", "data:," + "k" * 70_000])
def test_an_empty_or_huge_key_is_refused(context: JobContext, key: str) -> None:
    with pytest.raises(JobError, match="send a key of 1 to 65536 bytes"):
        run(context, file="data:,abc", hmac_key=key)


def test_there_is_no_hmac_of_a_checksum() -> None:
    with pytest.raises(ValidationError, match="no HMAC with blake3, crc32"):
        FileToHash.model_validate({"file": "data:,a", "algorithms": ["crc32", "blake3"], "hmac_key": "data:,key"})


def test_the_answer_says_which_digests_attackers_can_fool(context: JobContext) -> None:
    assert run(context, file="data:,abc", algorithms=["sha256", "md5", "crc32"]).not_for_security == ["md5", "crc32"]


def test_a_file_that_changes_while_it_is_read_has_no_digest(context: JobContext, root: Path) -> None:
    path = root / "file"
    path.write_bytes(bytes(3 * 2**20))

    def grow(message: dict[str, Any]) -> None:
        if message["progress"]["done"]:
            with path.open("ab") as file:
                file.write(b"more")

    context._report = grow
    with pytest.raises(JobError, match="changed while it was read") as failed:
        run(context, file="root:in/file")
    assert (failed.value.reason, failed.value.retryable) == ("file_changed", True)


def test_a_sparse_file_above_the_limit_is_refused_before_reading(context: JobContext, root: Path) -> None:
    with (root / "file").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(LimitExceeded, match="more than 256 GiB"):
        run(context, file="root:in/file")


def test_the_rest_is_estimated_once_the_speed_is_known(
    context: JobContext, reports: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr("offloop_workers.files.progress.time.monotonic", lambda: clock[0])
    counter = progress.ByteProgress(context, 4_000_000_000)
    for seconds in (0.5, 40.0):
        clock[0] += seconds
        counter.add(500_000_000)
    assert [report["progress"]["message"] for report in reports] == [
        "0 bytes of 4 GB",
        "500 MB of 4 GB",
        "1 GB of 4 GB, about 2 min 2 s left",
    ]
