"""Pieces: a file in runs of whole lines, decoded, of bounded size."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import accumulate
from typing import BinaryIO, Final, Literal

from offloop.charsets.decoders import decode, unit
from offloop.charsets.detection import guessed
from offloop.jobs.search import MAX_LINE_MIB, MAX_MULTILINE_MIB
from offloop_workers.search.beginning import LOOK, Told, beginning_of

BLOCK: Final = 1 << 20
"""Bytes of one read: fewer cost more calls, more leave the processor's cache."""

MAX_LINE: Final = MAX_LINE_MIB << 20
MAX_WHOLE: Final = MAX_MULTILINE_MIB << 20


class TooLargeError(Exception):
    """The file has more than `MAX_WHOLE` bytes."""


class Piece:
    """A run of lines without the end of the last one.

    Args:
        raw: their bytes in the file.
        raw_offset: bytes of the file before them.
        charset: of the bytes, as `charset_named` names it.
        first_line: number of the first line, from 1.
        column: characters of the first line that were in earlier pieces.
        continued: whether the last line goes on in the next piece.
        ended: whether the end of the last line follows in the file.

    Attributes:
        data: the lines in valid UTF-8, separated by line feeds.
        replaced: number of byte sequences that did not decode.
    """

    def __init__(  # noqa: PLR0913 -- parts of one position
        self,
        raw: bytes,
        raw_offset: int,
        charset: str,
        first_line: int,
        column: int = 0,
        *,
        continued: bool = False,
        ended: bool = False,
    ) -> None:
        self.first_line = first_line
        self.column = column
        self.continued = continued
        self._ended = ended
        self.replaced = 0
        self._raw = raw
        self._raw_offset = raw_offset
        self._charset = charset
        self.data = self._decoded()

    def _decoded(self) -> bytes:
        data = self._raw
        if self._charset != "utf-8":
            text, self.replaced = decode(data, self._charset)
            data = text.encode()
        elif not data.isascii():
            try:
                data.decode()
            except UnicodeDecodeError:
                data = data.decode(errors="replace").encode()
                self.replaced = data.count(b"\xef\xbf\xbd") - self._raw.count(b"\xef\xbf\xbd")
        if b"\r" not in data:
            return data
        data = data.replace(b"\r\n", b"\n")
        return data.removesuffix(b"\r") if self._ended else data

    @cached_property
    def text(self) -> str:
        """The lines as text."""
        return self.data.decode()

    @cached_property
    def lines(self) -> int:
        """Number of lines."""
        return self.data.count(b"\n") + 1

    def after(self, position: int) -> int:
        """The position after the character at this one."""
        position += 1
        while position < len(self.data) and self.data[position] & 0xC0 == 0x80:  # noqa: PLR2004 -- not the first byte of a character
            position += 1
        return position

    def byte_counter(self) -> Callable[[int], int]:
        """A function from a position in `text` to the one in `data`, for positions that only grow."""
        if len(self.text) == len(self.data):
            return lambda position: position
        text, last, done = self.text, 0, 0

        def count(position: int) -> int:
            nonlocal last, done
            done += len(text[last:position].encode())
            last = position
            return done

        return count

    def byte_of_line(self, begin: int, line: int) -> int:
        """Bytes of the file before a line.

        Args:
            begin: its position in `data`.
            line: its number.
        """
        if self.data is self._raw:
            return self._raw_offset + begin
        return self._raw_offset + self._raw_starts[line - self.first_line]

    @property
    def likely(self) -> str:
        """Another charset that the bytes look like, where some did not decode; ``""`` for none, as of UTF-16."""
        found = guessed(self._raw) if unit(self._charset) == 1 else ""
        return found if found != self._charset else ""

    @property
    def has_old_line_ends(self) -> bool:
        """Whether it has carriage returns only, as very old files of Macintoshes."""
        return b"\n" not in self.data and self.data.find(b"\r", 0, -1) >= 0

    @cached_property
    def _raw_starts(self) -> list[int]:
        width = unit(self._charset)
        if width > 1:
            end = int.from_bytes(_line_end(self._charset), sys.byteorder)
            units = memoryview(self._raw[: len(self._raw) & -width]).cast("H" if width == 2 else "I")  # noqa: PLR2004 -- of UTF-16
            return [0, *(width * number + width for number, unit_ in enumerate(units) if unit_ == end)]
        return [0, *accumulate(len(line) + 1 for line in self._raw.split(b"\n"))]


