"""Dialect of patterns: Python's, written anew for each engine, so that both give the same matches.

Python's own parser reads a pattern, and `offloop_workers.search.writer` writes it for RE2 or for ``re``.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from re import _constants as ops  # type: ignore[attr-defined]  # private, as the parser
from re import _parser as parser  # type: ignore[attr-defined]  # private; tests/fuzz notices a change on any Python
from typing import Any, Final

from offloop.errors import JobError
from offloop_workers.search.writer import MOST_GROUPS, Reading, Writer

SHORT: Final = 60
"""Characters of a pattern that a message repeats."""

_POSIX_CLASS: Final = re.compile(r"(?<!\\)(?:\\\\)*\[(\[:\^?[a-z]+:\])")  # behind \[ it is a set of its own
_REPEATS: Final = (ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern that was parsed.

    Attributes:
        number: among those of the request, from 1.
        source: as it was sent.
        reading: the options.
        tree: of Python's parser.
        groups: name of each of the first groups, its number where it has none; the first one is group 1.
        may_be_empty: whether it can match the empty string.
    """

    number: int
    source: str
    reading: Reading
    tree: Any
    groups: tuple[str, ...]
    may_be_empty: bool

    @property
    def short(self) -> str:
        """The pattern for messages."""
        return repr(self.source if len(self.source) <= SHORT else self.source[: SHORT - 3] + "...")

    @property
    def needs_line_end(self) -> bool:
        """Whether every match has a line end, as far as that is seen easily."""
        return _needs_line_end(self.tree)

    def written(self, *, re2: bool) -> str:
        """The pattern as one of the engines takes it.

        Raises:
            NotInRe2Error: it is for RE2, which cannot run it.
            JobError: ``bad_input``: it is nested too deeply.
        """
        writer = Writer(self.reading, re2=re2)
        try:
            text = writer.sequence(self.tree, self.tree.state.flags)
            return writer.whole_word(text) if self.reading.word else text
        except RecursionError:
            raise nested(self) from None


def parse(number: int, source: str, reading: Reading) -> Pattern:
    """Parse a pattern.

    Raises:
        JobError: ``bad_input``: it does not compile; the message has the position and the remedy.
    """
    flags = (re.IGNORECASE if reading.ignore_case else 0) | (re.DOTALL if reading.dotall else 0)
    bare = Pattern(number, source, reading, None, (), may_be_empty=False)
    if not reading.fixed and (found := _POSIX_CLASS.search(source)):
        message = f"Pattern {number} has {found[1]}, which is POSIX and not Python: write [a-z], [0-9], \\w or \\s."
        raise JobError(message, code="bad_input")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about sets that may become nested in a later Python
            tree = parser.parse(re.escape(source) if reading.fixed else source, flags)
    except re.error as error:
        raise broken(bare, error) from None
    except (RecursionError, OverflowError):
        raise nested(bare) from None
    names = {index: name for name, index in tree.state.groupdict.items()}
    groups = tuple(names.get(index, str(index)) for index in range(1, min(tree.state.groups, MOST_GROUPS + 1)))
    return Pattern(number, source, reading, tree, groups, may_be_empty=tree.getwidth()[0] == 0)


def _needs_line_end(items: Any) -> bool:
    for op, value in items:
        if op is ops.LITERAL and value == ord("\n"):
            return True
        inner = value[3] if op is ops.SUBPATTERN else value[2] if op in _REPEATS and value[0] else ()
        if _needs_line_end(inner):
            return True
    return False


_REMEDIES: Final = {
    "bad escape": "write \\\\ for a backslash; \\p{…} and \\K are not in Python's syntax",
    "missing )": "close the group, or write \\( for a parenthesis",
    "unbalanced parenthesis": "open the group, or write \\) for a parenthesis",
    "unterminated character set": "close the set with ], or write \\[ for a bracket",
    "nothing to repeat": "put something before *, + or ?, or write \\*",
    "multiple repeat": "write one repetition, or put the first one into a group",
    "global flags not at the start": "put (?i) at the start, or write (?i:…)",
}


def broken(pattern: Pattern, error: re.error) -> JobError:
    """The error for a pattern that does not compile."""
    where = ""
    if error.pos is not None:
        part = pattern.source[max(0, error.pos - 20) : error.pos + 20]
        excerpt = part if part.isprintable() else part.encode("unicode_escape").decode()
        where = f" at position {error.pos}, in {excerpt}"
    advice = next((text for key, text in _REMEDIES.items() if key in error.msg), "correct it")
    message = (
        f"Pattern {pattern.number} is no regular expression ({error.msg}{where}): {advice}. To search for plain text, "
        "send fixed=true."
    )
    return JobError(message, code="bad_input")


def nested(pattern: Pattern) -> JobError:
    """The error for a pattern that is too deep for its parser or compiler."""
    message = f"Pattern {pattern.number}, {pattern.short}, is nested too deeply or repeats too often: write it flatter."
    return JobError(message, code="bad_input")
