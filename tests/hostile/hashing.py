"""Hostile input of the hashing kinds."""

from __future__ import annotations

import base64
import os
import socket
import struct
from pathlib import Path
from typing import Any

from hostile.cases import Case

_BAD = frozenset({"bad_input"})
_NO_FILE = frozenset({"unreadable_file"})
_REFUSED = _BAD | _NO_FILE
_LIMIT = frozenset({"limit_exceeded"})
_DONE = frozenset({"completed"})

MARK = "hashing-secret-3f9c"
"""Content of a file beside the root."""

MARK_SHA256 = "d426dae9da997ec3f1d0b2eb92d7035b4b9e5fbd89440a6cb50f445ebb23285e"
_SHA = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
_KEPT_OUT = (MARK, "root:x:0", "Traceback")


def prepare(folder: Path) -> None:
    """Create the files of the cases.

    Args:
        folder: folder of the root ``data``; the files go into ``hashing`` in it, and a secret beside it.
    """
    outside = folder.parent / "outside-of-hashing"
    outside.mkdir(exist_ok=True)
    (outside / "secret.txt").write_text(MARK)
    base = folder / "hashing"
    for name in ("plain", "links", "odd", "special", "sparse", "deep", "manifests"):
        (base / name).mkdir(parents=True)
    (base / "plain" / "a.txt").write_text("A")
    (base / "plain" / "empty").touch()
    _links(base, outside)
    _special(base / "special")
    _deep(base / "deep")
    for odd in (b"line\nend", b"back\\slash", b"caf\xe9", b"-rf", b" ", b"\x1b[31mred", b"n" * 255):
        (base / "odd" / os.fsdecode(odd)).write_bytes(odd)
    for name in ("tera", "tera-too"):
        with (base / "sparse" / name).open("wb") as file:
            file.truncate(2**40)
    _manifests(base / "manifests")


def _links(base: Path, outside: Path) -> None:
    links = base / "links"
    for name, target in {
        "out": "../../../outside-of-hashing",
        "out-absolute": str(outside),
        "secret.txt": str(outside / "secret.txt"),
        "proc": "/proc",
        "self": "/proc/self/environ",
        "root": "/proc/self/root",
        "null": "/dev/zero",
        "loop": "loop",
        "here": ".",
        "up": "..",
        "inside": "../plain/a.txt",
    }.items():
        (links / name).symlink_to(target)


