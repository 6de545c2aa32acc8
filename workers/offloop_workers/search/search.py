"""Search of files, a folder or a text (search_text)."""

from __future__ import annotations

import io
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import BinaryIO, Final

from offloop.charsets.detection import guessed
from offloop.errors import JobError, LimitExceeded
from offloop.jobs.files import Trouble
from offloop.jobs.search import (
    MAX_LINE_MIB,
    MAX_MULTILINE_MIB,
    FileMatches,
    PatternUse,
    TextFound,
    TextToSearch,
    search_text,
)
from offloop.kinds.context import Context
from offloop.kinds.kind import performs
from offloop_workers.files.changes import stamp
from offloop_workers.files.progress import ByteProgress
from offloop_workers.files.sources import source
from offloop_workers.files.walk import printable, reason, unused_note
from offloop_workers.search import characters, dialect, engines
from offloop_workers.search.beginning import BinaryError
from offloop_workers.search.engines import RE_SECONDS, OverdueError, Program, limited, overdue
from offloop_workers.search.lines import matching, number, others
from offloop_workers.search.listing import Listing, UnsavedError
from offloop_workers.search.notes import BINARY, CHANGED, Notes
from offloop_workers.search.pieces import BLOCK, Piece, TooLargeError, pieces, whole
from offloop_workers.search.writer import MOST_GROUPS, Reading

MAX_TROUBLES: Final = 50
MAX_FILES: Final = 100
_TOO_LARGE: Final = f"more than {MAX_MULTILINE_MIB} MiB, the most in which matches may span lines"
_ANY_LINE: Final = (Piece(b"\n", 0, "utf-8", 1), Piece(b"\x01", 0, "utf-8", 1))
_CPU_SHARE: Final = 0.5  # of the kind's seconds, for ``re`` in one piece
_SHARE: Final = 0.9  # of them, after which a search in ``re`` ends with its own message, before the child is killed


def warm() -> None:
    """Load the engines, and the table of cases, before the children are forked."""
    characters.folds()
    engines.compiled(dialect.parse(1, "warm(?i:x)", Reading()))
    guessed(b"\xe4")


@performs(search_text)
def search(request: TextToSearch, context: Context) -> TextFound:
    """Search one file after the other, piece by piece."""
    programs = _programs(request, context)
    saved = context.create("matches.jsonl", "application/x-ndjson") if request.save else nullcontext(None)
    with saved as file:
        run = _Run(request, context, programs, Listing(request, programs, file))
        try:
            _search(run)
        except UnsavedError as unsaved:
            raise unsaved.error from None
    run.warn()
    return run.found()


def _search(run: _Run) -> None:
    request = run.request
    if request.text is not None:
        run.one(io.BytesIO(request.text.encode()), len(request.text.encode()))
    elif request.file is not None:
        with run.context.open(request.file) as opened:
            size = opened.seek(0, os.SEEK_END)
            opened.seek(0)
            run.one(opened, size)
    else:
        run.several()


def _programs(request: TextToSearch, context: Context) -> list[Program]:
    reading = Reading(
        fixed=request.fixed,
        ignore_case=request.ignore_case,
        word=request.word,
        unicode=request.unicode,
        multiline=request.multiline,
        dotall=request.dotall,
    )
    patterns = [dialect.parse(number, source, reading) for number, source in enumerate(request.patterns, 1)]
    programs = [engines.compiled(pattern, len(patterns)) for pattern in patterns]
    for program in programs:
        if program.pattern.may_be_empty and all(any(program.spans(one)) for one in _ANY_LINE):
            context.warn(
                f"Pattern {program.pattern.number} matches every line, since it may match nothing at all: "
                "write x+ instead of x*."
            )
        if program.pattern.needs_line_end and not request.multiline:
            context.warn(
                f"Pattern {program.pattern.number} has a line end, and each line is searched by itself, so it matches "
                "nothing: send multiline=true."
            )
        if (count := program.pattern.tree.state.groups - 1) > MOST_GROUPS:
            context.warn(f"Pattern {program.pattern.number} has {count} groups: the first {MOST_GROUPS} are listed.")
    if not request.unicode and any(_asks_for_more_than_ascii(one.pattern) for one in programs):
        context.warn("\\w, \\b and word know the letters of ASCII only: send unicode=true for those of all languages.")
    return programs


def _asks_for_more_than_ascii(pattern: dialect.Pattern) -> bool:
    classes = pattern.reading.word or any(one in pattern.source for one in ("\\w", "\\W", "\\b", "\\B"))
    return classes and not pattern.source.isascii()


