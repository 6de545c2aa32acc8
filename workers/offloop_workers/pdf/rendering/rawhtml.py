"""HTML inside Markdown: the few elements that only structure text stay, everything else goes."""

from __future__ import annotations

import html
from html.parser import HTMLParser

_TEXT = "b br code del em hr i ins kbd mark q s samp small strong sub sup u var wbr"
_BLOCKS = "blockquote center dd details div dl dt h1 h2 h3 h4 h5 h6 li ol p picture pre span summary ul"
_TABLES = "caption table tbody td tfoot th thead tr"
KEPT = frozenset(f"{_TEXT} {_BLOCKS} {_TABLES} a img".split())
_ATTRIBUTES = "align alt colspan height href id name open rowspan src title width"
ATTRIBUTES = frozenset(_ATTRIBUTES.split())
# Elements that are invisible or mean nothing on paper: gone without a word.
_SILENT = frozenset({"source", "!--"})
_WITH_CONTENT = frozenset({"iframe", "noembed", "noframes", "script", "style", "template", "textarea", "title", "xmp"})


class Filter(HTMLParser):
    """Cleans pieces of one document, and remembers which elements it dropped.

    A piece is what the Markdown parser took for raw HTML, often a single tag, so elements may open in one piece and
    close in another.
    """

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.dropped: set[str] = set()
        self._out: list[str] = []
        self._inside = ""  # the element whose content is dropped with it

    def clean(self, piece: str) -> str:
        """The piece without what may not stay."""
        self._out, self._inside = [], ""
        self.feed(piece)
        rest, self.rawdata = self.rawdata, ""  # an unfinished tag is text
        self._text(html.escape(rest))
        if self.cdata_elem:
            self.clear_cdata_mode()
        return "".join(self._out)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the tag with its harmless attributes, or drop it."""
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
        """``<br/>`` is ``<br>``; a dropped element that closes itself has no content to drop."""
        self.handle_starttag(tag, attrs)
        if self._inside == tag:
            self._inside = ""

    def handle_endtag(self, tag: str) -> None:
        """Close what was kept."""
        if self._inside:
            self._inside = "" if tag == self._inside else self._inside
        elif tag in KEPT:
            self._out.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        """Text stays text."""
        self._text(html.escape(data))

    def handle_entityref(self, name: str) -> None:
        """A named character stays."""
        self._text(f"&{name};")

    def handle_charref(self, name: str) -> None:
        """A numbered character stays."""
        self._text(f"&#{name};")

    def _text(self, text: str) -> None:
        if not self._inside:
            self._out.append(text)
