"""Path patterns: `fnmatch` for each name, ``**`` for any number of folders.

``*`` is any part of a name, ``?`` one character, ``[a-z]`` and ``[!a-z]`` one of a set; none of them match ``/``.
``**/`` is any number of folders, ``/**`` everything below. A pattern without ``/`` is about names at any depth.

Matching goes name by name through the positions that the pattern may have reached, so it never backtracks between
names; within a name, `fnmatch` compiles each star to an atomic group, which does not backtrack either. The positions
after a folder's path are kept for all that the folder holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate

from offloop.errors import JobError

Positions = frozenset[int]

_NAME = re.compile(r"(?:\[!?\]?[^\]]*\]|[^/])+|(?<=/)(?=/)")  # a slash inside a set does not separate names
_FOLDERS = re.compile(r"\*\*+")
_SET = re.compile(r"\[!?(\]?[^\]]*)\]|\[")
_RANGE = re.compile(r"(.)-(.)", re.DOTALL)


class Glob:
    """One pattern.

    Args:
        pattern: see the module; leading ``./`` and ``/`` mean the top, a trailing ``/`` changes nothing.

    Raises:
        JobError: ``bad_input``: a set has no end, is empty, or has a reversed range.
    """

    def __init__(self, pattern: str) -> None:
        text = pattern.removeprefix("./").rstrip("/")
        names = _NAME.findall(text if "/" in text else f"**/{text}") if text else []
        self._names: list[re.Pattern[str] | None] = []  # None: any number of folders
        for name in names:
            if not _FOLDERS.fullmatch(name):
                self._names.append(_compiled(name, pattern))
            elif self._names[-1:] != [None]:
                self._names.append(None)
        if self._names[-1:] == [None]:  # everything below, but not the folder itself
            self._names.append(_compiled("*", pattern))
        self.start = self._reached({0}) if self._names else frozenset()

    def step(self, positions: Positions, name: str) -> Positions:
        """The positions after one more name of the path; empty where nothing below can match."""
        reached = set()
        for position in positions:
            if position == len(self._names):
                continue
            expected = self._names[position]
            if expected is None:
                reached.add(position)
            elif expected.match(name):
                reached.add(position + 1)
        return self._reached(reached)

    def matches(self, positions: Positions) -> bool:
        """Whether the path so far is matched as a whole."""
        return len(self._names) in positions and bool(self._names)

    def _reached(self, positions: set[int]) -> Positions:
        """The positions, and those behind each ``**`` among them: it may stand for no folder."""
        behind = {position + 1 for position in positions if self._names[position : position + 1] == [None]}
        return frozenset(positions | behind)


class Globs:
    """Several patterns, of which one must match.

    Args:
        patterns: any number of them.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = [*dict.fromkeys(patterns)]
        self._globs = [Glob(pattern) for pattern in self._patterns]
        self._unused = {*range(len(self._globs))}
        self.start = tuple(glob.start for glob in self._globs)

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._globs)

    def step(self, state: tuple[Positions, ...], name: str) -> tuple[Positions, ...]:
        """The state after one more name of the path."""
        return tuple(glob.step(one, name) for glob, one in zip(self._globs, state, strict=True))

    def matches(self, state: tuple[Positions, ...]) -> bool:
        """Whether one of them matches the path so far."""
        if not self._unused:
            return any(glob.matches(one) for glob, one in zip(self._globs, state, strict=True))
        found = {number for number, one in enumerate(state) if self._globs[number].matches(one)}
        self._unused -= found
        return bool(found)

    @property
    def curious(self) -> bool:
        """Whether there are several, of which some have matched nothing so far."""
        return len(self._globs) > 1 and bool(self._unused)

    @property
    def unused(self) -> list[str]:
        """The patterns that have matched nothing, if there are several."""
        return [self._patterns[number] for number in sorted(self._unused)] if self.curious else []


def _compiled(name: str, pattern: str) -> re.Pattern[str]:
    for found in _SET.finditer(name):
        if not found[1] or any(first > last for first, last in _RANGE.findall(found[1])):
            short = pattern if len(pattern) <= 80 else pattern[:77] + "..."  # noqa: PLR2004 -- one line of a terminal
            message = (
                f"the pattern {short!r} has a [ without an end, or an empty or reversed set: write [abc], [a-z] or [[]."
            )
            raise JobError(message, code="bad_input")
    return re.compile(translate(name))
