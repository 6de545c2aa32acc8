"""Limits of one attempt of a job: declared with its kind, lowered by the operator, never raised.

``OFFLOOP_LIMITS=render_pdf.seconds=30,transform_image.memory_mb=512`` lowers single values. An unknown name or a value
above the declared one keeps the process from starting: a limit that silently does not hold would be worse.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import Any

from offloop.errors import LimitExceeded, SettingsError


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one attempt. 0 means none for `fetches`, and no limit for `pages` and `pixels`.

    Attributes:
        seconds: wall clock, after which the child is killed; CPU time is capped at the same.
        memory_mb: MiB of address space beyond what a warm child already maps.
        output_mb: MiB that all files of the answer may have together, and any one file that the child writes.
        fetches: how many URLs the work may have fetched while it runs.
        artifacts: how many files an answer may have.
        pages: pages of a document that is read or made.
        pixels: pixels of a picture that is read or made, all its frames together.
    """

    seconds: float = 60
    memory_mb: int = 1024
    output_mb: int = 256
    fetches: int = 0
    artifacts: int = 100
    pages: int = 0
    pixels: int = 0

    def __post_init__(self) -> None:
        """Refuse limits under which no job could run.

        Raises:
            SettingsError: one is too low.
        """
        if min(self.seconds, self.memory_mb, self.output_mb) <= 0:
            message = f"limits must be above zero, got {self}"
            raise SettingsError(message)
        if min(self.fetches, self.artifacts, self.pages, self.pixels) < 0:
            message = f"limits that count something must be 0 or more, got {self}"
            raise SettingsError(message)

    def to_wire(self) -> dict[str, Any]:
        """As keyword arguments of `Limits`."""
        return dict(zip(NAMES, _VALUES(self), strict=True))

    def tightened(self, changes: Mapping[str, float], *, kind: str) -> Limits:
        """These limits with some of them lowered.

        Args:
            changes: new values by the limit's name.
            kind: name of the kind, for messages.

        Raises:
            SettingsError: there is no such limit, or the value is not a lower one.
        """
        for name, value in changes.items():
            if name not in NAMES:
                unknown = f"{kind}.{name}"
                raise _unknown(unknown, [f"{kind}.{known}" for known in NAMES])
            declared = getattr(self, name)
            unbounded = declared == 0 and name in _FREE_AT_ZERO
            if not unbounded and name in _FREE_AT_ZERO and int(value) == 0:
                message = (
                    f"OFFLOOP_LIMITS: {kind}.{name}={value:g} would mean no limit, and {declared:g} is declared; "
                    "limits can only be lowered. Say 1 or more, or leave it out."
                )
                raise SettingsError(message)
            if not unbounded and value > declared:
                message = (
                    f"OFFLOOP_LIMITS: {kind}.{name}={value:g} is above the declared {declared:g}; limits can only be "
                    "lowered. Leave it out, or change the declaration."
                )
                raise SettingsError(message)
        typed: dict[str, Any] = {name: value if name == "seconds" else int(value) for name, value in changes.items()}
        return replace(self, **typed)

    def check_total(self, kind: str, total: int) -> None:
        """Refuse a total size of output files above ``output_mb``.

        Raises:
            LimitExceeded: `total`, in bytes, is above.
        """
        if total > self.output_mb << 20:
            message = (
                f"The files that {kind} made have more than {self.output_mb} MiB together (output_mb): ask for less, "
                "or split the work over several jobs."
            )
            raise LimitExceeded(message)

    def check_fetches(self, kind: str, count: int) -> None:
        """Refuse more fetched URLs than ``fetches``.

        Raises:
            LimitExceeded: `count` is above.
        """
        if count > self.fetches:
            message = (
                f"{kind} may have {self.fetches} URLs fetched (fetches), and needs more: name fewer URLs, or send the "
                "files themselves."
            )
            raise LimitExceeded(message)

    def check_artifacts(self, kind: str, count: int) -> None:
        """Refuse more output files than ``artifacts``.

        Raises:
            LimitExceeded: `count` is above.
        """
        if count > self.artifacts:
            message = (
                f"{kind} made more than {self.artifacts} files, the most that one answer may have (artifacts): ask for "
                "fewer, or split the work over several jobs."
            )
            raise LimitExceeded(message)


NAMES = tuple(field.name for field in fields(Limits))
_VALUES = attrgetter(*NAMES)
_FREE_AT_ZERO = frozenset({"pages", "pixels"})


def parse(text: str) -> dict[str, dict[str, float]]:
    """Parse comma-separated ``kind.limit=value`` pairs into values by kind and limit.

    Raises:
        ValueError: an entry has another form; the message names it.
    """
    found: dict[str, dict[str, float]] = {}
    for entry in filter(None, (entry.strip() for entry in text.split(","))):
        target, equals, value = entry.partition("=")
        kind, dot, name = target.strip().partition(".")
        try:
            number = float(value)
        except ValueError:
            number = -1
        if not (equals and dot and kind and name and 0 <= number < 1e15):  # noqa: PLR2004 -- neither inf nor nan
            message = f"{entry[:100]!r} is not kind.limit=number, such as render_pdf.seconds=30"
            raise ValueError(message)
        if name in found.setdefault(kind, {}):
            message = f"{target.strip()!r} is given twice"
            raise ValueError(message)
        found[kind][name] = number
    return found


def check_kinds(changes: Iterable[str], known: Iterable[str]) -> None:
    """Refuse changes for kinds that do not exist.

    Raises:
        SettingsError: a kind does not exist; the message suggests another.
    """
    names = list(known)
    for kind in changes:
        if kind not in names:
            raise _unknown(kind, names)


def _unknown(name: str, known: list[str]) -> SettingsError:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(known))}."
    return SettingsError(f"OFFLOOP_LIMITS: there is no {name!r}; {hint}")
