"""Manifests written by the programs themselves, in every option that changes their output, and read back."""

from __future__ import annotations

import base64
import itertools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from offloop.jobs.hashing import ToVerify, Verdict
from offloop.kinds.job_context import JobContext
from offloop.kinds.limits import Limits
from offloop_workers.hashing import verify
from support.programs import needs

PLAIN = ["a.txt", "par(en) = x.txt", "*star", "two words", "sub/b  c.txt", "ünï", "empty", "#remark", "100%"]
ODD = ["back\\slash", "cr\rinside", os.fsdecode(b"caf\xe9")]
BROKEN = ["new\nline", "sub/up\ndown"]
EVERY = [*PLAIN, *ODD, *BROKEN]
SMALL = ["a.txt", "sub/b  c.txt"]
CHANGED = "a.txt"
_OPENSSL = [
    "md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha512-224", "sha512-256", "sha3-224", "sha3-256",
    "sha3-384", "sha3-512", "blake2b512", "blake2s256", "ripemd160", "rmd160", "sm3", "md5-sha1",
]  # fmt: skip
_RHASH = [
    "crc32", "md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3-224", "sha3-256", "sha3-384", "sha3-512",
    "ripemd160", "blake2s", "blake2b",
]  # fmt: skip
Command = tuple[str, str, list[str], list[str], dict[str, Any]]
"""Case, program, arguments, names of files, and options of verify_manifest."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with names that need care."""
    result = tmp_path_factory.mktemp("programs") / "in"
    (result / "sub").mkdir(parents=True)
    for name in EVERY:
        (result / name).write_bytes(b"" if name == "empty" else b"%s\r\n0101\n" % os.fsencode(name) * 7)
    return result


@pytest.fixture(scope="module")
def changed(folder: Path) -> Path:
    """A copy of the folder with one file changed."""
    result = folder.parent / "changed"
    shutil.copytree(folder, result)
    content = (result / CHANGED).read_bytes()
    (result / CHANGED).write_bytes(content.replace(b"0", b"1"))
    return result


Check = Callable[..., tuple[Verdict, JobContext]]


@pytest.fixture
def check(tmp_path: Path, folder: Path) -> Check:
    """Verifies a manifest of some files of a folder."""
    numbers = itertools.count()

    def run(place: str, manifest: bytes, names: list[str], **more: Any) -> tuple[Verdict, JobContext]:
        context = JobContext(
            job_id="job",
            folder=tmp_path / str(next(numbers)),
            roots={"all": folder.parent},
            limits=Limits(output_mb=1),
            report=lambda _: None,
        )
        request = {"folder": f"root:all/{place}", "include": [*map(glob_of, names)], "manifest": data(manifest), **more}
        found: Verdict = verify.verify(ToVerify.model_validate(request), context)
        return found, context

    return run


def glob_of(name: str) -> str:
    """The pattern that matches the name only."""
    escaped = "".join(f"[{one}]" if one in "*?[" else "?" if one > "\ud7ff" else one for one in name)
    return escaped if "/" in escaped else f"/{escaped}"


def data(manifest: bytes) -> str:
    """A manifest as a reference."""
    return "data:application/octet-stream;base64," + base64.b64encode(manifest).decode()


def output(folder: Path, command: list[str], stdin: bytes = b"") -> bytes:
    """Output of a program."""
    done = subprocess.run(
        command, cwd=folder, input=stdin, capture_output=True, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"}
    )
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout


def _coreutils() -> Iterator[Command]:
    for program in ("md5sum", "sha1sum", "sha224sum", "sha256sum", "sha384sum", "sha512sum", "b2sum"):
        for options in ([], ["-b"], ["-t"], ["--tag"], ["-z"], ["-z", "--tag"], ["-z", "-b"]):
            yield f"{program} {options}", program, [*options, "--"], EVERY, {}
    for bits in range(8, 513, 8):
        yield f"b2sum -l {bits}", "b2sum", ["-l", str(bits), "--"], SMALL, {}
        yield f"b2sum -l {bits} --tag", "b2sum", ["-l", str(bits), "--tag", "--"], EVERY, {}
    for algorithm in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "blake2b", "sm3"):
        for options in ([], ["--untagged"], ["-z"], ["--untagged", "-z"]):
            yield f"cksum -a {algorithm} {options}", "cksum", ["-a", algorithm, *options, "--"], EVERY, {}
    yield "cksum", "cksum", ["--"], EVERY, {}
    yield "cksum -a crc", "cksum", ["-a", "crc", "--"], PLAIN, {}


def _shasum() -> Iterator[Command]:
    for bits in ("1", "224", "256", "384", "512", "512224", "512256"):
        for options in ([], ["-b"], ["-t"], ["--tag"]):
            yield f"shasum -a {bits} {options}", "shasum", ["-a", bits, *options, "--"], EVERY, {}
        yield f"shasum -a {bits} -U", "shasum", ["-a", bits, "-U", "--"], PLAIN, {}


def _openssl() -> Iterator[Command]:
    for algorithm in _OPENSSL:
        for options in ([], ["-hex"], ["-c"], ["-r"], ["-c", "-r"]):
            yield f"openssl {algorithm} {options}", "openssl", ["dgst", f"-{algorithm}", *options], EVERY, {}
    for algorithm, length in (("shake128", 16), ("shake256", 32), ("shake256", 20)):
        yield algorithm, "openssl", ["dgst", f"-{algorithm}", "-xoflen", str(length)], EVERY, {}