def pieces(
    file: BinaryIO, encoding: str, report: Callable[[int], object], *, binary: bool, told: Told = lambda _: None
) -> Iterator[Piece]:
    """Read a file in pieces.

    Args:
        file: open, at its beginning.
        encoding: of its bytes; ``auto`` looks at its beginning.
        report: called with the number of bytes of each read.
        binary: read binary files too.
        told: called with the encoding that was found.

    Raises:
        BinaryError: it is no text.
        OSError: the system cannot read it.
    """
    kept = file.read(max(BLOCK, LOOK))
    found = beginning_of(kept, encoding, binary=binary)
    told(found)
    if BLOCK < LOOK:  # in tests
        kept = kept[: max(BLOCK, found.mark)]
        file.seek(len(kept))
    report(len(kept))
    yield from _Splitter(file, found.charset, report, kept[found.mark :], found.mark)()


def whole(
    file: BinaryIO, encoding: str, report: Callable[[int], object], *, binary: bool, told: Told = lambda _: None
) -> Iterator[Piece]:
    """Read a file as one piece; the same arguments as those of `pieces`.

    Raises:
        BinaryError: it is no text.
        TooLargeError: it has more bytes than one piece may have.
        OSError: the system cannot read it.
    """
    raw = b""
    while block := file.read(BLOCK):
        report(len(block))
        raw += block
        if len(raw) > MAX_WHOLE:
            raise TooLargeError
    found = beginning_of(raw, encoding, binary=binary)
    told(found)
    yield Piece(raw[found.mark :], found.mark, found.charset, 1)


def _line_end(charset: str) -> bytes:
    width = unit(charset)
    return b"\n".rjust(width, b"\0") if charset.endswith("be") else b"\n".ljust(width, b"\0")


class _Splitter:
    """Splits a file at ends of lines."""

    def __init__(self, file: BinaryIO, charset: str, report: Callable[[int], object], kept: bytes, offset: int) -> None:
        self._file = file
        self._charset = charset
        self._report = report
        self._kept = kept  # not yet in a piece
        self._offset = offset  # of it in the file
        self._end = _line_end(charset)
        self._line = 1
        self._column = 0

    def __call__(self) -> Iterator[Piece]:
        searched = 0
        more = bool(self._kept)
        while more:
            cut = self._last_end(searched)
            if cut >= 0:
                yield self._piece(cut, len(self._end))
            elif len(self._kept) > MAX_LINE:
                yield self._piece(self._cut_inside(MAX_LINE), 0)
            searched = len(self._kept)
            block = self._file.read(BLOCK)
            self._report(len(block))
            more = bool(block)
            self._kept += block
        if self._kept:
            yield self._piece(len(self._kept), 0)

    def _piece(self, cut: int, skipped: int) -> Piece:
        continued = cut < len(self._kept) and not skipped
        raw, position = self._kept[:cut], (self._offset, self._charset, self._line, self._column)
        piece = Piece(raw, *position, continued=continued, ended=bool(skipped))
        self._offset += cut + skipped
        self._kept = self._kept[cut + skipped :]
        if skipped:
            self._line, self._column = self._line + piece.lines, 0
        else:
            self._line += piece.lines - 1
            self._column = len(piece.text.rpartition("\n")[2]) + (piece.column if piece.lines == 1 else 0)
        return piece

    def _last_end(self, start: int) -> int:
        """Position of the last line end that begins at `start` or behind it, on a whole character; -1 for none."""
        width = len(self._end)
        found = self._kept.rfind(self._end, max(0, start - width + 1))
        while found >= 0 and found % width:
            found = self._kept.rfind(self._end, max(0, start - width + 1), found + width - 1)
        return found

    def _cut_inside(self, cut: int) -> int:
        """A position near this one which is inside neither a character nor a line end."""
        order: Literal["little", "big"] = "big" if self._charset.endswith("be") else "little"
        width = len(self._end)
        if self._charset == "utf-8":
            cut = next((at for at in range(cut, cut - 4, -1) if self._kept[at] & 0xC0 != 0x80), cut)  # noqa: PLR2004 -- not the first byte of a character
        elif width == 2 and 0xDC00 <= int.from_bytes(self._kept[cut : cut + 2], order) <= 0xDFFF:  # noqa: PLR2004 -- second half of a surrogate pair
            cut -= 2
        before = int.from_bytes(self._kept[cut - width : cut], order)
        return cut - width if before == ord("\r") else cut
