"""A document and WeasyPrint's steps from its styles to its pages, watched.

This module alone calls private parts of WeasyPrint: boxes are flattened between the styles and the boxes, and only a
caller of the steps sees the box tree and the positions of the page breaks. A test compares the files with those of
WeasyPrint's own `render`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import weasyprint
from weasyprint.css.counters import CounterStyle
from weasyprint.document import DocumentMetadata, get_html_metadata
from weasyprint.formatting_structure.build import build_formatting_structure
from weasyprint.layout import layout_document
from weasyprint.pdf import VARIANTS
from weasyprint.text.fonts import FontConfiguration

from offloop.jobs.pdf import Layout
from offloop_workers.pdf.rendering.layout import drawings
from offloop_workers.pdf.rendering.layout.box_flattening import flatten
from offloop_workers.pdf.rendering.layout.contents import Contents, Missing


class Watch(Protocol):
    """Receiver of the steps of a layout."""

    def styles(self) -> None:
        """The styles are computed from here on."""

    def boxes(self) -> None:
        """The boxes are built from here on."""

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
        missing: contents that the pages do not show.
        undrawn: parts of drawings that are left out, by name; None for a document without drawings.
        linked: returns the text of a linked style sheet, or ``""``.
    """

    layout: Layout = "as_is"
    flattened: int = 0
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
        pages: list[_Page] = []
        boxes: list[Any] = []
        for box in layout_document(self, root, context):
            boxes.append(box)
            pages.append(_Page(box, watch))
            watch.finished(len(pages), len(context.page_maker) - 1)
        self.missing = contents.missing(boxes)
        metadata = DocumentMetadata(**get_html_metadata(self))
        document = weasyprint.Document(pages, metadata, self.url_fetcher, fonts, profiles, options["output_intent"])
        document._html = self  # noqa: SLF001 -- the tags are made of it
        return document

    def _sheets(self) -> Iterator[str]:
        """The text of the document's style sheets."""
        for element in self.etree_element.iter():
            if element.tag == "style":
                yield element.text or ""
            elif element.tag == "link" and "stylesheet" in (element.get("rel") or "").lower().split():
                yield self.linked(element.get("href") or "")


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
