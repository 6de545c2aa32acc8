"""Manifest format of the program hashdeep: a header with the columns, then lines of size, digests and name.

A name is everything after the last digest, so it may contain commas; nothing is escaped, so it cannot contain a line
break. Names are absolute, or relative to the folder in the "Invoked from" comment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import BinaryIO, Final

from offloop.jobs.hashing import DIGITS, HASHDEEP
from offloop_workers.hashing.entries import LINK, Entry
from offloop_workers.hashing.manifests.collector import Collector
from offloop_workers.hashing.manifests.lines import MAX_LINE

MAGIC: Final = b"%%%% HASHDEEP-1."
_COLUMNS: Final = re.compile(rb"%%%% size,([a-z0-9,]{1,200}),filename")
_INVOKED: Final = b"## Invoked from: "
_SIZE: Final = re.compile(rb"[0-9]{1,19}")
_HEX: Final = re.compile(rb"[0-9a-fA-F]+")
_PART: Final = re.compile(rb".* offset [0-9]{1,19}-[0-9]{1,19}", re.DOTALL)


class Lines:
    """Parser for the lines of one manifest, in order.

    Args:
        found: takes the entries.
    """

    def __init__(self, found: Collector) -> None:
        self._found = found
        self._columns: list[str] = []
        self._folder = b""

    def parse(self, number: int, line: bytes) -> None:
        """Add the entries of a line, one for each known digest, or the reason for none."""
        text = line.removesuffix(b"\r")
        if len(text) > MAX_LINE:
            self._found.refuse(number, f"has more than {MAX_LINE} bytes")
        elif text[:1].isdigit():
            self._found.line_of(self._entries(text), number)
        elif text.startswith(b"%%%% "):
            if not text.startswith(MAGIC):
                self._head(number, text)
        elif text.startswith(b"#"):
            if text.startswith(_INVOKED):
                self._folder = text.removeprefix(_INVOKED).rstrip(b"/") + b"/"
                self._found.start = os.fsdecode(self._folder)
        elif text.strip():
            self._found.line_of(self._entries(text), number)

    def end(self) -> None:
        """Tell which columns were not compared."""
        if unknown := [one for one in self._columns if one not in DIGITS]:
            self._found.note(f"The digests of {', '.join(unknown)} were not compared, since they are not known here; "
                             "others of the same files were.")  # fmt: skip

    def _entries(self, line: bytes) -> list[Entry] | str:
        size, *digests = line.split(b",", len(self._columns) + 1)
        if not self._columns or len(digests) <= len(self._columns) or not _SIZE.fullmatch(size):
            return "is not 'size,digests,filename' with the columns of the head; a name may hold no line end here"
        name = self._found.text.name(digests.pop().removeprefix(self._folder))
        if not name:
            return "has no name, or one with a NUL byte"
        if b" offset " in name and _PART.fullmatch(name):
            return "has the digests of a part of a file, which cannot be checked: leave out -p"
        path, entries = os.fsdecode(name), []
        for algorithm, digits in zip(self._columns, digests, strict=True):
            if algorithm not in DIGITS:
                continue  # one known digest of the file is enough
            if len(digits) != DIGITS[algorithm] or not _HEX.fullmatch(digits):
                return f"a digest is not one of {algorithm}"
            entries.append(Entry(path, algorithm, bytes.fromhex(digits.decode()), int(size)))
        return entries

    def _head(self, number: int, line: bytes) -> None:
        found = _COLUMNS.fullmatch(line)
        self._columns = found[1].decode().split(",") if found else []
        if len({*self._columns}) < len(self._columns) or not {*self._columns} & {*DIGITS}:
            self._columns = []
            self._found.refuse(
                number, f"the head names no columns with digests that are known here ({', '.join(HASHDEEP)})"
            )


def write(file: BinaryIO, algorithm: str, entries: Iterable[Entry]) -> None:
    """Write a manifest that ``hashdeep -a -r -l -k <it> .`` checks; links and names with line breaks are left out."""
    file.write(b"%s0\n%%%%%%%% size,%s,filename\n" % (MAGIC, algorithm.encode()))
    for entry in entries:
        name = os.fsencode(entry.path)
        if entry.size != LINK and fits(entry.path):
            file.write(b"%d,%s,./%s\n" % (entry.size, entry.digest.hex().encode(), name))


def fits(path: str) -> bool:
    """Whether the format can represent the path."""
    return "\n" not in path and "\r" not in path
