"""Writing of manifests: GNU, BSD, JSON and hashdeep; and of reports, which are JSON too."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final

from offloop.jobs.hashing import DIGITS, Format
from offloop_workers.hashing.entries import LINK, Entry
from offloop_workers.hashing.manifests import hashdeep, own

MIME: Final[dict[Format, str]] = {
    "gnu": "text/plain",
    "bsd": "text/plain",
    "json": "application/json",
    "hashdeep": "text/plain",
}
_TAGS: Final = {name: name.upper().replace("_", "-") for name in DIGITS} | {
    "blake2b": "BLAKE2b",
    "blake2s": "BLAKE2s",
    "xxh3_64": "XXH3",
    "xxh3_128": "XXH128",
}


def write(file: BinaryIO, form: Format, algorithm: str, tree: str | None, entries: Iterable[Entry]) -> None:
    """Write a manifest; only JSON can represent recorded links."""
    if form == "json":
        own.write(file, algorithm, tree, entries)
        return
    if form == "hashdeep":
        hashdeep.write(file, algorithm, entries)
        return
    for entry in entries:
        if entry.size != LINK:
            file.write(_line(form, entry))


def _line(form: Format, entry: Entry) -> bytes:
    name, digest = os.fsencode(entry.path), entry.digest.hex().encode()
    escaped = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    mark = b"\\" if escaped != name else b""
    if form == "gnu":
        return b"%s%s  %s\n" % (mark, digest, escaped)
    return b"%s%s (%s) = %s\n" % (mark, _TAGS[entry.algorithm].encode(), escaped, digest)


def lists(file: BinaryIO, parts: Iterable[tuple[str, Iterable[object]]]) -> None:
    """Write a report: one JSON object of lists, streamed element by element."""
    for number, (name, elements) in enumerate(parts):
        file.write((b",\n" if number else b"{\n") + json.dumps(name).encode() + b": [")
        file.writelines(_elements(elements))
        file.write(b"]")
    file.write(b"\n}\n")


def _elements(elements: Iterable[object]) -> Iterator[bytes]:
    for number, element in enumerate(elements):
        yield (b",\n" if number else b"\n") + json.dumps(element, ensure_ascii=False).encode()
