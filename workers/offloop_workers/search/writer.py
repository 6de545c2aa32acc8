r"""Writer: a parsed pattern in the syntax of one engine, with nothing in it that the engines treat differently.

Classes such as ``\w`` and the cases of a letter become explicit sets; ``^``, ``$``, ``\A`` and ``\Z`` get the meaning
they have in a search; groups get numbers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from re import _constants as ops  # type: ignore[attr-defined]  # of the standard library's parser, see dialect
from typing import Any, Final, NoReturn

from offloop_workers.search.characters import (
    ALL,
    DIGITS,
    SPACE,
    WORD,
    Ranges,
    complement,
    folded,
    ranges,
    without,
)

MOST_REPEATED: Final = 1000
"""Repetitions that RE2 allows."""

MOST_GROUPS: Final = 20
"""Groups whose matches an answer has; RE2's time for finding them grows with their number."""

_NOTHING: Final = {True: r"[^\x00-\x{10FFFF}]", False: r"[^\x00-\U0010FFFF]"}
_CATEGORIES: Final[dict[Any, tuple[str, Ranges]]] = {
    ops.CATEGORY_DIGIT: (r"\d", DIGITS),
    ops.CATEGORY_NOT_DIGIT: (r"\D", complement(DIGITS)),
    ops.CATEGORY_WORD: (r"\w", WORD),
    ops.CATEGORY_NOT_WORD: (r"\W", complement(WORD)),
    ops.CATEGORY_SPACE: (r"\s", SPACE),
    ops.CATEGORY_NOT_SPACE: (r"\S", complement(SPACE)),
}


class NotInRe2Error(Exception):
    """RE2 cannot run the pattern, or not with the same matches; the message names the part, or says why.

    Attributes:
        part: whether it names a part.
    """

    def __init__(self, message: str, *, part: bool) -> None:
        super().__init__(message)
        self.part = part


@dataclass(frozen=True, slots=True)
class Reading:
    """Options that decide how a pattern is read.

    Attributes:
        fixed: it is plain text.
        ignore_case: cases of a letter are the same.
        word: a match begins and ends at a word boundary.
        unicode: classes and boundaries are about all of Unicode.
        multiline: matches may span lines.
        dotall: a dot matches line ends.
    """

    fixed: bool = False
    ignore_case: bool = False
    word: bool = False
    unicode: bool = False
    multiline: bool = False
    dotall: bool = False


