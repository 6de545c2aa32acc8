"""Progress of a rendering: moves twice a second whatever is computed, and tells what is left once it is known.

The unit is the layout of a page. A timer reports what was noted last, so that a page costs next to nothing, and a job
of less than half a second sends nothing. Neither does a fetch: the timer's signal does not end the wait for its answer.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from offloop.jobs.pdf import render_pdf
from offloop.kinds.context import Context
from offloop_workers.pdf.rendering.layout.extent import Extent
from offloop_workers.pdf.rendering.layout.forecast import Forecast, Point, Rest
from offloop_workers.pdf.rendering.layout.ticks import every

SECONDS: Final = 0.5
"""Between two reports, and before the first."""

LOOK_AFTER: Final = 2.0
"""Seconds after which what is left is estimated: measuring the boxes takes up to half a percent of such a document."""

_STEP: Final = 0.25
"""Each of the three steps before the first page, in layouts of a page; the first page has the rest."""
_HEADERS: Final = 0.05
_DRAWING: Final = 0.15
_WRITING: Final = 0.05
_STATM: Final = Path("/proc/self/statm")


def address_space() -> int:
    """Bytes of address space of this process, which the memory limit of a job counts; 0 where the system hides it."""
    try:
        return int(_STATM.read_bytes().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


class Progress:
    """Progress and forecast of one rendering; the `Watch` of its layout.

    Args:
        context: takes the progress, and has the limits.
        clock: seconds.
        space: bytes of memory.
    """

    def __init__(
        self,
        context: Context,
        clock: Callable[[], float] = time.perf_counter,
        space: Callable[[], int] = address_space,
    ) -> None:
        self._context = context
        self._clock = clock
        self._space = space
        self._began = self._reported = self._looked = clock()
        self._free = space()
        self._ticks = self._reporting = self._has_reported = False
        self._total: float | None = None
        # Replaced as a whole, since a tick may come at any time: done, room for the step, its begin, its message.
        self._step: tuple[float, float, float, Callable[[], str]] = (0.0, _STEP, self._began, str)
        self._layouts = self._runs = self._pages = self._drawn = 0
        self._tree: tuple[Any, Any] | None = None
        self._extent: Extent | None = None
        self._forecast: Forecast | None = None

    @contextmanager
    def reported(self) -> Iterator[None]:
        """Report twice a second until the block ends, and that all is done if anything was reported before."""
        self._note(0.0, _STEP, lambda: "reading the document")
        with every(SECONDS, self._report) as self._ticks:
            yield
        if self._has_reported and self._total is not None:
            self._context.progress(self._total, self._total, "done")

    def styles(self) -> None:
        """The styles are computed from here on."""
        self._note(_STEP, _STEP, lambda: "applying the styles")

    def boxes(self) -> None:
        """The boxes are built from here on."""
        self._note(2 * _STEP, _STEP, lambda: "building the boxes")

    def begin(self, root: Any, breaks: Any) -> None:
        """The pages are laid out from here on."""
        self._tree = root, breaks
        if self._clock() - self._began >= LOOK_AFTER:
            self._look(0)

    def again(self) -> None:
        """All pages are looked at again, since page numbers that the text has, or what depends on them, changed."""
        self._runs += 1

    def page(self, number: int) -> None:
        """The layout of a page begins.

        Raises:
            LimitExceeded: the document will exceed a limit.
        """
        done = self._layouts or 3 * _STEP
        self._layouts += 1
        self._pages = max(self._pages, number)
        if self._runs:
            self._note(done, 1, lambda: f"laying out page {number} of {self._pages} again, as its page numbers changed")
            return
        self._note(done, 1 if number > 1 else _STEP, lambda: f"laying out page {number}{_words(self._rest)}")
        if number > 1 and self._clock() - self._looked >= (SECONDS if self._forecast else LOOK_AFTER):
            self._look(number - 1)

    def finished(self, page: int, pages: int) -> None:
        """A page, of so many, has its headers and footers."""
        self._pages = pages
        self._total = self._layouts + (_HEADERS + _DRAWING + _WRITING) * pages
        text = f"headers and footers of page {page + 1} of {pages}" if page < pages else f"drawing page 1 of {pages}"
        self._note(self._layouts + _HEADERS * page, _HEADERS, lambda: text)

    def painted(self) -> None:
        """A page was drawn."""
        self._drawn += 1
        done = self._layouts + _HEADERS * self._pages + _DRAWING * self._drawn
        if self._drawn < self._pages:
            self._note(done, _DRAWING, lambda: f"drawing page {self._drawn + 1} of {self._pages}")
        else:
            self._note(done, _WRITING * self._pages, lambda: "embedding fonts and pictures")

    @property
    def _rest(self) -> Rest | None:
        return self._forecast.rest if self._forecast else None

    def _look(self, pages: int) -> None:
        """Infer from the position of a page break, the number of pages before it given, what is left."""
        if self._tree is None:
            return
        root, breaks = self._tree
        if self._extent is None or self._forecast is None:
            self._extent = Extent(root)
            self._forecast = Forecast(render_pdf.name, self._context.limits, self._extent.total)
        now = self._looked = self._clock()
        extent = self._extent.before(breaks.page_maker[pages][0]) if pages else 0.0
        self._forecast.add(Point(pages, extent, now - self._began, max(0, self._space() - self._free)))

    def _note(self, done: float, room: float, message: Callable[[], str]) -> None:
        self._step = done, room, self._clock(), message
        if not self._ticks and self._step[2] - self._reported >= SECONDS:
            self._report()

    def _report(self) -> None:
        """Send the latest step; the longer it lasts, the more of its room counts as done."""
        if self._reporting:  # this tick came while one was being sent
            return
        self._reporting = True
        try:
            done, room, began, message = self._step
            self._reported = self._clock()
            lasted = self._reported - began
            self._context.progress(round(done + room * lasted / (lasted + 1), 6), self._total, message())
            self._has_reported = True
        finally:
            self._reporting = False


def _words(rest: Rest | None) -> str:
    if rest is None:
        return ""
    return f", {rest.pace:.2g} pages/s; about {_round(rest.pages)} pages, {_round(rest.seconds)} s left (estimated)"


def _round(number: float) -> str:
    """A number with two significant digits."""
    return f"{float(f'{number:.2g}'):,.0f}"
