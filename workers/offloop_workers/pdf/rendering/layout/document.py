"""A document and WeasyPrint's steps from its styles to its pages, watched.

This module alone calls private parts of WeasyPrint: boxes are flattened between the styles and the boxes, and only a
caller of the steps sees the box tree and the positions of the page breaks. A test compares the files with those of
WeasyPrint's own `render`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

import weasyprint
from weasyprint.css.counters import CounterStyle
from weasyprint.css.targets import TargetCollector
from weasyprint.document import DocumentMetadata, get_html_metadata
from weasyprint.formatting_structure.build import build_formatting_structure
from weasyprint.layout import LayoutContext, layout_document
from weasyprint.pdf import VARIANTS
from weasyprint.text.fonts import FontConfiguration

from offloop.errors import OffloopError
from offloop.jobs.pdf import Layout
from offloop_workers.pdf.rendering.layout import drawings
from offloop_workers.pdf.rendering.layout.box_flattening import flatten
from offloop_workers.pdf.rendering.layout.contents import Contents, Missing
from offloop_workers.pdf.rendering.layout.flex_repair import around, repair, rows_over_pages, straighten

_MAX_REPAIRS: Final = 2


class Watch(Protocol):
    """Receiver of the steps of a layout."""

    def styles(self) -> None:
        """The styles are computed from here on."""

    def boxes(self) -> None:
        """The boxes are built from here on."""

    def again(self) -> None:
        """The boxes are built once more, and all pages are laid out anew."""

    def begin(self, root: Any, breaks: Any) -> None:
        """The pages are laid out from here on.

        Args:
            root: the root of the box tree.
            breaks: has the attribute ``page_maker``, a list that has for each page the position at which it begins.
        """

    def finished(self, page: int, pages: int) -> None:
        """A page, of so many, has its headers and footers."""

    def painted(self) -> None:
        """A page was drawn."""


class Html(weasyprint.HTML):  # type: ignore[misc]  # WeasyPrint ships no types
    """A document whose boxes are flattened between the computation of styles and the layout.

    Attributes:
        layout: which boxes to flatten.
        flattened: number of boxes that became blocks.
        repaired: number of flex boxes that were laid out again as grids or blocks.
        broken: number of flex rows over several pages that stayed as they are.
        missing: contents that the pages do not show.
        undrawn: parts of drawings that are left out, by name; None for a document without drawings.
        linked: returns the text of a linked style sheet, or ``""``.
    """

    layout: Layout = "as_is"
    flattened: int = 0
    repaired: int = 0
    broken: int = 0
    missing: Missing = Missing()
    undrawn: Mapping[str, int] | None = None
    linked: Callable[[str], str] = str

    def lay_out(self, watch: Watch, fonts: FontConfiguration, **options: Any) -> weasyprint.Document:
        """Lay the document out.

        Args:
            watch: receives the steps.
            fonts: the fonts of this document alone.
            options: those of `weasyprint.HTML.render`.
        """
        options = _complete(options)
        counters, profiles = CounterStyle(), {}  # type: tuple[CounterStyle, dict[str, Any]]
        watch.styles()
        context = weasyprint.Document._build_layout_context(self, fonts, counters, profiles, options)  # noqa: SLF001 -- see the module
        self.undrawn = drawings.settle(self.etree_element, context.style_for, self._sheets())
        self.flattened = flatten(self.etree_element, context.style_for, self.layout)
        if self.layout != "as_is":
            straighten(self.etree_element, context.style_for.get_computed_styles())
        boxes = self._repaired(self._pages(watch, context, counters), watch, context, counters)
        pages = []
        for box in boxes:
            pages.append(_Page(box, watch))
            watch.finished(len(pages), len(boxes))
        metadata = DocumentMetadata(**get_html_metadata(self))
        document = weasyprint.Document(pages, metadata, self.url_fetcher, fonts, profiles, options["output_intent"])
        document._html = self  # noqa: SLF001 -- the tags are made of it
        return document

    def _pages(self, watch: Watch, context: Any, counters: CounterStyle) -> list[Any]:
        """The boxes of the pages, from the styles of a context."""
        watch.boxes()
        root = build_formatting_structure(
            self.etree_element,
            context.style_for,
            context.get_image_from_uri,
            self.base_url,
            context.target_collector,
            counters,
            context.footnotes,
        )
        contents = Contents(root)
        watch.begin(root, context)
        boxes = list(layout_document(self, root, context))
        self.missing = contents.missing(boxes)
        self._root, self._has_flex = root, contents.has_flex
        return boxes

    def _repaired(self, boxes: list[Any], watch: Watch, context: Any, counters: CounterStyle) -> list[Any]:
        """The boxes of the pages after another layout without flex boxes that were broken badly, if it is better."""
        for _ in range(_MAX_REPAIRS if self.layout == "auto" else 0):
            root, before = self._root, self.missing
            if not self._has_flex:
                break
            lost = around(root, set(before.numbers))
            found = repair(boxes, context.page_maker, lost, context.style_for.get_computed_styles())
            if not found:
                break
            watch.again()
            context = _again(context)
            try:
                again = self._pages(watch, context, counters)
            except (OffloopError, MemoryError, RecursionError):
                raise
            except Exception:  # noqa: BLE001 -- the first layout stands, whatever the renderer makes of another one
                again = []
            if not again or (self.missing.extent, len(again)) > (before.extent, len(boxes)):
                self.missing = before
                break
            boxes, self.repaired = again, self.repaired + found
        self.broken = rows_over_pages(boxes) if self._has_flex else 0
        return boxes

    def _sheets(self) -> Iterator[str]:
        """The text of the document's style sheets."""
        for element in self.etree_element.iter():
            if not drawings.is_for_paper(element.get("media") or ""):
                continue
            if element.tag == "style":
                yield element.text or ""
            elif element.tag == "link" and "stylesheet" in (element.get("rel") or "").lower().split():
                yield self.linked(element.get("href") or "")


def _again(context: Any) -> Any:
    """A context for another layout with the same styles."""
    targets = TargetCollector()
    for name in context.target_collector.target_lookup_items:
        targets.collect_anchor(name)
    return LayoutContext(
        context.style_for, context.get_image_from_uri, context.font_config, context.counter_style, targets
    )


class _Page(weasyprint.Page):  # type: ignore[misc]  # WeasyPrint ships no types
    """A page that tells when it was drawn."""

    def __init__(self, box: Any, watch: Watch) -> None:
        super().__init__(box)
        self._watch = watch

    def paint(self, stream: Any, scale: float = 1) -> None:
        """Draw the page."""
        super().paint(stream, scale)
        self._watch.painted()


def _complete(options: dict[str, Any]) -> dict[str, Any]:
    """The options with WeasyPrint's defaults, and those that the standard of the file implies."""
    complete = {**weasyprint.DEFAULT_OPTIONS, **options}
    if variant := complete["pdf_variant"]:
        _, implied = VARIANTS[variant]
        complete |= {name: implied[name] for name, value in complete.items() if value is None and name in implied}
    return complete