@dataclass(slots=True)
class _Run:
    """One search: its totals."""

    request: TextToSearch
    context: Context
    programs: Sequence[Program]
    listing: Listing
    counts: list[int] = field(init=False)
    began: float = field(default_factory=time.monotonic)
    lines: int = 0
    searched: int = 0
    bytes: int = 0
    long_lines: int = 0
    stopped: bool = False
    files: list[FileMatches] = field(default_factory=list)
    files_matched: int = 0
    troubles: list[Trouble] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    notes: Notes = field(default_factory=Notes)

    def __post_init__(self) -> None:
        self.counts = [0] * len(self.programs)

    def one(self, file: BinaryIO, size: int) -> None:
        """Search the only file.

        Raises:
            JobError: it cannot be read, or has too many bytes.
        """
        try:
            self._file(file, None, size, ByteProgress(self.context, size))
        except BinaryError:
            message = "The file has NUL bytes, so it looks like no text: send binary=text to search it all the same."
            raise JobError(message, code="binary_file") from None
        except TooLargeError:
            message = f"The file has {_TOO_LARGE}: search it line by line, without multiline."
            raise LimitExceeded(message) from None
        except OSError as error:
            message = f"The file could not be read to its end ({error.strerror}): is its disk in order? Try again."
            raise JobError(message, code="unreadable_file") from None

    def several(self) -> None:
        """Search all selected files, in the order of their paths."""
        with source(self.request, self.context) as files:
            listing = files.list()
            self.skipped.update(listing.skipped)
            self.notes.of_left_out(listing.left_out)
            if listing.unused and listing.files:
                self.context.warn(unused_note(listing.unused))
            self.troubles += [Trouble(path=printable(path), reason=why) for path, why in listing.troubles]
            progress = ByteProgress(self.context, sum(found.size for found in listing.files))
            for found in listing.files:
                if self.stopped:
                    break
                try:
                    with files.open(found.path) as file:
                        self._file(file, printable(found.path), found.size, progress)
                except BinaryError:
                    self.skipped["binary"] += 1
                    self.notes.add(BINARY, printable(found.path))
                except TooLargeError:
                    self.troubles.append(Trouble(path=printable(found.path), reason=f"has {_TOO_LARGE}"))
                except LimitExceeded:
                    raise
                except (OSError, JobError) as error:
                    why = error.message if isinstance(error, JobError) else reason(error)
                    self.troubles.append(Trouble(path=printable(found.path), reason=why))

    def _file(self, file: BinaryIO, name: str | None, size: int, progress: ByteProgress) -> None:
        lines, matches = self.lines, sum(self.counts)
        before = stamp(file) if size > BLOCK else None  # a smaller file is read in one step
        self.listing.begin(name)
        try:
            self._pieces(file, name, progress)
            self.searched += 1
            if before and stamp(file) != before:
                self.notes.add(CHANGED, name)
        finally:  # also of a file that cannot be read to its end
            self.listing.end()
            if self.lines > lines:
                self._matched(name, self.lines - lines, sum(self.counts) - matches)

    def _pieces(self, file: BinaryIO, name: str | None, progress: ByteProgress) -> None:
        read = pieces if not self.request.multiline else whole
        encoding = self.request.encoding if self.request.text is None else "utf-8"
        found = partial(self.notes.of_beginning, name=name)
        binary = self.request.binary == "text"
        for piece in read(file, encoding, self._counted(progress), binary=binary, told=found):
            self.notes.of_piece(piece, name)
            self.long_lines += piece.continued
            self._piece(piece)
            if self.stopped:
                return

    def _matched(self, name: str | None, lines: int, matches: int) -> None:
        self.files_matched += 1
        if name is not None and len(self.files) < MAX_FILES:
            self.files.append(FileMatches(file=name, lines=lines, matches=matches))

    def _counted(self, progress: ByteProgress) -> Callable[[int], None]:
        def count(read: int) -> None:
            self.bytes += read
            progress.add(read)

        return count

    def _piece(self, piece: Piece) -> None:
        slow = [program for program in self.programs if program.engine == "re"]
        if not slow:
            self._lines(piece)
            return
        most = self.context.limits.seconds
        cpu = min(RE_SECONDS * max(1, len(piece.data) / (1 << 20)), most * _CPU_SHARE)
        try:
            with limited(cpu, most * _SHARE - (time.monotonic() - self.began)):
                self._lines(piece)
        except OverdueError as error:
            raise overdue(error.program or slow[0], piece, error.spent, self.listing.name) from None

    def _lines(self, piece: Piece) -> None:
        self.listing.begin_piece(piece)
        if self.listing.full and not self.request.stop_early:
            lines = number(piece, self.programs, self.counts)
            self.lines += piece.lines - lines if self.request.invert else lines
            return
        hits = matching(piece, self.programs, self.counts)
        for hit in others(piece, hits) if self.request.invert else hits:
            self.listing.add(piece, hit)
            self.lines += 1
            if self.request.stop_early and self.lines >= self.request.max_matches:
                self.stopped = True
                return
        self.listing.end_piece(piece)

    def warn(self) -> None:
        """Warn of all that was not searched as it is."""
        warn = self.context.warn
        for sentence in self.notes.sentences(self.skipped["binary"]):
            warn(sentence)
        if self.long_lines:
            warn(
                f"{self.long_lines} times a line had more than {MAX_LINE_MIB} MiB, and was searched in parts of that "
                "size: no match goes over an edge of two parts, and ^ and $ match there."
            )
        if self.lines > len(self.listing.lines) and not self.request.count_only and not self.request.save:
            warn("There are more matching lines than listed: narrow the pattern, or send save=true for all of them.")
        if not self.searched:
            warn("No file was searched: check the folder, include, exclude and hidden.")

    def found(self) -> TextFound:
        """The answer."""
        patterns = [
            PatternUse(pattern=program.pattern.number, engine=program.engine, reason=program.reason, matches=count)
            for program, count in zip(self.programs, self.counts, strict=True)
        ]
        return TextFound(
            matches=self.listing.lines,
            lines_total=self.lines,
            matches_total=sum(self.counts),
            truncated=self.lines > len(self.listing.lines),
            stopped=self.stopped,
            files=self.files,
            files_matched=self.files_matched,
            files_searched=self.searched,
            bytes=self.bytes,
            patterns=patterns,
            skipped=dict(self.skipped),
            troubles=self.troubles[:MAX_TROUBLES],
            troubles_total=len(self.troubles),
        )
