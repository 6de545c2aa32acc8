"""Notes of a search: what was not searched as it is, in how many files, and which was the first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from offloop_workers.files.walk import printable
from offloop_workers.search.beginning import Beginning
from offloop_workers.search.pieces import Piece

BINARY: Final = "are binary"
REPLACED: Final = "did not decode"
CHANGED: Final = "changed while they were searched: search again when no process writes to them"
_OLD_LINES: Final = "have carriage returns and no line feeds, so each is one line"


@dataclass(slots=True)
class _Note:
    """Number of files, and the first and the last of them; None for the only file of a search."""

    count: int
    first: str | None
    last: str | None


class Notes:
    """Collects what is told of files.

    Attributes:
        replaced: number of byte sequences that did not decode.
        likely: charset that the first of them look like.
    """

    def __init__(self) -> None:
        self.replaced = 0
        self.likely = ""
        self._notes: dict[str, _Note] = {}

    def add(self, what: str, name: str | None) -> None:
        """Note something about a file; once for each, however often it is said in a row."""
        note = self._notes.setdefault(what, _Note(0, name, name))
        if not note.count or name != note.last:
            note.count, note.last = note.count + 1, name

    def of_beginning(self, found: Beginning, name: str | None) -> None:
        """Note an encoding that is no one's word, or against that of the file."""
        if found.charset == "utf-8" and not found.marked:
            return
        if found.seen:
            self.add(f"have no byte order mark and were read as {found.charset}, as their zeros show", name)
        elif found.marked not in {"", found.charset}:
            self.add(f"have a byte order mark of {found.marked}, and were read as {found.charset} as asked", name)

    def of_piece(self, piece: Piece, name: str | None) -> None:
        """Note bytes that did not decode, and line ends that are none."""
        if piece.replaced:
            self.replaced += piece.replaced
            self.likely = self.likely or piece.likely
            self.add(REPLACED, name)
        if piece.first_line == 1 and piece.has_old_line_ends:
            self.add(_OLD_LINES, name)

    def of_left_out(self, left_out: Mapping[str, str]) -> None:
        """Note links and special files."""
        for path, file_type in left_out.items():
            self.add(f"are {file_type}, which are left out: only regular files are searched", printable(path))

    def sentences(self, binary: int) -> Iterator[str]:
        """The warnings.

        Args:
            binary: number of binary files.
        """
        replaced, first_binary = self._notes.pop(REPLACED, None), self._notes.pop(BINARY, None)
        if replaced:
            where = f" (in {replaced.count:,} files, first in {replaced.first!r})" if replaced.first else ""
            like = f" The bytes look like {self.likely}: send that as encoding." if self.likely else ""
            yield (
                f"{self.replaced} byte sequences did not decode{where}, and were searched as U+FFFD: is the encoding "
                f"right?{like}"
            )
        if binary:
            such = f", such as {first_binary.first!r}" if first_binary else ""
            yield (
                f"{binary} binary files were left out{such}: send binary=text to search them, or encoding=utf-16le "
                "for text of that kind without a byte order mark."
            )
        for what, note in self._notes.items():
            yield f"{note.count:,} files {what}{f', such as {note.first!r}' if note.first else ''}."