class Writer:
    """Writes a parsed pattern for one engine.

    Args:
        reading: the options.
        re2: write for RE2, else for ``re``.
    """

    def __init__(self, reading: Reading, *, re2: bool) -> None:
        self._reading = reading
        self._re2 = re2

    def sequence(self, items: Any, flags: int) -> str:
        """Write one construct after the other.

        Args:
            items: what the parser made of them.
            flags: those of ``re`` that hold for them.

        Raises:
            NotInRe2Error: one is beyond RE2.
        """
        return "".join(self._item(op, value, flags) for op, value in items)

    def whole_word(self, text: str) -> str:
        """A written pattern between word boundaries."""
        edge = self._boundary()
        return f"{edge}(?:{text}){edge}"

    def _item(self, op: Any, value: Any, flags: int) -> str:  # noqa: PLR0911 -- one line for each construct
        match op:
            case ops.LITERAL | ops.NOT_LITERAL | ops.ANY | ops.IN:
                return self._character(op, value, flags)
            case ops.BRANCH:
                return f"(?:{'|'.join(self.sequence(one, flags) for one in value[1])})"
            case ops.SUBPATTERN:
                group, added, removed, items = value
                inner = self.sequence(items, (flags | added) & ~removed)
                return self._group(group, inner)
            case ops.MAX_REPEAT | ops.MIN_REPEAT | ops.POSSESSIVE_REPEAT:
                return self._repeat(op, value, flags)
            case ops.AT:
                return self._position(value)
            case ops.FAILURE:
                return _NOTHING[self._re2]
        return self._beyond_re2(op, value, flags)

    def _group(self, group: int | None, inner: str) -> str:
        if group is None or (self._re2 and group > MOST_GROUPS):
            return f"(?:{inner})"
        return f"({inner})" if self._re2 else f"(?P<g{group}>{inner})"

    def _repeat(self, op: Any, value: Any, flags: int) -> str:
        least, most, items = value
        unbounded = most is ops.MAXREPEAT
        if self._re2:
            if op is ops.POSSESSIVE_REPEAT:
                _refuse("a possessive repetition")
            if max(least, 0 if unbounded else most) > MOST_REPEATED:
                _refuse(f"a repetition of more than {MOST_REPEATED:,} times")
            if (unbounded or most > 1) and items.getwidth()[0] == 0:
                # Python and RE2 differ about a repetition that matched the empty string.
                _refuse("a repeated part that may be empty")
        times = {(0, True): "*", (1, True): "+"}.get((least, unbounded))
        if times is None:
            times = "?" if (least, most) == (0, 1) else f"{{{least},{'' if unbounded else most}}}"
        mode = {ops.MIN_REPEAT: "?", ops.POSSESSIVE_REPEAT: "+"}.get(op, "")
        return f"(?:{self.sequence(items, flags)}){times}{mode}"

    def _position(self, value: Any) -> str:
        begin, end = (r"\A", r"\z" if self._re2 else r"\Z") if self._reading.multiline else ("(?m:^)", "(?m:$)")
        match value:
            case ops.AT_BEGINNING:
                return "(?m:^)"
            case ops.AT_END:
                return "(?m:$)"
            case ops.AT_BEGINNING_STRING:
                return begin
            case ops.AT_END_STRING:
                return end
            case ops.AT_BOUNDARY:
                return self._boundary()
        if self._re2:
            _refuse(r"\B, which RE2 finds inside of characters")
        return f"(?!{self._boundary()})"  # before Python 3.14, \B does not match in an empty text

    def _boundary(self) -> str:
        if not self._reading.unicode:
            return r"\b" if self._re2 else r"(?a:\b)"
        if self._re2:
            _refuse(r"Unicode word boundaries (\b or word, with unicode)")
        return r"\b"

    def _character(self, op: Any, value: Any, flags: int) -> str:
        ignore_case = bool(flags & re.IGNORECASE)
        match op:
            case ops.ANY:
                return self._set(ALL if flags & re.DOTALL else without(ALL, "\n"))
            case ops.LITERAL | ops.NOT_LITERAL:
                one = ranges([(value, value)])
                one = folded(one) if ignore_case else one
                return self._set(one if op is ops.LITERAL else complement(one))
        negated = value[0][0] is ops.NEGATE
        parts, categories = self._parts(value[1:] if negated else value)
        chosen = folded(ranges(parts)) if ignore_case else ranges(parts)
        if categories:
            inner = self._ranges(chosen) + "".join(categories)
            line_end = "" if self._reading.multiline else r"(?!\n)"
            return f"{line_end}[{'^' if negated else ''}{inner}]"
        return self._set(complement(chosen) if negated else chosen)

    def _parts(self, items: Any) -> tuple[list[tuple[int, int]], list[str]]:
        parts: list[tuple[int, int]] = []
        categories = []
        for op, value in items:
            if op is ops.LITERAL:
                parts.append((value, value))
            elif op is ops.RANGE:
                parts.append(value)
            elif not self._reading.unicode:
                parts.extend(_CATEGORIES[value][1])
            elif self._re2:
                _refuse(f"{_CATEGORIES[value][0]} with unicode")
            else:
                categories.append(_CATEGORIES[value][0])
        return parts, categories

    def _set(self, chosen: Ranges) -> str:
        if not self._reading.multiline:
            chosen = without(chosen, "\n")
        if not chosen:
            return _NOTHING[self._re2]
        if len(chosen) == 1 and chosen[0][0] == chosen[0][1]:
            return self._escaped(chosen[0][0])
        return f"[{self._ranges(chosen)}]"

    def _ranges(self, chosen: Ranges) -> str:
        return "".join(
            self._escaped(low) if low == high else f"{self._escaped(low)}-{self._escaped(high)}" for low, high in chosen
        )

    def _escaped(self, code: int) -> str:
        if chr(code).isalnum() and code < 128:  # noqa: PLR2004 -- ASCII
            return chr(code)
        if self._re2:
            return f"\\x{{{code:X}}}"
        return f"\\x{code:02x}" if code < 256 else f"\\U{code:08x}"  # noqa: PLR2004 -- two digits

    def _beyond_re2(self, op: Any, value: Any, flags: int) -> str:
        if self._re2:
            _refuse(_BEYOND_RE2.get(op, str(op).lower()))
        match op:
            case ops.ATOMIC_GROUP:
                return f"(?>{self.sequence(value, flags)})"
            case ops.GROUPREF:
                again = f"(?P=g{value})"
                return f"(?i:{again})" if flags & re.IGNORECASE else again
            case ops.GROUPREF_EXISTS:
                group, yes, no = value
                other = f"|(?:{self.sequence(no, flags)})" if no else ""
                return f"(?(g{group})(?:{self.sequence(yes, flags)}){other})"
            case ops.ASSERT | ops.ASSERT_NOT:
                direction, items = value
                kind = ("<" if direction < 0 else "") + ("=" if op is ops.ASSERT else "!")
                return f"(?{kind}{self.sequence(items, flags)})"
        message = f"unknown construct of a pattern: {op}"
        raise NotImplementedError(message)


_BEYOND_RE2: Final[dict[Any, str]] = {
    ops.ATOMIC_GROUP: "an atomic group",
    ops.GROUPREF: "a backreference",
    ops.GROUPREF_EXISTS: "a condition on a group",
    ops.ASSERT: "look-ahead or look-behind",
    ops.ASSERT_NOT: "look-ahead or look-behind",
}


def _refuse(part: str) -> NoReturn:
    raise NotInRe2Error(part, part=True)
