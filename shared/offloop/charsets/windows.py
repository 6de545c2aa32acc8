"""Windows of a text in any charset: whole characters, wherever in the bytes of a file a window begins and ends."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from offloop.charsets.decoders import PAIRS, Decoder, unit

BEHIND: Final = 8
"""Bytes after a window that may be needed to complete its first character."""
_LINE: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a text.

    Attributes:
        text: its characters.
        earlier: bytes before the window that belong to its first character.
        length: bytes of its characters, those included.
        replaced: byte sequences that did not decode.
    """

    text: str
    earlier: int
    length: int
    replaced: int


def reach(charset: str, start: int) -> int:
    """Bytes before `start` that tell where its character begins."""
    if charset in PAIRS:
        return min(start, _LINE)
    size = unit(charset)
    return min(start, 4 if size == 1 else start % size + size)


def window(charset: str, before: bytes, data: bytes, behind: bytes) -> Window:
    """Decode a window.

    Args:
        charset: of the file.
        before: `reach` bytes before it.
        data: its bytes.
        behind: `BEHIND` bytes after it; fewer only at the end of the file.
    """
    decoder = Decoder(charset)
    decoder.feed(_certain(charset, before))
    decoder.replaced = 0
    earlier, last = decoder.pending, len(behind) < BEHIND
    text, used = decoder.feed(data, final=not behind), len(data)
    # A window may be shorter than its character; each must take at least one byte further.
    while used <= decoder.pending and behind:
        used += 1
        more, behind = behind[:1], behind[1:]
        text += decoder.feed(more, final=last and not behind)
    return Window(text, earlier, earlier + used - decoder.pending, decoder.replaced)


def _certain(charset: str, before: bytes) -> bytes:
    """The end of the bytes, from the begin of a character."""
    if charset in PAIRS:
        return before[before.rfind(b"\n") + 1 :]
    if charset != "utf-8":
        return before
    for back in range(1, min(4, len(before)) + 1):
        if before[-back] & 0xC0 != 0x80:  # noqa: PLR2004 -- not a byte that continues a character
            return before[-back:]
    return b""


def line_ends(data: bytes, charset: str) -> list[int]:
    """The positions after the line ends of a text that begins on a whole unit."""
    size = unit(charset)
    if size == 1:
        return [found.end() for found in re.finditer(b"\n", data)]
    end = b"\0" * (size - 1) + b"\n" if charset.endswith("be") else b"\n" + b"\0" * (size - 1)
    found, at = [], data.find(end)
    while at >= 0:
        if at % size == 0:
            found.append(at + size)
        at = data.find(end, at + 1)
    return found
