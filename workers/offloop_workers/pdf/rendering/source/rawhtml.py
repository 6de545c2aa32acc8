"""Filter for raw HTML inside Markdown: an allowlist of elements that structure text, and of their attributes."""

from __future__ import annotations

import html
from html.parser import HTMLParser

_TEXT = "b br code del em hr i ins kbd mark q s samp small strong sub sup u var wbr"
_BLOCKS = "blockquote center dd details div dl dt h1 h2 h3 h4 h5 h6 li ol p picture pre span summary ul"
_TABLES = "caption table tbody td tfoot th thead tr"
KEPT = frozenset(f"{_TEXT} {_BLOCKS} {_TABLES} a img".split())
_ATTRIBUTES = "align alt colspan height href id name open rowspan src title width"
ATTRIBUTES = frozenset(_ATTRIBUTES.split())
# Elements without meaning on paper, dropped without a warning.
_SILENT = frozenset({"source", "!--"})
_WITH_CONTENT = frozenset({"iframe", "noembed", "noframes", "script", "style", "template", "textarea", "title", "xmp"})


class Filter(HTMLParser):
    """Filter for the pieces of raw HTML in one document.

    The Markdown parser passes raw HTML in pieces, often of a single tag, so elements may open in one piece and close in
    another.

    Attributes:
        dropped: names of the elements that were removed.
    """

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.dropped: set[str] = set()
        self._out: list[str] = []
        self._inside = ""  # the element whose content is dropped with it

    def clean(self, piece: str) -> str:
        """The piece with the allowed elements only."""
        self._out, self._inside = [], ""
        self.feed(piece)
        rest, self.rawdata = self.rawdata, ""  # an incomplete tag counts as text
        self._text(html.escape(rest))
        if self.cdata_elem:
            self.clear_cdata_mode()
        return "".join(self._out)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the tag with its allowed attributes, or drop it."""
        if self._inside:
            return
        if tag in KEPT:
            kept = "".join(f' {name}="{html.escape(value or "")}"' for name, value in attrs if name in ATTRIBUTES)
            self._out.append(f"<{tag}{kept}>")
            return
        if tag not in _SILENT:
            self.dropped.add(tag)
        if tag in _WITH_CONTENT:
            self._inside = tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Treat ``<br/>`` as ``<br>``; a self-closing element has no content to drop."""
        self.handle_starttag(tag, attrs)
        if self._inside == tag:
            self._inside = ""

    def handle_endtag(self, tag: str) -> None:
        """Keep the end tag of an allowed element."""
        if self._inside:
            self._inside = "" if tag == self._inside else self._inside
        elif tag in KEPT:
            self._out.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        """Keep text, escaped."""
        self._text(html.escape(data))

    def handle_entityref(self, name: str) -> None:
        """Keep a named character reference."""
        self._text(f"&{name};")

    def handle_charref(self, name: str) -> None:
        """Keep a numeric character reference."""
        self._text(f"&#{name};")

    def parse_marked_section(self, i: int, report: bool = True) -> int:  # noqa: FBT001, FBT002 -- html.parser's signature
        """Drop a section up to its end, as browsers do; html.parser raises for an unknown keyword."""
        if self.rawdata.startswith("<![CDATA[", i):
            return super().parse_marked_section(i, report)
        return self.rawdata.find(">", i) + 1 or -1

    def _text(self, text: str) -> None:
        if not self._inside:
            self._out.append(text)