def _special(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(folder)  # a socket's path may have about a hundred characters
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("socket")
    finally:
        os.fchdir(here)
        os.close(here)


def _deep(folder: Path) -> None:
    here = os.open(folder, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d" * 200, dir_fd=here)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


def _manifests(folder: Path) -> None:
    (folder / "million").write_bytes(b"".join(b"00000000  n%d\n" % number for number in range(10**6)))
    (folder / "empty-lines").write_bytes(b"\n" * 10**7)
    (folder / "megabytes").write_bytes(b"%s  %s\n" % (_SHA.encode(), b"n" * 20 * 2**20))
    (folder / "nested.json").write_bytes(b'{"format":' + b"[" * 10**6)
    (folder / "garbage").write_bytes(struct.pack("<Q", 0x9E3779B97F4A7C15) * 2**17)
    entry = b'{"path":"a","digest":"%s"},' % _SHA.encode()
    head = b'{"format":"offloop-manifest-1","algorithm":"sha256","entries":['
    (folder / "million.json").write_bytes(head + entry * 600_000 + entry[:-1] + b"]}")
    with (folder / "sparse").open("wb") as file:
        file.truncate(2**40)


def _data(text: str | bytes) -> str:
    content = text.encode() if isinstance(text, str) else text
    return "data:text/plain;base64," + base64.b64encode(content).decode()


def _one(name: str, reference: str, outcome: frozenset[str] = _REFUSED, **more: Any) -> Case:
    return Case(name, "hash_file", {"file": reference, **more}, outcome, (*_KEPT_OUT, MARK_SHA256))


def _tree(name: str, path: str, outcome: frozenset[str], **more: Any) -> Case:
    return Case(name, "hash_tree", {"folder": f"root:data/{path}", **more}, outcome, (*_KEPT_OUT, MARK_SHA256))


def _check(name: str, manifest: str | bytes, outcome: frozenset[str], path: str = "plain", **more: Any) -> Case:
    reference = manifest if isinstance(manifest, str) and manifest.startswith("root:") else _data(manifest)
    arguments = {"folder": f"root:data/hashing/{path}", "manifest": reference, **more}
    return Case(name, "verify_manifest", arguments, outcome, _KEPT_OUT)


def _twins(name: str, path: str, outcome: frozenset[str], **more: Any) -> Case:
    return Case(name, "find_duplicates", {"folder": f"root:data/{path}", **more}, outcome, (*_KEPT_OUT, MARK))


_SECRET_LINE = f"{MARK_SHA256}  "
_DEEP = "%%%% HASHDEEP-1.0\n%%%% "
_ALL = ["md5", "sha1", "sha256", "sha512", "blake3", "crc32"]

CASES: list[Case] = [
    # One file: paths.
    _one("up and out", "root:data/../outside-of-hashing/secret.txt"),
    _one("up and out, further down", "root:data/hashing/plain/../../../outside-of-hashing/secret.txt"),
    _one("an absolute path", "root:data//etc/passwd"),
    _one("an absolute path without a root", "/etc/passwd"),
    _one("another scheme", "file:///etc/passwd"),
    _one("a NUL byte", "root:data/hashing/plain/a.txt\0.png"),
    _one("percent-encoded dots", "root:data/%2e%2e/outside-of-hashing/secret.txt"),
    _one("twice encoded dots", "root:data/%252e%252e%252foutside-of-hashing"),
    _one("overlong dots", "root:data/\u2025/outside-of-hashing/secret.txt"),
    _one("backslashes", "root:data/..\\outside-of-hashing\\secret.txt"),
    _one("lone surrogates", "root:data/caf\udce9"),
    _one("an unknown root", "root:etc/passwd"),
    _one("a root named like a path", "root:../etc/passwd"),
    _one("a name of 300 bytes", "root:data/" + "n" * 300),
    _one("a path of 200,000 bytes", "root:data/" + "n/" * 100_000),
    _one("a link out of the root", "root:data/hashing/links/secret.txt"),
    _one("through a link to a folder", "root:data/hashing/links/out/secret.txt"),
    _one("through an absolute link to a folder", "root:data/hashing/links/out-absolute/secret.txt"),
    _one("the environment of the process", "root:data/hashing/links/self"),
    _one("the process's root through a link", "root:data/hashing/links/root/etc/passwd"),
    _one("a link to itself", "root:data/hashing/links/loop"),
    _one("a folder that links to itself", "root:data/hashing/links/" + "here/" * 100 + "inside"),
    _one("an endless device through a link", "root:data/hashing/links/null"),
    _one("a pipe without a writer", "root:data/hashing/special/pipe"),
    _one("a socket", "root:data/hashing/special/socket"),
    _one("a folder", "root:data/hashing/plain"),
    _one("a file as a folder", "root:data/hashing/plain/a.txt/x"),
    _one("a file of holes", "root:data/hashing/sparse/tera", _LIMIT),
    _one("an unknown artifact", "artifact:0123456789abcdef", _REFUSED | {"not_found"}),
    # One file: other arguments.
    _one("an expected digest of a megabyte", "data:,a", _BAD, expected="a" * 10**6),
    _one("an expected digest that is none", "data:,a", _BAD, expected="' OR 1=1 --"),
    _one("an algorithm that runs forever", "data:,a", _BAD, algorithms=["shake_256"]),
    _one("algorithms a thousand times", "data:,a", _BAD, algorithms=["md5"] * 1000),
    _one("a key outside of the root", "data:,a", hmac_key="root:data/../outside-of-hashing/secret.txt"),
    _one("a key behind a link", "data:,a", hmac_key="root:data/hashing/links/secret.txt"),
    _one("a key of holes", "data:,a", _BAD, hmac_key="root:data/hashing/sparse/tera"),
    # Trees.
    _tree("a tree above the root", "..", _REFUSED),
    _tree("a tree through a link", "hashing/links/out", _NO_FILE),
    _tree("the tree of all processes", "hashing/links/proc", _NO_FILE),
    _tree("a tree of links in circles", "hashing/links", _DONE),
    _tree("a tree of links in circles, recorded", "hashing/links", _DONE, links="record", manifest="json"),
    _tree("a tree of links, forbidden", "hashing/links", frozenset({"link_found"}), links="error"),
    _tree("a tree of pipes and sockets", "hashing/special", _DONE),
    _tree("a tree of names that are no text", "hashing/odd", _DONE),
    _tree("a tree of names that are no text, in JSON", "hashing/odd", _DONE, manifest="json", algorithm="md5"),
    _tree("a tree 300 folders deep", "hashing/deep", _LIMIT),
    _tree("a tree of holes", "hashing/sparse", _LIMIT),
    _tree("more files than allowed", "hashing/odd", _LIMIT, max_files=1),
    _tree("a billion files, please", "hashing/plain", _BAD, max_files=10**9),
    _tree("stars without end", "hashing", _LIMIT, include=["**/" * 150 + "*a*a*a*a*b"] * 20),
    _tree("a name of stars", "hashing/odd", _DONE, include=["*n" * 249] * 50, exclude=["*n" * 249 + "x"] * 50),
    _tree("a pattern of a megabyte", "hashing/plain", _BAD, include=["a" * 10**6]),
    _tree("a set without an end", "hashing/plain", _BAD, include=["[" * 400]),
    _tree("a set with a reversed range", "hashing/plain", _BAD, exclude=["[z-a]"]),
    Case("names like paths", "hash_tree", {"files": {"../../etc/passwd": "data:,a"}}, _DONE | _BAD, _KEPT_OUT),
    Case("names with line ends", "hash_tree", {"files": {"a\nb": "data:,a"}}, _BAD, _KEPT_OUT),
    Case("two thousand names", "hash_tree", {"files": {str(n): "data:," for n in range(2000)}}, _BAD, _KEPT_OUT),
    # Manifests.
    _check("a manifest that climbs", _SECRET_LINE + "../../outside-of-hashing/secret.txt\n", _DONE),
    _check("a manifest of absolute paths", _SECRET_LINE + "/etc/passwd\n", _DONE),
    _check(
        "a manifest that follows links",
        _SECRET_LINE + "secret.txt\n" + _SECRET_LINE + "out/secret.txt\n",
        _DONE,
        "links",
    ),
    _check("a manifest of escaped line ends", "\\" + _SECRET_LINE + "a\\n../b\\\\c\n", _DONE),
    _check("a manifest with terminal codes", _SECRET_LINE + "\x1b]0;owned\x07\n", _DONE),
    _check("a manifest with NUL bytes", _SECRET_LINE + "a\0b\n", _BAD),
    _check("a manifest of wrong lengths", _SHA[:-3] + "  a.txt\n" + _SHA + "00  a.txt\n", _BAD),
    _check("a manifest of another algorithm", f"MD5 (a.txt) = {_SHA}\n", _BAD),
    _check("a manifest under another algorithm", f"{_SHA}  a.txt\n", _BAD, algorithm="md5"),
    _check("a manifest that contradicts itself", f"{_SHA}  a.txt\n{_SECRET_LINE}a.txt\n" * 1000, _DONE),
    _check("an empty manifest", "", _BAD),
    _check("a manifest of UTF-16", f"{_SHA}  a.txt\n".encode("utf-16"), _DONE),
    _check("a manifest of garbage", "root:data/hashing/manifests/garbage", _BAD),
    _check("a manifest of one line of 20 MB", "root:data/hashing/manifests/megabytes", _BAD),
    _check("a manifest of a million lines", "root:data/hashing/manifests/million", _LIMIT),
    _check("a manifest of ten million empty lines", "root:data/hashing/manifests/empty-lines", _LIMIT),
    _check("a manifest of holes", "root:data/hashing/manifests/sparse", _LIMIT),
    _check("a JSON manifest a million deep", "root:data/hashing/manifests/nested.json", _BAD),
    _check("a JSON manifest of 600,000 entries", "root:data/hashing/manifests/million.json", _LIMIT),
    _check("a JSON manifest of huge numbers", '{"format":"offloop-manifest-1","size":' + "9" * 10**5 + "}", _BAD),
    _check("a JSON manifest of half a character", '{"format":"offloop-manifest-1","algorithm":"\\ud800"}', _BAD),
    _check("a hashdeep manifest that climbs", f"{_DEEP}size,sha256,filename\n1,{_SECRET_LINE[:64]},../../x\n", _DONE),
    _check(
        "a hashdeep manifest with its origin",
        f"{_DEEP}size,sha256,filename\n## Invoked from: /etc\n1,{_SECRET_LINE[:64]},/etc/passwd\n",
        _DONE,
    ),
    _check("a hashdeep manifest of 10,000 columns", f"{_DEEP}size,{'md5,' * 10**4}filename\n", _BAD),
    _check("a hashdeep manifest of a huge size", f"{_DEEP}size,sha256,filename\n{'9' * 20_000},{_SHA},a\n", _BAD),
    _check("a hashdeep manifest of heads", _DEEP * 10**5, _BAD),
    _check("a manifest behind a link", "root:data/hashing/links/secret.txt", _NO_FILE),
    _check("a manifest that is a pipe", "root:data/hashing/special/pipe", _NO_FILE),
    # Duplicates.
    _twins("equal files of holes", "hashing/sparse", _LIMIT),
    _twins("equal files behind links", "hashing/links", _DONE),
    _twins("duplicates above the root", "hashing/../..", _NO_FILE),
    _twins("duplicates of less than nothing", "hashing/plain", _BAD, min_size=-1),
    _twins("duplicates among odd names", "hashing/odd", _DONE, min_size=0),
]
