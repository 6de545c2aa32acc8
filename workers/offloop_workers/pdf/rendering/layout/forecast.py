"""Forecast of a layout: what is left, and the early end of a document that cannot fit its limits.

A document is ended only if it would exceed a limit although the rest of it took a fraction of what the cheapest content
takes: a third of the average so far, and never more than the constants below. They were measured: decision note 9.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from offloop.errors import LimitExceeded
from offloop.kinds.limits import Limits

MIN_PAGES: Final = 8
"""Pages from which the rest is inferred."""

_SURE: Final = 1 / 3
_LEAST_SECONDS: Final = 0.35e-6
_LEAST_BYTES: Final = 8.0
_LEAST_USED: Final = 0.1
_FINISHING: Final = 0.3
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Point:
    """The state of a layout where a page begins.

    Attributes:
        pages: number of pages before it.
        extent: the extent of what lies before it.
        seconds: since the job began.
        memory: bytes that the job has taken since it began.
    """

    pages: int
    extent: float
    seconds: float
    memory: int


@dataclass(frozen=True, slots=True)
class Rest:
    """Estimate of what is left, at the average pace so far.

    Attributes:
        pages: pages of the whole document.
        seconds: until the file is written.
        pace: pages a second.
    """

    pages: int
    seconds: float
    pace: float


class Forecast:
    """Forecast of one layout.

    Args:
        kind: name of the kind, for messages.
        limits: of the attempt.
        total: the extent of the document.
    """

    def __init__(self, kind: str, limits: Limits, total: float) -> None:
        self._kind = kind
        self._limits = limits
        self._total = total
        self._first: Point | None = None
        self._last = Point(0, 0.0, 0.0, 0)

    def add(self, point: Point) -> None:
        """Take a page break into account, or the begin of the layout.

        Raises:
            LimitExceeded: the document will exceed a limit, whatever the rest of it is.
        """
        # The first page is no base for the others: it includes the measuring of all columns of a table.
        if point.pages and self._first is None:
            self._first = point
        self._last = point
        first = self._first or point
        self._check("seconds", first.seconds, point.seconds, self._limits.seconds, _LEAST_SECONDS)
        # Later, what is left is small beside what is free in the memory taken: garbage, and gaps in the heap.
        if point.extent <= self._total / 2:
            most = self._limits.memory_mb * _MIB
            self._check("memory_mb", first.memory, point.memory, most, _LEAST_BYTES)

    @property
    def rest(self) -> Rest | None:
        """Estimate of what is left; None until `MIN_PAGES` pages were laid out."""
        first, last = self._first, self._last
        if first is None or not self._is_known:
            return None
        spent, made = last.seconds - first.seconds, last.pages - first.pages
        share = (self._total - last.extent) / (last.extent - first.extent)
        pages = max(round(last.pages + made * share), last.pages + 1)
        finishing = _FINISHING * spent / made * pages
        return Rest(pages, spent * share + finishing, made / spent)

    @property
    def _is_known(self) -> bool:
        first, last = self._first, self._last
        if first is None or last.pages - first.pages < MIN_PAGES:
            return False
        return first.extent < last.extent < self._total and last.seconds > first.seconds

    def _check(self, limit: str, first: float, used: float, most: float, least: float) -> None:
        rate = average = least * _SURE
        if self._is_known and self._first:
            average = max(0.0, used - first) / (self._last.extent - self._first.extent)
            rate = min(least, average * _SURE)
        left = max(0.0, self._total - self._last.extent)
        if used < _LEAST_USED * most or used + left * rate <= most:
            return
        spent, in_all = _amount(limit, used), _amount(limit, used + left * average)
        far = f"{self._last.pages:,} pages, {self._last.extent / self._total:.0%} of its content,"
        about = "about" if self._is_known else "at least"
        message = (
            f"{self._kind} was ended early, since the document does not fit {limit}, {_amount(limit, most)}: "
            f"{far if self._last.pages else 'its styles and boxes alone'} took {spent}, so that all of it would take "
            f"{about} {in_all} (estimated). Split it over several jobs, or send less."
        )
        raise LimitExceeded(message)


def _amount(limit: str, value: float) -> str:
    return f"{value:,.0f} seconds" if limit == "seconds" else f"{value / _MIB:,.0f} MiB"