def _md5deep() -> Iterator[Command]:
    flat = [name for name in EVERY if "/" not in name]
    for program in ("md5deep", "sha1deep", "sha256deep"):
        for options in (
            [],
            ["-l"],
            ["-z"],
            ["-k"],
            ["-t"],
            ["-c"],
            ["-cz"],
            ["-ct"],
            ["-zt"],
            ["-lk"],
            ["-d"],
            ["-lz"],
        ):
            yield f"{program} {options}", program, [*options, "--"], EVERY, {}
        yield f"{program} -0", program, ["-0", "--"], EVERY, {}
        yield f"{program} -b", program, ["-b", "--"], flat, {}
    for columns in ("md5", "sha1", "sha256", "md5,sha1,sha256,tiger,whirlpool", "tiger,sha1"):
        for options in ([], ["-l"], ["-0"], ["-d"]):
            yield f"hashdeep {columns} {options}", "hashdeep", ["-c", columns, *options, "--"], EVERY, {}
    yield "hashdeep -b", "hashdeep", ["-b", "--"], flat, {}
    yield "hashdeep", "hashdeep", ["--"], EVERY, {}


def _rhash() -> Iterator[Command]:
    names = [name for name in EVERY if "\\" not in name]  # it takes a backslash for a slash
    for kind in _RHASH:
        yield f"rhash {kind}", "rhash", [f"--{kind}"], names, {}
        for form in ("--simple", "--bsd", "--sfv", "--uppercase"):
            some = [name for name in names if name != "#remark"] if form == "--uppercase" else names
            yield f"rhash {kind} {form}", "rhash", [f"--{kind}", form], some, {}
    for kind in ("md5", "sha1", "sha256", "sha512"):
        yield f"rhash {kind} --base64", "rhash", [f"--{kind}", "--base64"], names, {}
        yield f"rhash {kind} magnet", "rhash", [f"--{kind}", "--magnet"], [n for n in names if "/" not in n], {}
    yield "rhash sha1 --base32", "rhash", ["--sha1", "--base32"], names, {}
    plain = [name for name in names if name != "#remark"]
    yield "rhash several", "rhash", ["--crc32", "--md5", "--sha256"], plain, {}
    yield "rhash several sfv", "rhash", ["--sfv", "--md5", "--sha1"], names, {}
    yield "rhash all", "rhash", ["-a"], plain, {}
    yield "rhash all bsd", "rhash", ["-a", "--bsd"], names, {}


def _others() -> Iterator[Command]:
    yield "b3sum", "b3sum", ["--"], EVERY, {}
    yield "b3sum -l 16", "b3sum", ["-l", "16", "--"], EVERY, {}
    yield "b3sum -l 100", "b3sum", ["-l", "100", "--"], EVERY, {"algorithm": "blake3"}
    for kind in ("md5", "sha1", "ripemd160", "sha224", "sha256", "sha384", "sha512"):
        yield f"gpg --print-md {kind}", "gpg", ["--print-md", kind], EVERY, {}
    yield "gpg --print-mds", "gpg", ["--print-mds"], EVERY, {}
    yield "gpg --with-colons", "gpg", ["--with-colons", "--print-mds"], EVERY, {}
    for program in ("busybox", "toybox"):
        for kind in ("md5sum", "sha1sum", "sha256sum", "sha512sum"):
            yield f"{program} {kind}", program, [kind, "--"], EVERY, {}
    yield "busybox sha3sum", "busybox", ["sha3sum", "--"], EVERY, {}
    for kind in ("CRC32", "SHA1", "SHA256", "MD5", "XXH64", "SHA512", "SHA3-256", "*"):
        names = [name for name in PLAIN if "*" not in name]
        yield f"7zz {kind}", "7zz", ["h", f"-scrc{kind}", "--"], names, {}
    for kind in ("0", "1", "2"):
        yield f"xxhsum -H{kind}", "xxhsum", [f"-H{kind}", "--"], EVERY, {}
        yield f"xxhsum -H{kind} --tag", "xxhsum", [f"-H{kind}", "--tag", "--"], EVERY, {}
    yield "xxhsum -H3", "xxhsum", ["-H3", "--"], EVERY, {}
    yield "cksfv", "cksfv", ["-q"], EVERY, {}
    yield (
        "bsdtar",
        "bsdtar",
        ["-cf", "-", "--format=mtree", "--options=mtree:sha256,mtree:md5,mtree:cksum", "--"],
        EVERY,
        {},
    )


COMMANDS = [*_coreutils(), *_shasum(), *_openssl(), *_md5deep(), *_rhash(), *_others()]


@pytest.mark.parametrize("program", sorted({command[1] for command in COMMANDS}))
def test_what_a_program_writes_verifies_and_finds_a_change(
    folder: Path, changed: Path, check: Check, program: str
) -> None:
    needs("b3sum busybox cksfv coreutils gpg hashdeep libarchive-tools openssl perl rhash toybox xxhash 7zip", program)
    for case, _, arguments, names, more in (command for command in COMMANDS if command[1] == program):
        if case.startswith("cksum -a") and b"--algorithm" not in output(folder, ["cksum", "--help"]):
            continue  # coreutils before 9.0
        written = output(folder, [program, *arguments, *names])
        found, context = check("in", written, names, **more)
        assert found.exact, (case, found, context.warnings, written[:500])
        assert found.counts["ok"] == len(names), (case, found)
        found, context = check("changed", written, names, **more)
        assert found.mismatch == [CHANGED], (case, found, context.warnings, written[:500])
        assert found.counts["ok"] == len(names) - 1, (case, found)
    assert changed.exists()
