"""Parts of files for models: bytes, lines, and text in any charset that never splits a character."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, Literal

from offloop.artifacts.store import Artifact, ArtifactStore
from offloop.charsets.decoders import unit
from offloop.charsets.detection import guessed
from offloop.charsets.media import reads_as_text, sniffed
from offloop.charsets.text import HEAD, Charset, charset_of, decoded, notes
from offloop.charsets.windows import BEHIND, line_ends, reach, window
from offloop.errors import BadInput

Encoding = Literal["auto", "text", "base64"]

MAX_BYTES: Final = 65_536
"""Bytes of one part; hosts cut longer answers."""
MAX_SEARCHED: Final = 64 << 20
"""Bytes that are searched for a line; a later part is read by its offset."""

_PICTURES: Final = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/webp": (b"RIFF",),
}
"""Image types that models accept, with the magic bytes of each."""
_EXIF: Final = {"image/png": b"eXIf", "image/jpeg": b"Exif\0\0", "image/webp": b"EXIF"}
"""Marks of EXIF data in those types that can have it."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a file.

    Attributes:
        offset: its first byte; in text, the begin of a character.
        length: its bytes.
        content: its text, or base64 of its bytes.
        charset: of the text, by its name in the WHATWG Encoding Standard; None for base64.
        lines: how many lines end in it.
        warnings: sentences about a guessed charset, and about bytes that did not decode.
    """

    offset: int
    length: int
    content: str
    charset: str | None
    lines: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file that is read as text.

    Attributes:
        charset: by its beginning.
        plain: whether its beginning is ASCII, which decides nothing about the rest.
    """

    charset: Charset
    plain: bool


def is_picture(mime_type: str, head: bytes) -> bool:
    """Whether models accept it as an image, by its declared type and its first bytes."""
    return head.startswith(_PICTURES.get(mime_type, ())) if mime_type in _PICTURES else False


def may_be_turned(mime_type: str, data: bytes) -> bool:
    """Whether a picture has EXIF data, which may hold an orientation: models see the pixels as they are stored."""
    return mime_type in _EXIF and _EXIF[mime_type] in data


async def read(store: ArtifactStore, artifact: Artifact, start: int, end: int) -> bytes:
    """The bytes from `start` up to `end`.

    Raises:
        Unavailable: the store does not answer.
    """
    return b"".join([piece async for piece in store.stream(artifact, start, min(end, artifact.size))])


async def text_file(store: ArtifactStore, artifact: Artifact, encoding: Encoding) -> TextFile | None:
    """The charset of a file that is read as text; None for any other file.

    Raises:
        Unavailable: the store does not answer.
    """
    if encoding == "base64":
        return None
    head = await read(store, artifact, 0, HEAD)
    if head and encoding == "auto" and not reads_as_text(artifact.mime_type, head):
        return None
    mime_type = sniffed(artifact.mime_type, head)
    charset = await asyncio.to_thread(charset_of, head, mime_type, whole=artifact.size <= HEAD)
    return TextFile(charset, charset.origin == "valid" and head.isascii())


async def part(store: ArtifactStore, artifact: Artifact, start: int, end: int, text: TextFile | None) -> Part:
    """A part of a file: decoded if it is text, else as base64.

    Raises:
        Unavailable: the store does not answer.
    """
    if text is None:
        data = await read(store, artifact, start, end)
        return Part(start, len(data), base64.b64encode(data).decode(), None, 0)
    mark = text.charset.mark
    begin = 0 if start < mark else start
    before = reach(text.charset.name, max(0, begin - mark))
    data = await read(store, artifact, begin - before, end + BEHIND)
    return await asyncio.to_thread(_decoded, text, data, before, begin, end)


def _decoded(text: TextFile, data: bytes, before: int, start: int, end: int) -> Part:
    """Decode a part.

    Args:
        text: how.
        data: the part, with bytes before and behind it.
        before: how many are before it.
        start: its offset in the file.
        end: the offset of its end.
    """
    charset = text.charset
    mark = charset.mark if start == 0 else 0
    end = max(end, start + mark)
    inside = data[before + mark : before + end - start]
    given = data[:before], inside, data[before + end - start :]
    found = window(charset.name, *given)
    if found.replaced and text.plain:
        charset = Charset(guessed(inside), "guess")
        found = window(charset.name, *given)
    return Part(
        start - found.earlier,
        found.length + mark,
        found.text,
        charset.name,
        found.text.count("\n"),
        notes(charset, found.replaced),
    )


def certain_text(data: bytes, mime_type: str) -> str | None:
    """The text of a whole file, where nothing has to be guessed and nothing is lost; None where it is no such text."""
    if not reads_as_text(mime_type, data):
        return None
    found = decoded(data, mime_type)
    return None if found.notes else found.text


async def span_of_lines(
    store: ArtifactStore, artifact: Artifact, text: TextFile | None, first: int, count: int
) -> tuple[int, int]:
    """Byte offsets of the begin and end of `count` lines from line `first` (1-based), at most `MAX_BYTES` apart.

    Raises:
        BadInput: the file has fewer lines, or the line lies beyond `MAX_SEARCHED` bytes.
        Unavailable: the store does not answer.
    """
    charset = text.charset.name if text else "utf-8"
    start = await _line_start(store.stream(artifact, 0, min(artifact.size, MAX_SEARCHED)), first - 1, charset)
    if start is None:
        where = "has fewer lines" if artifact.size <= MAX_SEARCHED else f"is not within the first {MAX_SEARCHED} bytes"
        message = (
            f"line {first} of {artifact.name} cannot be read: it {where}. Send a smaller line, or an offset in bytes "
            f"(the file has {artifact.size})."
        )
        raise BadInput(message)
    data = await read(store, artifact, start, start + MAX_BYTES)
    ends = line_ends(data, charset)
    return start, start + (ends[count - 1] if count <= len(ends) else len(data))


async def _line_start(pieces: AsyncIterator[bytes], breaks: int, charset: str) -> int | None:
    """The offset after that many line breaks; None if there are fewer."""
    passed, kept = 0, b""
    size = unit(charset)
    async for piece in pieces:
        data = kept + piece
        whole = len(data) - len(data) % size
        data, kept = data[:whole], data[whole:]
        here = data.count(b"\n") if size == 1 else len(line_ends(data, charset))
        if breaks > here:
            breaks, passed = breaks - here, passed + len(data)
            continue
        offset = line_ends(data, charset)[breaks - 1] if breaks else 0
        if offset < len(data):
            return passed + offset
        breaks, passed = 0, passed + len(data)
    return passed if breaks == 0 and passed == 0 else None
