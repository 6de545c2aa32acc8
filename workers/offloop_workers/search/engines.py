"""Engines: RE2 for the patterns it can run, Python's ``re`` for the others, behind one interface."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, Protocol

from offloop.errors import LimitExceeded
from offloop.jobs.search import Engine
from offloop_workers.search.dialect import Pattern, broken, nested
from offloop_workers.search.pieces import Piece
from offloop_workers.search.writer import NotInRe2Error

try:
    import re2
except ImportError:  # no wheel for this Python or C library
    re2 = None
if not hasattr(re2, "Options"):  # other bindings have the same name, and another interface
    re2 = None

Span = tuple[int, int]
"""Begin and end of a match or group, in bytes of a piece's data; (-1, -1) for a group that took no part."""

MAX_MEMORY: Final = 64 << 20
"""Bytes of RE2 for one pattern: program and caches. With full caches it is slower, and still linear."""

ALL_MEMORY: Final = 256 << 20
"""Bytes of RE2 for all patterns of a job, without the programs that find groups, which have half as much."""

RE_SECONDS: Final = 5.0
"""CPU seconds that ``re`` may take for one MiB, and for one piece at least."""

_SOON: Final = 0.001


class Program(Protocol):
    """A compiled pattern."""

    @property
    def pattern(self) -> Pattern:
        """The pattern."""

    @property
    def engine(self) -> Engine:
        """Its engine."""

    @property
    def reason(self) -> str | None:
        """The part of the pattern for which the engine is not RE2, or why it is not."""

    @property
    def reason_is_part(self) -> bool:
        """Whether the reason is a part of the pattern."""

    def spans(self, piece: Piece) -> Iterator[Span]:
        """Leftmost matches that do not overlap; after an empty one, the search goes on one character further."""

    def groups(self, piece: Piece, begin: int) -> list[Span]:
        """Groups of the match that begins there; quick for one match after the other."""


