"""Patterns for paths, matched in a time that grows with the path and not with the pattern's stars.

``*`` is any part of a name, ``?`` one character, ``[a-z]`` and ``[!a-z]`` one of a set; none of them match ``/``.
``**/`` is any number of folders, ``/**`` everything below. A pattern without ``/`` is about names at any depth.

All places of the pattern where a match may stand are the bits of one number, and each character moves them at once:
there is nothing to go back to, so no pattern of stars takes long. The number after a folder's path is kept for all
that the folder holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from offloop.errors import JobError

_TOKENS = re.compile(r"(?P<deep>(?:\*\*+/)+)|(?P<stars>\*+)|(?P<set>\[!?\]?[^\]]*\])|(?P<one>.)", re.DOTALL)


class Glob:
    """One pattern.

    Args:
        pattern: see the module; leading ``./`` and ``/`` mean the top, a trailing ``/`` changes nothing.

    Raises:
        JobError: ``bad_input``: a set has no end, or is in the wrong order.
    """

    def __init__(self, pattern: str) -> None:
        text = pattern.removeprefix("./").rstrip("/")
        text = text.removeprefix("/") if "/" in text else f"**/{text}"
        self._literal: dict[str, int] = {}
        self._sets: list[tuple[int, re.Pattern[str]]] = []
        self._masks: dict[str, int] = {}
        self._one = self._star = self._deep = self._all = 0
        bit = self._compile(text, pattern)
        self._end = bit
        self._skip = self._star | self._deep | self._all
        self.start = self._close(1)

    def _compile(self, text: str, pattern: str) -> int:
        bit = 1
        for token in _TOKENS.finditer(text):
            found = token.group()
            match token.lastgroup:
                case "deep" if token.start() == 0 or text[token.start() - 1] == "/":
                    self._deep |= bit
                case "deep":  # a**/b is a*/b
                    self._star |= bit
                    bit <<= 1
                    self._literal["/"] = self._literal.get("/", 0) | bit
                case "stars" if len(found) > 1 and token.end() == len(text):
                    self._all |= bit
                case "stars":
                    self._star |= bit
                case "set":
                    self._sets.append((bit, _set(found, pattern)))
                case _ if found == "?":
                    self._one |= bit
                case _ if found == "[":
                    raise _bad(pattern)
                case _:
                    self._literal[found] = self._literal.get(found, 0) | bit
            bit <<= 1
        return bit

    def step(self, state: int, text: str) -> int:
        """Where the match may stand after some more characters of the path; 0 is nowhere."""
        for character in text:
            if not state:
                return 0
            mask = self._masks.get(character)
            if mask is None:
                mask = self._masks[character] = self._mask(character)
            moved = ((state & mask) << 1) | (state & self._all)
            moved |= (state & self._deep) << 1 if character == "/" else state & self._star
            state = self._close(moved) | (state & self._deep)
        return state

    def matches(self, state: int) -> bool:
        """Whether the path so far is matched as a whole."""
        return bool(state & self._end)

    def _close(self, moved: int) -> int:
        # What may be empty is passed by in the same step; a star may stand behind another.
        reached = moved
        while more := ((reached & self._skip) << 1) & ~reached:
            reached |= more
        return reached

    def _mask(self, character: str) -> int:
        mask = self._literal.get(character, 0)
        if character != "/":
            mask |= self._one
            for bit, pattern in self._sets:
                if pattern.match(character):
                    mask |= bit
        if len(self._masks) > 10_000:  # noqa: PLR2004 -- names in every script there is
            self._masks.clear()
        return mask


class Globs:
    """Several patterns, of which one must match.

    Args:
        patterns: any number of them.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._globs = [Glob(pattern) for pattern in dict.fromkeys(patterns)]
        self.start = tuple(glob.start for glob in self._globs)

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._globs)

    def step(self, state: tuple[int, ...], text: str) -> tuple[int, ...]:
        """The state after some more characters of the path."""
        return tuple(glob.step(one, text) for glob, one in zip(self._globs, state, strict=True))

    def matches(self, state: tuple[int, ...]) -> bool:
        """Whether one of them matches the path so far."""
        return any(glob.matches(one) for glob, one in zip(self._globs, state, strict=True))


def _set(found: str, pattern: str) -> re.Pattern[str]:
    inside = found[1:-1]
    sign = "^" if inside.startswith("!") else ""
    inside = inside.removeprefix("!")
    if not inside:
        raise _bad(pattern)
    # Only a hyphen between two characters keeps a meaning; everything else is itself.
    escaped = "".join(character if character == "-" else re.escape(character) for character in inside)
    try:
        return re.compile(f"[{sign}{escaped}]", re.DOTALL)
    except re.error:
        raise _bad(pattern) from None


def _bad(pattern: str) -> JobError:
    shown = pattern if len(pattern) <= 80 else pattern[:77] + "..."  # noqa: PLR2004 -- one line of a terminal
    message = f"the pattern {shown!r} has a [ without an end, or an empty or reversed set: write [abc], [a-z] or [[]."
    return JobError(message, code="bad_input")
