"""Manifests and patterns for paths, as strangers write them."""

from __future__ import annotations

import fnmatch
import hashlib
import io
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from offloop.errors import JobError
from offloop.jobs.hashing import DIGITS, HASHDEEP, Format
from offloop_workers.files.globs import Glob
from offloop_workers.hashing import digest, manifest
from offloop_workers.hashing.entries import LINK, Contents, Entry
from support.fuzzing import check_refusal, costly

_ALGORITHMS = sorted(DIGITS)
_SUM = {"sha256": "sha256sum", "md5": "md5sum", "sha1": "sha1sum", "sha512": "sha512sum"}

_bytes_of_a_name = st.one_of(st.integers(1, 255), st.sampled_from(b"\n\r\\ *#().,/=%")).map(lambda one: bytes([one]))
names = st.lists(_bytes_of_a_name, min_size=1, max_size=12).map(b"".join).map(os.fsdecode)


@st.composite
def entries(draw: st.DrawFn, algorithm: str) -> list[Entry]:
    """Entries of one algorithm."""
    digests = st.binary(min_size=DIGITS[algorithm] // 2, max_size=DIGITS[algorithm] // 2)
    one = st.builds(Entry, names, st.just(algorithm), digests, st.integers(0, 2**60))
    return draw(st.lists(one, min_size=1, max_size=4))


def _written(form: Format, algorithm: str, listed: list[Entry]) -> bytes:
    file = io.BytesIO()
    manifest.write(file, form, algorithm, None, listed)
    return file.getvalue()


@given(st.data(), st.sampled_from(_ALGORITHMS), st.sampled_from(["gnu", "bsd", "json", "hashdeep"]))
def test_a_written_manifest_is_read_back(data: st.DataObject, algorithm: str, form: Format) -> None:
    listed = data.draw(entries(algorithm))
    if form == "hashdeep":
        assume(not any(set(entry.path) & set("\r\n") for entry in listed))
        assume(algorithm in HASHDEEP)
    found = manifest.read(io.BytesIO(_written(form, algorithm, listed)), algorithm)
    sized = form in ("json", "hashdeep")
    prefix = "./" if form == "hashdeep" else ""
    assert found == Contents(
        [entry._replace(path=prefix + entry.path, size=entry.size if sized else -1) for entry in listed], [], 0
    )


_tokens = st.sampled_from(
    [b"SHA256", b"BLAKE2b", b"MD5", b"NONE", b" (", b") = ", b"  ", b" *", b"\\", b"\n", b"\r\n", b"#", b"\0", b"%%%% ",
     b"%%%% HASHDEEP-1.0\n", b"%%%% size,md5,sha256,filename\n", b"%%%% size,md5,md5,filename\n", b",", b"./x", b"12",
     b"## Invoked from: /tmp\n", b"d41d8cd98f00b204e9800998ecf8427e", b"0" * 64, b"deadbeef", b"\xff", b"\xef\xbb\xbf",
     b'{"format": "offloop-manifest-1", "algorithm": "md5", "entries": [', b'{"path": "a", "digest": "', b'"}', b"]}",
     b'"path_base64": "/w=="', b'"size": -5', b"1e999", b"9" * 30, b"[" * 40]
)  # fmt: skip
manifests = st.one_of(st.lists(_tokens, max_size=14).map(b"".join), st.binary(max_size=100))


@given(manifests, st.sampled_from([None, "md5", "sha256", "xxh3_64"]))
@example(b'{"format": "offloop-manifest-1", "algorithm": "md5", "entries": [{"path": "\\ud800", "digest": "0"}]}', None)
@example(b"{" + b"[" * 100_000, None)
def test_a_manifest_is_read_or_refused(data: bytes, algorithm: str | None) -> None:
    try:
        found = manifest.read(io.BytesIO(data), algorithm)
    except JobError as error:
        check_refusal(error, most=1000)
        return
    for entry in found.entries:
        assert len(entry.digest) == digest.size(entry.algorithm)
        assert entry.path
        assert "\0" not in entry.path
        assert entry.size >= LINK
        os.fsencode(entry.path)


@pytest.mark.parametrize("program", sorted(_SUM.values()))
@pytest.mark.skipif(not shutil.which("sha256sum"), reason="needs sha256sum (coreutils)")
@costly(0.1)
@given(
    st.sets(names.filter(lambda name: "/" not in name and name not in (".", "..")), min_size=1, max_size=4),
    st.booleans(),
)
def test_the_programs_of_coreutils_and_offloop_read_each_others_manifests(
    program: str,
    names: set[str],
    tagged: bool,  # noqa: FBT001 -- drawn
) -> None:
    algorithm = next(name for name, other in _SUM.items() if other == program)
    with tempfile.TemporaryDirectory() as folder:
        listed = []
        for name in sorted(names):
            content = os.fsencode(name) * 3
            (Path(folder) / name).write_bytes(content)
            listed.append(Entry(name, algorithm, hashlib.new(algorithm, content).digest()))
        tag = ["--tag"] if tagged else []
        theirs = subprocess.run(
            [program, *tag, "--", *sorted(names)], cwd=folder, capture_output=True, check=True
        ).stdout
        assert manifest.read(io.BytesIO(theirs), None).entries == listed
        ours = _written("bsd" if tagged else "gnu", algorithm, listed)
        check = [program, "--check", "--strict", "--quiet", "-"]
        subprocess.run(check, cwd=folder, input=ours, capture_output=True, check=True)


_characters = st.text(st.sampled_from("ab*?[]!-^/.\\&|~\n"), max_size=10)


@given(_characters, st.text(st.sampled_from("ab[]!-^.\\&|~\n"), max_size=6))
@example("[!-a]", "-")
@example("[a-]", "-")
@example("[]-a]", "^")
@example("[[a]", "[")
def test_a_pattern_for_names_agrees_with_fnmatch(pattern: str, name: str) -> None:
    try:
        glob = Glob(pattern)
    except JobError:
        return
    if pattern.startswith("./") or "/" in pattern or not pattern or "**" in pattern:
        glob.step(glob.start, name)
        return
    assert glob.matches(glob.step(glob.start, name)) == fnmatch.fnmatchcase(name, pattern)


@given(
    st.lists(st.sampled_from(["**", "*", "a", "?", "[ab]"]), min_size=1, max_size=6),
    st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=6),
)
def test_a_pattern_for_paths_agrees_with_its_definition(pattern: list[str], path: list[str]) -> None:
    def agrees(left: list[str], names: list[str]) -> bool:
        if not left:
            return not names
        if left[0] == "**":
            if len(left) == 1:  # everything below
                return bool(names)
            return any(agrees(left[1:], names[skipped:]) for skipped in range(len(names) + 1))
        return bool(names) and fnmatch.fnmatchcase(names[0], left[0]) and agrees(left[1:], names[1:])

    glob = Glob("/" + "/".join(pattern) if len(pattern) == 1 else "/".join(pattern))
    state = glob.start
    for name in path:
        state = glob.step(state, name)
    assert glob.matches(state) == agrees(pattern, path)


@given(st.integers(1, 60))
def test_the_positions_of_a_pattern_grow_no_faster_than_its_names(names: int) -> None:
    glob = Glob("/".join(["**", "*a*"] * names))
    state = glob.start
    for _ in range(20):
        state = glob.step(state, "a" * 50)
        assert len(state) <= 2 * names + 1
