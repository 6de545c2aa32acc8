"""Parts of files for models: bytes, lines, and decoded text that never splits a character."""

from __future__ import annotations

import base64
import codecs
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, Literal

from offloop.artifacts.store import Artifact, ArtifactStore
from offloop.errors import BadInput

Encoding = Literal["auto", "text", "base64"]

MAX_BYTES: Final = 65_536
"""Bytes of one part; hosts cut longer answers."""
MAX_SEARCHED: Final = 64 << 20
"""Bytes that are searched for a line; a later part is read by its offset."""

_TEXT: Final = re.compile(
    r"text/.+|application/(.+\+)?(json|xml|yaml|toml|javascript|sql|csv|ndjson|x-sh)|.+\+(json|xml)"
)
_PICTURES: Final = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/webp": (b"RIFF",),
}
"""Image types that models accept, with the magic bytes of each."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a file.

    Attributes:
        offset: its first byte.
        length: its bytes.
        content: its text, or base64 of its bytes.
        charset: of the text; None for base64.
        lines: how many lines end in it.
    """

    offset: int
    length: int
    content: str
    charset: str | None
    lines: int


def is_text(mime_type: str) -> bool:
    """Whether a file of this type is text."""
    return _TEXT.fullmatch(mime_type.lower()) is not None


def is_picture(mime_type: str, head: bytes) -> bool:
    """Whether models accept it as an image, by its declared type and its first bytes."""
    return head.startswith(_PICTURES.get(mime_type, ())) if mime_type in _PICTURES else False


async def read(store: ArtifactStore, artifact: Artifact, start: int, end: int) -> bytes:
    """The bytes from `start` up to `end`.

    Raises:
        Unavailable: the store does not answer.
    """
    return b"".join([piece async for piece in store.stream(artifact, start, min(end, artifact.size))])


async def part(store: ArtifactStore, artifact: Artifact, start: int, end: int, encoding: Encoding) -> Part:
    """A part of a file: decoded if it is text, else as base64.

    Raises:
        Unavailable: the store does not answer.
    """
    data = await read(store, artifact, start, end)
    at_end = start + len(data) >= artifact.size
    if encoding != "base64":
        mark = data[:3] if start == 0 else await read(store, artifact, 0, 3)
        if found := decoded(data, mark, start, at_end=at_end, anyway=encoding == "text" or is_text(artifact.mime_type)):
            text, length, charset = found
            return Part(start, length, text, charset, data[:length].count(b"\n"))
    return Part(start, len(data), base64.b64encode(data).decode(), None, 0)


def decoded(data: bytes, mark: bytes, start: int, *, at_end: bool, anyway: bool) -> tuple[str, int, str] | None:
    """The text, its length in bytes and its character set; None if it is not text.

    Args:
        data: the part.
        mark: the first three bytes of the file.
        start: offset of the part in the file.
        at_end: whether the part ends the file; if not, its last character may be incomplete.
        anyway: decode as windows-1252 if it is not Unicode.
    """
    for bom, charset in ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        if mark.startswith(bom):
            whole = data if at_end else data[: _whole_units(data, charset)]
            return whole.decode(charset, "replace").removeprefix("\ufeff" if start == 0 else ""), len(whole), charset
    for cut in range(1 if at_end else 4):
        kept = data[: len(data) - cut]
        try:
            text = kept.decode()
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text.removeprefix("\ufeff" if start == 0 else ""), len(kept), "utf-8"
    if anyway:
        # The most frequent legacy encoding; with "replace" every byte decodes.
        return data.decode("cp1252", "replace"), len(data), "windows-1252"
    return None


def _whole_units(data: bytes, charset: str) -> int:
    length = len(data) - len(data) % 2
    last = data[length - 2 : length]
    high = last[1:] if charset == "utf-16-le" else last[:1]
    return length - 2 if high and 0xD8 <= high[0] <= 0xDB else length  # noqa: PLR2004 -- high surrogates


async def span_of_lines(store: ArtifactStore, artifact: Artifact, first: int, count: int) -> tuple[int, int]:
    """Byte offsets of the begin and end of `count` lines from line `first` (1-based), at most `MAX_BYTES` apart.

    Raises:
        BadInput: the file has fewer lines, or the line lies beyond `MAX_SEARCHED` bytes.
        Unavailable: the store does not answer.
    """
    start = await _line_start(store.stream(artifact, 0, min(artifact.size, MAX_SEARCHED)), first - 1)
    if start is None:
        where = "has fewer lines" if artifact.size <= MAX_SEARCHED else f"is not within the first {MAX_SEARCHED} bytes"
        message = (
            f"line {first} of {artifact.name} cannot be read: it {where}. Send a smaller line, or an offset in bytes "
            f"(the file has {artifact.size})."
        )
        raise BadInput(message)
    data = await read(store, artifact, start, start + MAX_BYTES)
    length = 0
    for _ in range(count):
        found = data.find(b"\n", length)
        if found < 0:
            length = len(data)
            break
        length = found + 1
    return start, start + length


async def _line_start(pieces: AsyncIterator[bytes], breaks: int) -> int | None:
    """The offset after that many line breaks; None if there are fewer."""
    passed = 0
    async for piece in pieces:
        here = piece.count(b"\n")
        if breaks > here:
            breaks, passed = breaks - here, passed + len(piece)
            continue
        offset = 0
        for _ in range(breaks):
            offset = piece.index(b"\n", offset) + 1
        if offset < len(piece):
            return passed + offset
        breaks, passed = 0, passed + len(piece)
    return passed if breaks == 0 and passed == 0 else None
