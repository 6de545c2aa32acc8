"""Manifests, exchanged with other programs."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from offloop.errors import JobError, LimitExceeded
from offloop.jobs.hashing import TreeToHash
from offloop_workers.hashing import manifest, tree
from offloop_workers.hashing.entries import LINK, Contents, Entry
from offloop_workers.hashing.manifests import text
from support.programs import needs

from .conftest import MakeContext

ODD_NAMES = [
    b"plain",
    b"two words",
    b"back\\slash",
    b"line\nend",
    b"cr\rend",
    b"caf\xe9",
    b"*star",
    b"#remark",
    b" x ",
    b"a) = b",
]
SHA = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
MD5 = "d41d8cd98f00b204e9800998ecf8427e"


def read(text: bytes, algorithm: str | None = None) -> Contents:
    """Parse a manifest."""
    return manifest.read(io.BytesIO(text), algorithm)


@pytest.fixture
def odd(root: Path) -> Path:
    """A root with names that need escaping."""
    for name in ODD_NAMES:
        (root / os.fsdecode(name)).write_bytes(name)
    return root


def written(make_context: MakeContext, **request: Any) -> bytes:
    """The manifest of the root."""
    context = make_context()
    tree.hash_files(TreeToHash.model_validate({"folder": "root:in", **request}), context)
    return context.artifacts[0].path.read_bytes()


@pytest.mark.parametrize("form", ["gnu", "bsd"])
@pytest.mark.parametrize("algorithm", ["sha256", "blake2b", "md5"])
def test_coreutils_checks_our_manifests(odd: Path, make_context: MakeContext, form: str, algorithm: str) -> None:
    program = {"sha256": "sha256sum", "blake2b": "b2sum", "md5": "md5sum"}[algorithm]
    needs("coreutils", program)
    text = written(make_context, manifest=form, algorithm=algorithm)
    checked = subprocess.run(
        [program, "--check", "--strict", "-"], cwd=odd, input=text, capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.count(b": OK") == len(ODD_NAMES)


@pytest.mark.parametrize("options", [["--binary"], ["--text"], ["--tag"]])
def test_we_read_what_coreutils_writes(odd: Path, options: list[str]) -> None:
    needs("coreutils", "sha256sum")
    text = subprocess.run(
        ["sha256sum", *options, "--", *ODD_NAMES],  # noqa: S607 -- wherever coreutils are
        cwd=odd,
        capture_output=True,
        check=True,
    ).stdout
    found = read(text)
    assert [os.fsencode(entry.path) for entry in found.entries] == ODD_NAMES
    assert {entry.algorithm for entry in found.entries} == {"sha256"}
    assert found.malformed == []


@pytest.mark.parametrize("form", ["gnu", "bsd", "json"])
def test_every_format_gives_back_each_name_as_it_was(odd: Path, make_context: MakeContext, form: str) -> None:
    assert odd.exists()
    found = read(written(make_context, manifest=form))
    assert sorted(os.fsencode(entry.path) for entry in found.entries) == sorted(ODD_NAMES)


def test_json_holds_sizes_and_links(root: Path, make_context: MakeContext) -> None:
    (root / "a").write_text("abc")
    (root / "b").symlink_to("a")
    found = read(written(make_context, manifest="json", links="record"))
    assert [(entry.path, entry.size) for entry in found.entries] == [("a", 3), ("b", LINK)]


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        (f"{SHA}  a b", Entry("a b", "sha256", bytes.fromhex(SHA))),
        (f"{SHA.upper()} *a", Entry("a", "sha256", bytes.fromhex(SHA))),
        (f"{MD5}  a\r", Entry("a", "md5", bytes.fromhex(MD5))),
        (f"\\{MD5}  a\\nb\\\\c\\rd", Entry("a\nb\\c\rd", "md5", bytes.fromhex(MD5))),
        (f"SHA3-256 (a) = {SHA}", Entry("a", "sha3_256", bytes.fromhex(SHA))),
        (f"BLAKE3 (a) = {SHA}", Entry("a", "blake3", bytes.fromhex(SHA))),
        (f"XXH128 (a) = {MD5}", Entry("a", "xxh3_128", bytes.fromhex(MD5))),
        ("CRC32 (a (1)) = 00000000", Entry("a (1)", "crc32", bytes(4))),
    ],
)
def test_each_form_of_a_line_is_parsed(line: str, entry: Entry) -> None:
    assert read(f"# remark\n\n{line}\n".encode()).entries == [entry]


def test_a_byte_order_mark_is_skipped() -> None:
    assert read(f"\ufeff{MD5}  a".encode()).entries == [Entry("a", "md5", bytes.fromhex(MD5))]


def test_the_algorithm_of_a_bare_digest_may_be_given() -> None:
    assert read(f"{SHA}  a".encode(), "blake3").entries[0].algorithm == "blake3"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"nothing", "is neither"),
        (SHA[:-1].encode() + b"  a", "63 digits"),
        (b"SHA256 (a) = " + MD5.encode(), "32 digits is not one of sha256"),
        (b"SHA257 (a) = " + SHA.encode(), "SHA257 is not known"),
        (b"\\" + SHA.encode() + b"  a\\x", "escapes nothing"),
        (b"\\" + SHA.encode() + b"  a\\", "escapes nothing"),
        (SHA.encode() + b"  a\0b", "NUL"),
        (SHA.encode() + b"  " + b"n" * 2**20, "more than 32768 bytes"),
        (SHA.encode(), "is neither"),
    ],
)
def test_a_malformed_line_is_reported_with_its_number(line: bytes, why: str) -> None:
    found = read(MD5.encode() + b"  good\n" + line + b"\n")
    assert len(found.entries) == found.malformed_total == 1
    assert found.malformed[0].startswith("line 2: ")
    assert why in found.malformed[0]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"# nothing\n",
        os.urandom(5000),
        "\ufeffabc".encode("utf-16"),
        b"{",
        b'{"format": 1}',
        b"[" * 100_000,
        b"{" * 100_000,
        b'{"format": "offloop-manifest-1", "algorithm": "rot13", "entries": []}',
        *(
            b'{"format":"offloop-manifest-1","algorithm":"md5","entries":[{"path":"%s","digest":"%s"}]}' % entry
            for entry in ((b"a", b"xy"), (b"a", b"z" * 32), (b"", MD5.encode()), (b"\\ud800", b""))
        ),
    ],
    ids=range(13),
)
def test_other_files_are_refused_with_advice(text: bytes) -> None:
    with pytest.raises(JobError, match="send") as refused:
        read(text)
    assert refused.value.reason == "bad_input"
    assert len(refused.value.message) < 600


def test_a_manifest_of_too_many_lines_or_bytes_is_refused_with_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "MAX_FILES", 3)
    monkeypatch.setattr(text, "MAX_FILES", 3)
    monkeypatch.setattr(text, "MAX_LINES", 6)
    with pytest.raises(LimitExceeded, match="more than 3 lines"):
        read(b"x\n" * 4)
    with pytest.raises(LimitExceeded, match="more than 3 lines"):
        read(b"\n" * 10)
    monkeypatch.setattr(manifest, "MAX_BYTES", 2**20)
    with pytest.raises(LimitExceeded, match="more than 1 MiB"):
        read(b"#" * (2**20 + 1))
