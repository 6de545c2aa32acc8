"""Filter for raw HTML inside Markdown: allowlists of elements that structure text, of attributes and of CSS."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser

import tinycss2  # type: ignore[import-untyped]

_TEXT = (
    "abbr b bdi bdo big br cite code del dfn em font hr i ins kbd mark nobr q rp rt ruby s samp small strike strong "
    "sub sup time tt u var wbr"
)
_BLOCKS = (
    "address article aside blockquote center dd details div dl dt figcaption figure footer h1 h2 h3 h4 h5 h6 header li "
    "main nav ol p picture pre section source span summary ul"
)
_TABLES = "caption col colgroup table tbody td tfoot th thead tr"
_VOID = frozenset({"br", "col", "hr", "img", "source", "wbr"})
KEPT = frozenset(f"{_TEXT} {_BLOCKS} {_TABLES} a img".split())
_ATTRIBUTES = (
    "align alt bgcolor border cellpadding cellspacing class clear color colspan compact dir face frame height href "
    "hspace id lang media name nowrap open reversed rowspan rules scope sizes size span src srcset start style summary "
    "title type valign value vspace width"
)
ATTRIBUTES = frozenset(_ATTRIBUTES.split())
# Elements and attributes without meaning on paper, dropped without a warning.
_SILENT = frozenset({"!--"})
_NO_PAPER = re.compile(
    "aria-.*|cite|crossorigin|datetime|decoding|draggable|fetchpriority|headers|itemprop|itemscope|itemtype|loading|"
    "data-.*|markdown|on.*|referrerpolicy|rel|role|tabindex|target|translate|xmlns(:.*)?|xml:.*"
)
_WITH_CONTENT = frozenset({"iframe", "noembed", "noframes", "script", "style", "template", "textarea", "title", "xmp"})
# Properties that style an element where it stands. Those that place it elsewhere, above other text, are left out.
_PROPERTIES = re.compile(
    "--.*|(background|border|break|column|flex|font|grid|list-style|margin|object|outline|padding|page-break|text)(-.*)?|"
    "((max|min)-)?((block|inline)-size|height|width)|((column|row)-)?gap|(align|justify|place)-(content|items|self)|"
    "aspect-ratio|bookmark-.*|box-(decoration-break|shadow|sizing)|caption-side|clear|color|columns|counter-.*|"
    "direction|display|empty-cells|float|hyphens|hyphenate-.*|image-.*|letter-spacing|line-height|opacity|order|orphans|"
    "overflow-wrap|page|quotes|tab-size|table-layout|transform(-.*)?|unicode-bidi|vertical-align|visibility|white-space|"
    "widows|word-.*"
)


class Filter(HTMLParser):
    """Filter for the pieces of raw HTML in one document.

    The Markdown parser passes raw HTML in pieces, often of a single tag, so elements may open in one piece and close in
    another.

    Attributes:
        dropped: what was removed, such as ``<font>``, ``onclick=`` and ``position:``, and how often.
    """

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.dropped: Counter[str] = Counter()
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
            kept = "".join(f' {name}="{html.escape(value)}"' for name, value in self._allowed(attrs))
            self._out.append(f"<{tag}{kept}>")
            return
        if tag not in _SILENT:
            self.dropped[f"<{tag}>"] += 1
        if tag in _WITH_CONTENT:
            self._inside = tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Treat ``<br/>`` as ``<br>``, and ``<a name="x"/>`` as empty, as its author means, not as an open element."""
        self.handle_starttag(tag, attrs)
        if tag in KEPT - _VOID:
            self.handle_endtag(tag)
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

    def _allowed(self, attrs: list[tuple[str, str | None]]) -> Iterator[tuple[str, str]]:
        for name, value in attrs:
            if name == "style":
                yield name, self._allowed_css(value or "")
            elif name in ATTRIBUTES:
                yield name, value or ""
            elif not _NO_PAPER.fullmatch(name):
                self.dropped[f"{name}="] += 1

    def _allowed_css(self, css: str) -> str:
        kept = []
        for item in tinycss2.parse_blocks_contents(css, skip_comments=True, skip_whitespace=True):
            if item.type == "declaration" and _PROPERTIES.fullmatch(item.lower_name):
                important = " !important" if item.important else ""
                kept.append(f"{item.name}: {tinycss2.serialize(item.value).strip()}{important}")
            else:
                self.dropped[f"{item.lower_name}:" if item.type == "declaration" else "malformed CSS"] += 1
        return "; ".join(kept)

    def _text(self, text: str) -> None:
        if not self._inside:
            self._out.append(text)
