"""Text of a manifest: byte order marks, wide characters, line ends, names with line breaks, OpenPGP armour."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, NamedTuple

from offloop.charsets.declarations import MARKS
from offloop.errors import JobError
from offloop.jobs.files import MAX_FILES
from offloop_workers.hashing.entries import too_many

_LOOK: Final = 64
_PACKED: Final = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"PK\x03\x04", "zip"),
)
_BREAK: Final = b"\0"
"""Stands for a line break inside of a name, once the lines are separated: no name has a NUL byte."""

MAX_LINES: Final = 2 * MAX_FILES
MAX_BROKEN: Final = 100
"""Names with line breaks that are joined."""

MAX_LOOKED_AT: Final = 100 << 30
"""Bytes of the manifest, counted once for each of those names: less than a minute."""

_SIGNED: Final = b"-----BEGIN PGP SIGNED MESSAGE-----"
_SIGNIFY: Final = re.compile(rb"untrusted comment: [^\n]{0,1024}\n[0-9A-Za-z+/]{90,110}={0,2}\r?\n")
_SIGNATURE: Final = b"-----BEGIN PGP SIGNATURE-----"


class Text(NamedTuple):
    """A manifest in lines.

    Attributes:
        data: its bytes, in UTF-8 unless they were in no known encoding.
        end: what ends each line: a line feed, a carriage return, or a NUL byte.
        broken: whether NUL bytes stand for line breaks in names.
        notes: warnings.
    """

    data: bytes
    end: bytes
    broken: bool = False
    notes: tuple[str, ...] = ()

    def lines(self) -> Iterator[bytes]:
        """The lines without their ends.

        Raises:
            LimitExceeded: there are too many, empty ones and remarks included.
        """
        if self.data.count(self.end) > MAX_LINES:
            raise too_many(MAX_FILES)
        if self.end == b"\n":
            for line in io.BytesIO(self.data):
                yield line.removesuffix(b"\n")
            return
        start, data = 0, self.data
        while start < len(data):
            stop = data.find(self.end, start)
            stop = len(data) if stop < 0 else stop
            yield data[start:stop]
            start = stop + 1

    def name(self, name: bytes) -> bytes | None:
        """A name as it was before `opened`; None for one with a NUL byte."""
        if _BREAK not in name:
            return name
        return name.replace(_BREAK, b"\n") if self.broken else None


def opened(data: bytes, broken: Iterable[bytes] = ()) -> Text:
    """Decode a manifest.

    Args:
        data: its bytes.
        broken: names with line breaks that the folder has: programs that do not escape them write them as they are.

    Raises:
        JobError: ``bad_input``: it is compressed.
    """
    for magic, program in _PACKED:
        if data.startswith(magic):
            message = f"The manifest has no entry (it is a file of {program}, no text): unpack it and send the text."
            raise JobError(message, code="bad_input")
    data, notes = _decoded(data)
    if data.endswith(b"\0"):
        return Text(data, b"\0", notes=notes)
    if b"\n" not in data and b"\r" in data:
        return Text(data, b"\r", notes=notes)
    if b"\0" in data:
        return Text(data, b"\n", notes=notes)
    broken = [*broken]
    many = len(broken) * len(data) > MAX_LOOKED_AT
    names = [] if many else [*islice((name for name in broken if name in data), MAX_BROKEN + 1)]
    if many or len(names) > MAX_BROKEN:
        note = f"{len(broken):,} names here have line breaks, too many to look for: the manifest's may be malformed."
        return Text(data, b"\n", notes=(*notes, note))
    if not names:
        return Text(data, b"\n", notes=notes)
    return Text(_joined(data, names), b"\n", broken=True, notes=notes)


def _decoded(data: bytes) -> tuple[bytes, tuple[str, ...]]:
    mark, encoding = next((one for one in MARKS if data.startswith(one[0])), (b"", _wide(data)))
    if encoding == "utf-8":
        return data.removeprefix(mark).replace(b"\n" + codecs.BOM_UTF8, b"\n"), ()  # of texts behind each other
    text = data[len(mark) :].decode(encoding, "replace")
    notes = (
        (f"The manifest is damaged {encoding.upper()} text: some characters were lost.",) if "\ufffd" in text else ()
    )
    return text.encode("utf-8", "surrogatepass"), notes


def _wide(data: bytes) -> str:
    """The encoding of a text without a mark, by where its NUL bytes are: digests and formats are ASCII."""
    look = data[: min(_LOOK, len(data) & ~3)]
    if not look:
        return "utf-8"
    zeros = [not any(look[start::4]) for start in range(4)]
    some = [all(look[start::4]) for start in range(4)]
    if zeros[1] and zeros[2] and zeros[3] and some[0]:
        return "utf-32-le"
    if zeros[0] and zeros[1] and zeros[2] and some[3]:
        return "utf-32-be"
    if zeros[1] and zeros[3] and some[0] and some[2]:
        return "utf-16-le"
    return "utf-16-be" if zeros[0] and zeros[2] and some[1] and some[3] else "utf-8"


def _joined(data: bytes, names: list[bytes]) -> bytes:
    """The text with NUL bytes for the line breaks in these names, where one stands as a whole."""
    found = b"|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    whole = re.compile(rb"(?<![^\s*(/\\,|>])(?:%s)(?=[\r\n/\\),|<:]|[ \t]|$)" % found)
    return whole.sub(lambda match: match[0].replace(b"\n", _BREAK), data)


def unsigned(text: Text) -> Text:
    """The text without the armour of an OpenPGP cleartext signature, or that of signify before it."""
    if match := _SIGNIFY.match(text.data):
        note = "The manifest has a signature of signify, which was not checked."
        return text._replace(data=text.data[match.end() :], notes=(*text.notes, note))
    if not text.data[:200].lstrip().startswith(_SIGNED):
        return text
    lines, body, inside = [line.removesuffix(b"\r") for line in text.lines()], [], False
    for line in lines:
        if line.startswith(_SIGNATURE):
            break
        if inside:
            body.append(line.removeprefix(b"- "))
        elif not line.strip():
            inside = True
    note = "The manifest has an OpenPGP signature, which was not checked."
    return text._replace(data=text.end.join([*body, b""]), notes=(*text.notes, note))
