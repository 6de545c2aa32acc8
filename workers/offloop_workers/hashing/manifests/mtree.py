"""Specifications of mtree, of the BSDs and of bsdtar: paths with keywords such as ``sha256digest=…``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from offloop.errors import LimitExceeded
from offloop_workers.files.walk import MAX_DEPTH
from offloop_workers.hashing.manifests import labels
from offloop_workers.hashing.manifests.collector import Collector
from offloop_workers.hashing.manifests.lines import MAX_LINE

_SIGN: Final = re.compile(rb"#mtree|/set\s.*\btype=|/set\s|.+\stype=(?:file|dir)\b.*")
_ESCAPE: Final = re.compile(
    rb"\\(?:(?P<octal>[0-3][0-7]{2})|M-(?P<meta>.)|M\^(?P<high>.)|\^(?P<control>.)|(?P<plain>.))", re.DOTALL
)
_LETTERS: Final = {
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"s": b" ",
    b"a": b"\a",
    b"b": b"\b",
    b"v": b"\v",
    b"f": b"\f",
    b"0": b"\0",
}
_MAX_SIZE_DIGITS: Final = 19


def is_one(lines: Iterable[bytes]) -> bool:
    """Whether these lines begin a specification."""
    return any(_SIGN.match(line) for line in lines)


def read(found: Collector) -> None:
    """Add the regular files of a specification."""
    folder: list[bytes] = []
    defaults: dict[bytes, bytes] = {}
    whole, start = b"", 0
    for number, line in enumerate(found.text.lines(), 1):
        text = line.rstrip(b"\r")
        start = start if whole else number
        if text.endswith(b"\\") and len(whole) < MAX_LINE:
            whole += text[:-1] + b" "
            continue
        words = (whole + text).split() if len(whole) + len(text) <= 2 * MAX_LINE else []
        if whole and not words:
            found.refuse(start, f"has more than {MAX_LINE} bytes")
        whole = b""
        if words and not words[0].startswith(b"#"):
            _line(found, start, words, folder, defaults)


def _line(found: Collector, number: int, words: list[bytes], folder: list[bytes], defaults: dict[bytes, bytes]) -> None:
    keywords = dict(word.split(b"=", 1) for word in words[1:] if b"=" in word)
    match words[0]:
        case b"/set":
            defaults.update(keywords)
            return
        case b"/unset":
            for word in words[1:]:
                defaults.pop(word, None)
            return
        case b"..":
            del folder[-1:]
            return
    name = _decoded(words[0])
    keywords = {**defaults, **keywords}
    path = name if b"/" in name else b"/".join([*folder, name])
    if keywords.get(b"type") == b"dir":
        if b"/" not in name:
            if len(folder) > MAX_DEPTH:
                message = f"The manifest has more than {MAX_DEPTH} folders inside each other: send it in parts."
                raise LimitExceeded(message)
            folder.append(name)
    elif keywords.get(b"type", b"file") == b"file":
        _file(found, number, path, keywords)
    else:
        found.note("{} links and special files of the manifest were not compared.")


def _file(found: Collector, number: int, path: bytes, keywords: dict[bytes, bytes]) -> None:
    size = keywords.get(b"size", b"")
    count = int(size) if size.isdigit() and len(size) <= _MAX_SIZE_DIGITS else -1
    missing = True
    for key, value in keywords.items():
        label = key.decode("latin-1")
        if key == b"cksum" and value.isdigit() and len(value) <= 10 and not int(value) >> 32:  # noqa: PLR2004 -- digits of 32 bits
            found.entry(number, path, "cksum", int(value).to_bytes(4, "big"), count)
            missing = False
        elif key not in {b"cksum", b"size"} and (
            labels.algorithm(label) or labels.foreign(label.removesuffix("digest"))
        ):
            found.labelled(number, path, label, value, count)
            missing = False
    if missing:
        found.note("{} files are listed without a digest, and were not checked.")


def _decoded(name: bytes) -> bytes:
    """A name without the escapes of vis(3)."""

    def plain(match: re.Match[bytes]) -> bytes:
        if match["octal"]:
            return bytes([int(match["octal"], 8)])
        if match["meta"]:
            return bytes([match["meta"][0] | 0x80])
        if match["high"]:
            return bytes([(match["high"][0] & 0x1F) | 0x80])
        if match["control"]:
            return b"\x7f" if match["control"] == b"?" else bytes([match["control"][0] & 0x1F])
        return _LETTERS.get(match["plain"], match["plain"])

    return _ESCAPE.sub(plain, name)