def compiled(pattern: Pattern, patterns: int = 1) -> Program:
    """Compile a pattern for the best engine that can run it.

    Args:
        pattern: the pattern.
        patterns: the number of those that share the memory.

    Raises:
        JobError: ``bad_input``: it does not compile.
    """
    try:
        return _Re2(pattern, pattern.written(re2=True), min(MAX_MEMORY, ALL_MEMORY // patterns))
    except NotInRe2Error as error:
        refused = error
    try:
        return _Re(pattern, re.compile(pattern.written(re2=False)), refused)
    except re.error as error:  # a look-behind without a fixed width: the parser does not see that
        error.pos = None
        raise broken(pattern, error) from None
    except (RecursionError, OverflowError, MemoryError):
        raise nested(pattern) from None


class _Re2:
    """A pattern in RE2, over the bytes of the text."""

    engine: Engine = "re2"
    reason: str | None = None
    reason_is_part = False

    def __init__(self, pattern: Pattern, written: str, memory: int) -> None:
        self.pattern = pattern
        # The first one finds matches faster than a program with groups.
        self._plain = _re2(written, memory, captures=False)
        self._capturing = _re2(written, memory // 2, captures=True) if pattern.groups else None

    def spans(self, piece: Piece) -> Iterator[Span]:
        data = piece.data
        if not self.pattern.may_be_empty:
            for match in self._plain.finditer(data):
                yield match.span()
            return
        search, position, stop = self._plain.search, 0, _stop(self.pattern, piece)
        while position <= stop and (match := search(data, position)):
            begin, end = match.span()
            if begin > stop:
                return
            yield begin, end
            position = end if end > begin else piece.after(end)

    def groups(self, piece: Piece, begin: int) -> list[Span]:
        if self._capturing is None:
            return []
        match = self._capturing.search(piece.data, begin)
        return [match.span(number) for number in range(1, len(self.pattern.groups) + 1)]


def _re2(written: str, memory: int, *, captures: bool) -> Any:
    if re2 is None:
        message = "google-re2 is not installed on this worker"
        raise NotInRe2Error(message, part=False)
    options = re2.Options()
    options.max_mem, options.never_capture, options.log_errors = memory, not captures, False
    try:
        return re2.compile(written.encode(), options)
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        message = f"RE2 refuses it ({reason.partition(':')[0]})"
        raise NotInRe2Error(message, part=False) from None


class _Re:
    """A pattern in Python's ``re``, over the decoded text."""

    engine: Engine = "re"

    def __init__(self, pattern: Pattern, program: re.Pattern[str], refused: NotInRe2Error) -> None:
        self.pattern = pattern
        self.reason: str | None = str(refused)
        self.reason_is_part = refused.part
        self._program = program
        self._piece: Piece | None = None
        self._at = (0, 0)  # a position in its data, and the same one in its text

    def spans(self, piece: Piece) -> Iterator[Span]:
        to_byte = piece.byte_counter()
        text, position = piece.text, 0
        stop = len(text) - len(piece.data) + _stop(self.pattern, piece)
        while position <= stop:
            match = self._search(text, position)
            if match is None:
                return
            begin, end = match.span()
            if begin > stop:
                return
            yield to_byte(begin), to_byte(end)
            position = max(end, begin + 1)

    def groups(self, piece: Piece, begin: int) -> list[Span]:
        if not self.pattern.groups:
            return []
        position = self._position(piece, begin)
        match = self._search(piece.text, position)
        if match is None:
            return []
        spans = [match.span(number) for number in range(1, len(self.pattern.groups) + 1)]
        return [
            span if span[0] < 0 else (_byte(piece, position, begin, span[0]), _byte(piece, position, begin, span[1]))
            for span in spans
        ]

    def _position(self, piece: Piece, begin: int) -> int:
        """The position in the text; only what lies behind the last one is decoded, else many matches take very long."""
        byte, position = self._at
        if piece is not self._piece or begin < byte:
            byte, position = 0, 0
        position += len(piece.data[byte:begin].decode())
        self._piece, self._at = piece, (begin, position)
        return position

    def _search(self, text: str, position: int) -> re.Match[str] | None:
        try:
            return self._program.search(text, position)
        except OverdueError as error:
            error.program = self
            raise


def _stop(pattern: Pattern, piece: Piece) -> int:
    """The last position at which a match may begin: behind the last line end of a file there is no line."""
    total = len(piece.data)
    return total - 1 if pattern.reading.multiline and piece.data[-1:] in {b"", b"\n"} else total


def _byte(piece: Piece, known: int, byte: int, position: int) -> int:
    """The byte of a position in the text, from a near one whose byte is known."""
    if position < known:  # in a look-behind
        return byte - len(piece.text[position:known].encode())
    return byte + len(piece.text[known:position].encode())


class OverdueError(Exception):
    """The time is used up.

    Attributes:
        spent: the limit that was met, in words.
        program: the pattern that was searched for then, if one was.
    """

    def __init__(self, spent: str) -> None:
        super().__init__(spent)
        self.spent = spent
        self.program: Program | None = None


def overdue(program: Program, piece: Piece, spent: str, file: str | None) -> LimitExceeded:
    """The failure of a search whose pattern used up its time.

    Args:
        program: the pattern.
        piece: the lines that were searched then.
        spent: the limit that was met, in words.
        file: the name of their file, where there are several.
    """
    if program.reason_is_part:
        cause = f"because of {program.reason}. Without that, RE2 runs it in linear time. Or repeat"
    else:
        cause = f"because {program.reason}. Repeat"
    message = (
        f"Pattern {program.pattern.number}, {program.pattern.short}, was stopped {spent}, within lines "
        f"{piece.first_line} to {piece.first_line + piece.lines - 1}{f' of {file}' if file else ''}. It runs in "
        f"Python's re, which backtracks, {cause} only what cannot match in two ways, such as a+ instead of (a+)+."
    )
    return LimitExceeded(message)


@contextmanager
def limited(cpu_seconds: float, seconds: float) -> Iterator[None]:
    """Interrupt the block after some time, also in the middle of a match.

    ``re`` looks for signals while it backtracks. Only the main thread can set a handler, and it is the one that works
    in a child; elsewhere there is no limit.

    Args:
        cpu_seconds: CPU time; on a busy machine much less than the time that passes.
        seconds: time that passes, for a job that must end before it is killed.

    Raises:
        OverdueError: one of them is used up.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, _frame: FrameType | None) -> None:
        cpu = number == signal.SIGVTALRM
        raise OverdueError(
            f"after {round(cpu_seconds, 1):g} s of CPU time" if cpu else "shortly before the job's limit of time"
        )

    timers = ((signal.SIGVTALRM, signal.ITIMER_VIRTUAL, cpu_seconds), (signal.SIGALRM, signal.ITIMER_REAL, seconds))
    before: list[Any] = [signal.signal(number, interrupt) for number, _, _ in timers]
    try:
        for _, timer, after in timers:
            signal.setitimer(timer, max(after, _SOON))
        yield
    finally:
        for (number, timer, _), handler in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)
