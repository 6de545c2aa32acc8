"""The walk over a page's tree: blocks one after the other, each with its run of inline content."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from offloop_server.io.http.readable.addresses import Addresses
from offloop_server.io.http.readable.inline import Inline
from offloop_server.io.http.readable.notes import Notes
from offloop_server.io.http.readable.tree import CData, Element, Node, Text, seen_children

MAX_INDENTED: Final = 24
"""Lists and quotes in one another that are indented; each writes the lines of all within it again."""
MAX_DEPTH: Final = 600
"""Elements in one another: the parser of HTML ends at 512, that of XML does not."""
_DISPLAY_NONE: Final = re.compile(
    r"(?:^|[;\s])(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|content-visibility\s*:\s*hidden)",
    re.IGNORECASE,
)
_DISPLAY_BLOCK: Final = re.compile(
    r"(?:^|[;\s])display\s*:\s*(?:block|flex|grid|table|list-item|flow-root)", re.IGNORECASE
)
RAISED: Final = re.compile(r"(?:^|[;\s])vertical-align\s*:\s*(super|sub)\b", re.IGNORECASE)
_PRE: Final = re.compile(r"(?:^|[;\s])white-space(?:-collapse)?\s*:\s*(?:pre|break-spaces)", re.IGNORECASE)

Kind = Literal["text", "list", "other"]
Attributes = Mapping[str, str | list[str] | None]


@dataclass(frozen=True, slots=True)
class Block:
    """A block of the answer.

    Attributes:
        text: its lines.
        kind: a list follows directly on a text that is no paragraph, as in an item.
        loose: whether it asks for an empty line around it.
    """

    text: str
    kind: Kind = "text"
    loose: bool = False


@dataclass(slots=True)
class Setting:
    """One conversion: what all its walks share.

    Attributes:
        markdown: or else plain text.
        handlers: what writes an element, by its name.
        addresses: resolves links.
        notes: what is left out.
        scripts: whether a script was seen.
        explained: abbreviations whose meaning was given.
        forms: how many there were.
        inner: whether a page inside of the page is being read.
    """

    markdown: bool
    handlers: Mapping[str, Callable[[Walk, Element], None]]
    addresses: Addresses
    notes: Notes = field(default_factory=Notes)
    scripts: bool = False
    explained: set[str] = field(default_factory=set)
    forms: int = 0
    inner: bool = False


class Walk:
    """Writes one flow of blocks: a page, an item, a quote or a cell.

    Args:
        setting: of the conversion.
        cell: whether it is a cell of a table, where each block is a line.
        indented: lists and quotes around it.
        depth: elements around it.
    """

    def __init__(self, setting: Setting, *, cell: bool = False, indented: int = 0, depth: int = 0) -> None:
        self.setting = setting
        self.cell = cell
        self.indented = indented
        self.inline = Inline(markdown=setting.markdown)
        self._blocks: list[Block] = []
        self._depth = depth
        self._kept = 0

    @property
    def markdown(self) -> bool:
        """Whether Markdown is written."""
        return self.setting.markdown

    @property
    def notes(self) -> Notes:
        """Notes of the conversion."""
        return self.setting.notes

    def within(self, *, cell: bool = False, indented: bool = False) -> Walk:
        """A walk for something inside."""
        inner = Walk(self.setting, cell=cell or self.cell, indented=self.indented + indented, depth=self._depth)
        for mark in self.inline.lend():
            inner.inline.open(mark)
        return inner

    def flush(self, *, loose: bool = False) -> None:
        """End the block of inline content."""
        if text := self.inline.take():
            self._blocks.append(Block(text, "text", loose))

    def add(self, text: str, kind: Kind = "other", *, loose: bool = False) -> None:
        """Add a whole block."""
        self.flush()
        if text:
            self._blocks.append(Block(text, kind, loose))

    def blocks(self) -> list[Block]:
        """The blocks so far."""
        self.flush()
        return self._blocks

    def children(self, element: Node) -> None:
        """Write what is in an element."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self.inline.text(element.text)
            self.notes.say(f"Elements more than {MAX_DEPTH} deep are read as their text.")
        else:
            for node in seen_children(element):
                self.node(node)
        self._depth -= 1

    def node(self, node: Node) -> None:
        """Write a node."""
        kind = type(node)
        if kind is Text or kind is CData:
            self._text(node.data)  # type: ignore[attr-defined]  # both have it
        elif isinstance(node, Element):
            self._element(node)

    def shows(self, element: Element) -> bool:
        """Whether an element is seen; text of one that is not counts as left out."""
        attributes = element.attrs
        if not len(attributes) or not is_hidden(attributes):
            return True
        if not _pictured(element):
            self.notes.leave_out("characters that the page hides", len(element.text.strip()))
        return False

    def _element(self, element: Element) -> None:
        tag = element.tag
        handler = self.setting.handlers.get(tag.rpartition(":")[2])
        if handler is nothing:
            return
        if not self.shows(element):
            if formula := _pictured(element):
                self._element(formula)
            return
        write = handler or Walk.children
        style = element.attr("style")
        if not style:
            write(self, element)
            return
        if handler is None and (raised := RAISED.search(style)):
            write = self.setting.handlers["sup" if raised[1].lower() == "super" else "sub"]
        kept, block = bool(_PRE.search(style)), is_block(style)
        self._kept += kept
        if block:
            self.flush()
        write(self, element)
        if block:
            self.flush()
        self._kept -= kept

    def _text(self, data: str) -> None:
        if not self._kept:
            self.inline.text(data)
            return
        for number, line in enumerate(data.split("\n")):
            if number:
                self.inline.line_break()
            self.inline.text(line)


def nothing(_walk: Walk, _element: Element) -> None:
    """Write nothing for an element that is never seen."""


def is_hidden(attributes: Attributes) -> bool:
    """Whether attributes hide their element."""
    if "hidden" in attributes and attributes["hidden"] != "until-found":
        return True
    if "popover" in attributes or attributes.get("aria-hidden") == "true":
        return True
    style = attributes.get("style")
    return isinstance(style, str) and bool(_DISPLAY_NONE.search(style))


def _pictured(element: Element) -> Element | None:
    """The formula that a hidden element has and nothing else, as beside a picture of it."""
    inner = [node for node in element.children if isinstance(node, Element)]
    return inner[0] if len(inner) == 1 and inner[0].tag == "math" else None


def is_block(style: str) -> bool:
    """Whether a style makes its element a block."""
    return bool(_DISPLAY_BLOCK.search(style))


def joined(blocks: list[Block], *, cell: bool, tight: bool = False) -> str:
    """Blocks as one text: a cell has a line for each, anything else empty lines between them."""
    if cell:
        return "\n".join(block.text for block in blocks)
    pieces: list[str] = []
    before: Block | None = None
    for block in blocks:
        if before:
            follows = tight and block.kind == "list" and before.kind == "text" and not before.loose
            pieces.append("\n" if follows and block.text.startswith(("- ", "1. ")) else "\n\n")
        pieces.append(block.text)
        before = block
    return "".join(pieces)


def indented(text: str, first: str, rest: str) -> str:
    """Lines with something before the first, and something before each other that is not empty."""
    return first + text.replace("\n", "\n" + rest).replace(f"\n{rest}\n", f"\n{rest.rstrip()}\n")
