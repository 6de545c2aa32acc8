"""WeasyPrint's log: its warnings go to the caller, its steps become progress."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from offloop.kinds.context import Context
from offloop_workers.pdf.rendering import missing_glyphs
from offloop_workers.pdf.rendering.fetcher import BASE, Refused

_PROPERTY = re.compile(r"(?:Ignored|Deprecated) `\s*([\w-]+)\s*:")
_GLYPH = re.compile(r"\.notdef glyph .*\(U\+([0-9A-F]+)\)", re.DOTALL)
_PAGE = re.compile(r"Creating layout - Page (\d+)")
_RUN = "Repagination"
_TWICE = re.compile(r"Anchor defined twice: '(.*)'", re.DOTALL)
_POSITION = re.compile(r" at \d+:\d+")
# Messages about WeasyPrint's own internals, which a caller cannot act on. A style sheet that is text has no charset.
_INTERNAL = (
    "Unknown empty rule <AtRule @charset",
    "Unable to subset",
    "Too many glyphs",
    "Unknown bitmap",
    "Unable to save emoji",
    "Error when closing",
)
_MAX_NAMED = 20
_MAX_OTHERS = 20
_MAX_GLYPHS = 2_000


class RendererLog(logging.Handler):
    """Log handler of one rendering, which condenses thousands of records into a few warnings.

    Args:
        on_page: called with the number of each page whose layout begins.
        on_run: called where the pages are looked at again.
    """

    def __init__(self, on_page: Callable[[int], None], on_run: Callable[[], None]) -> None:
        super().__init__(logging.INFO)
        self._on_page = on_page
        self._on_run = on_run
        self._properties: Counter[str] = Counter()
        self._glyphs: dict[int, None] = {}
        self._twice: dict[str, None] = {}
        self._others: dict[str, None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Classify one record; nothing is written."""
        text = record.getMessage()
        if record.levelno < logging.WARNING:
            if page := _PAGE.search(text):
                self._on_page(int(page[1]))
            elif _RUN in text:
                self._on_run()
        elif found := _GLYPH.match(text):
            if len(self._glyphs) < _MAX_GLYPHS:
                self._glyphs[int(found[1], 16)] = None
        elif found := _TWICE.match(text):
            self._twice[found[1]] = None
        elif found := _PROPERTY.match(text):
            self._properties[found[1]] += 1
        # The fetcher has already warned of the resources it refused.
        elif Refused.__name__ not in text and not text.startswith(_INTERNAL) and len(self._others) <= _MAX_OTHERS:
            self._others[_POSITION.sub("", text.replace(BASE, ""))] = None

    def report(self, context: Context, applied: re.Pattern[str] | None = None) -> None:
        """Pass the collected warnings to the caller.

        Args:
            context: takes them.
            applied: properties that were applied although the renderer does not know them.
        """
        for sentence in missing_glyphs.missing(self._glyphs):
            context.warn(sentence)
        for name in [name for name in self._properties if applied and applied.fullmatch(name)]:
            del self._properties[name]
        if self._properties:
            names = [f"{name} ({count}x)" if count > 1 else name for name, count in self._properties.most_common()]
            context.warn(f"CSS that the renderer does not know or cannot use was ignored: {_some(names)}.")
        if self._twice:
            context.warn(
                f"Names (id, name) that several elements have, so that links go to the first: {_some([*self._twice])}."
            )
        for text in list(self._others)[:_MAX_OTHERS]:
            context.warn(text)

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Receive the records of WeasyPrint's loggers, in place of any other handler."""
        loggers = [logging.getLogger(name) for name in ("weasyprint", "weasyprint.progress")]
        before = [(logger.level, logger.propagate) for logger in loggers]
        for logger in loggers:
            logger.addHandler(self)
            logger.propagate = False
        loggers[0].setLevel(logging.WARNING)
        loggers[1].setLevel(logging.INFO)
        try:
            yield
        finally:
            for logger, (level, propagate) in zip(loggers, before, strict=True):
                logger.removeHandler(self)
                logger.setLevel(level)
                logger.propagate = propagate


def _some(names: list[str]) -> str:
    listed = ", ".join(names[:_MAX_NAMED])
    return f"{listed} and more" if len(names) > _MAX_NAMED else listed
