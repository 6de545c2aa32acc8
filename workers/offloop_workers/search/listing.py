"""Listing: matching lines with their context for the answer, within its size, and all of them for a file."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO, Final

from offloop.jobs.search import Match, MatchingLine, TextToSearch
from offloop_workers.search.engines import Program
from offloop_workers.search.lines import Hit
from offloop_workers.search.pieces import Piece

MAX_BYTES: Final = 500_000
"""Bytes of all listed lines together; the answer of a job may have 1 MiB."""

_LINE: Final = 500
_AHEAD: Final = 100
_CONTEXT: Final = 300
_TEXT: Final = 200


class UnsavedError(Exception):
    """The file of all lines could not be written.

    It is no OSError, so that it is not taken for one of the file that is searched.

    Attributes:
        error: the system's.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(slots=True)
class _Open:
    """A line whose context is not complete yet."""

    line: MatchingLine
    missing: int


class Listing:
    """Lines of an answer, and of the file that has all of them.

    Args:
        request: its options.
        programs: the compiled patterns.
        file: takes every matching line, as JSON lines.

    Attributes:
        name: of the file that is searched, where there are several.
        lines: those of the answer.
        truncated: whether there were more.
    """

    def __init__(self, request: TextToSearch, programs: Sequence[Program], file: BinaryIO | None) -> None:
        self._request = request
        self._programs = programs
        self._file = file
        self.name: str | None = None
        self._open: deque[_Open] = deque()
        self._tail: deque[str] = deque(maxlen=request.before)
        self._size = 0
        self.lines: list[MatchingLine] = []
        self.truncated = False

    @property
    def full(self) -> bool:
        """Whether further lines need only be counted."""
        listed = self.truncated or len(self.lines) + len(self._open) >= self._request.max_matches
        return self._file is None and (listed or self._request.count_only)

    def begin(self, name: str | None) -> None:
        """Begin a file."""
        self.name = name
        self._tail.clear()

    def add(self, piece: Piece, hit: Hit) -> None:
        """List a line, or note that there was no room for it."""
        if self.full:
            self.truncated = True
            return
        after = self._after(piece, hit.end)
        self._open.append(_Open(self._described(piece, hit, after), self._request.after - len(after)))
        self._deliver(complete=False)

    def end_piece(self, piece: Piece) -> None:
        """Keep what the context of lines in the next piece may need."""
        if self._tail.maxlen and not self.full:
            self._tail.extend(reversed([*islice(_backwards(piece.data, len(piece.data) + 1), self._tail.maxlen)]))

    def begin_piece(self, piece: Piece) -> None:
        """Complete the context of earlier lines."""
        for one in self._open:
            found = self._after(piece, -1, one.missing)
            one.line.after.extend(found)
            one.missing -= len(found)
        self._deliver(complete=False)

    def end(self) -> None:
        """End a file: no line gets further context."""
        self._deliver(complete=True)

    def _deliver(self, *, complete: bool) -> None:
        while self._open and (complete or not self._open[0].missing):
            line = self._open.popleft().line
            text = line.model_dump_json().encode()
            self._save(text + b"\n")
            if self._request.count_only:
                continue
            if len(self.lines) >= self._request.max_matches or self._size + len(text) > MAX_BYTES:
                self.truncated = True
                continue
            if not self.truncated:
                self._size += len(text)
                self.lines.append(line)

    def _save(self, text: bytes) -> None:
        if self._file:
            try:
                self._file.write(text)
            except OSError as error:
                raise UnsavedError(error) from error

    def _described(self, piece: Piece, hit: Hit, after: list[str]) -> MatchingLine:
        data = piece.data
        text = data[hit.begin : hit.end].decode()
        base = piece.column if hit.line == piece.first_line else 0
        first = len(data[hit.begin : hit.matches[0][0]].decode()) if hit.matches else 0
        start = 0 if len(text) <= _LINE else max(0, min(first - _AHEAD, len(text) - _LINE))
        return MatchingLine(
            file=self.name,
            line=hit.line,
            byte=piece.byte_of_line(hit.begin, hit.line),
            text=text[start : start + _LINE],
            text_column=base + start + 1,
            cut=len(text) > _LINE,
            matches=[self._match(piece, hit, one) for one in hit.matches],
            matches_total=hit.total,
            before=self._before(piece, hit.begin),
            after=after,
        )

    def _match(self, piece: Piece, hit: Hit, found: tuple[int, int, int]) -> Match:
        begin, end, index = found
        program = self._programs[index]
        spans = zip(program.pattern.groups, program.groups(piece, begin), strict=False)
        line, column = _position(piece, hit, begin)
        end_line, end_column = _position(piece, hit, end)
        return Match(
            pattern=program.pattern.number,
            line=line,
            column=column,
            end_line=end_line,
            end_column=end_column,
            text=_cut(piece.data, begin, end, _TEXT),
            groups={name: None if span[0] < 0 else _cut(piece.data, *span, _TEXT) for name, span in spans},
        )

    def _before(self, piece: Piece, begin: int) -> list[str]:
        wanted = self._request.before
        found = [*islice(_backwards(piece.data, begin), wanted)][::-1]
        return [*self._tail, *found][-wanted:] if wanted else []

    def _after(self, piece: Piece, end: int, wanted: int | None = None) -> list[str]:
        wanted = self._request.after if wanted is None else wanted
        stop = len(piece.data) - (self._request.multiline and piece.data.endswith(b"\n"))
        return [*islice(_forwards(piece.data, end, stop), wanted)]


def _position(piece: Piece, hit: Hit, position: int) -> tuple[int, int]:
    """Line and column, from 1."""
    data = piece.data
    line = hit.line + data.count(b"\n", hit.begin, position)
    start = data.rfind(b"\n", hit.begin, position) + 1 or hit.begin
    earlier = piece.column if line == piece.first_line else 0
    return line, earlier + len(data[start:position].decode()) + 1


def _cut(data: bytes, begin: int, end: int, most: int) -> str:
    """The first characters of a span; no more than four bytes each are decoded."""
    return data[begin : min(end, begin + 4 * most)].decode(errors="ignore")[:most]


def _backwards(data: bytes, begin: int) -> Iterator[str]:
    """The lines before the one that begins there, the nearest first."""
    while begin > 0:
        start = data.rfind(b"\n", 0, begin - 1) + 1
        yield _cut(data, start, begin - 1, _CONTEXT)
        begin = start


def _forwards(data: bytes, end: int, stop: int) -> Iterator[str]:
    """The lines after the one that ends there."""
    while end < stop:
        start = end + 1
        end = data.find(b"\n", start, stop)
        end = stop if end < 0 else end
        yield _cut(data, start, end, _CONTEXT)
