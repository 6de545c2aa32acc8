"""Contents of a document before its layout and after it: words that no page shows, and pages that show nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from weasyprint.formatting_structure.boxes import FlexContainerBox, MarginBox, ReplacedBox, TableBox, TextBox

_AUTHOR: Final = 3
"""Precedence of declarations of the document itself in WeasyPrint's cascade; those below are defaults."""

_TINY: Final = 3.0
"""Pixels: a box that is cut off at this size has text for screen readers alone."""

_SLACK: Final = 2.0
_BLEED: Final = 40.0
_FAR: Final = 400.0
"""Pixels left of or above a page from which text was moved away on purpose."""

_EXCERPT: Final = 60

_MAX_LISTED: Final = 10
_ADVICE: Final = "set layout to print_safe, or change these boxes in css"

Area = tuple[float, float, float, float]


@dataclass(slots=True)
class Missing:
    """Contents of a document that its pages do not show.

    Attributes:
        lost: texts that are on no page.
        numbers: their numbers.
        cut: texts beyond the edge of a page, or cut off by a box, by page number.
        pictures: number of the page of each picture that is cut off at an edge.
        empty: numbers of the pages without contents; those that a break to a left or right page leaves do not count.
    """

    lost: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    cut: dict[int, list[str]] = field(default_factory=dict)
    pictures: list[int] = field(default_factory=list)
    empty: list[int] = field(default_factory=list)

    @property
    def extent(self) -> int:
        """The number of words and pages that miss something."""
        return _words(self.lost) + sum(map(_words, self.cut.values())) + len(self.pictures) + len(self.empty)

    def sentences(self) -> Iterator[str]:
        """Warnings for the caller."""
        if self.lost:
            yield (
                f"Words of the document that are on no page: {_words(self.lost)}, beginning with {_begin(self.lost)}. "
                f"The layout left them out, as flex boxes, fixed heights and elements that never break can: {_ADVICE}."
            )
        if self.cut:
            texts = [text for page in self.cut.values() for text in page]
            yield (
                f"Text beyond the edge of its page or box, cut off or hidden, on {_pages(list(self.cut))}: about "
                f"{_words(texts)} words, beginning with {_begin(texts)}. Use a smaller font or margin, landscape, or "
                "css that wraps lines and lets boxes grow."
            )
        if self.pictures:
            yield (
                f"Pictures that are cut off at the edge of their page: {len(self.pictures)}, on "
                f"{_pages(sorted(set(self.pictures)))}. Make them smaller in css, such as with max-height: 100vh."
            )
        if self.empty:
            yield (
                f"Empty: {_pages(self.empty)}. Look for page breaks that follow each other, or for boxes that do not "
                f"fit a page: {_ADVICE}."
            )


class Contents:
    """The texts of a box tree, numbered before the layout, which copies the numbers to the boxes of the pages.

    Args:
        root: the root of the box tree; table footers that stand in the document only by default become its last rows.

    Attributes:
        has_flex: there are flex boxes.
    """

    def __init__(self, root: Any) -> None:
        self.has_flex = False
        self._texts: list[str] = []
        boxes = [root]
        while boxes:
            box = boxes.pop()
            if isinstance(box, TextBox):
                self._number(box)
            elif children := getattr(box, "children", None):
                if isinstance(box, TableBox):
                    _show_footer_once(box)
                elif isinstance(box, FlexContainerBox):
                    self.has_flex = True
                boxes.extend(reversed(children))

    def missing(self, pages: list[Any]) -> Missing:
        """The texts that are missing from the pages, given as boxes, and the pages that are empty."""
        found, seen = Missing(), [0] * len(self._texts)
        for number, page in enumerate(pages, 1):
            if not self._see(page, number, seen, found) and not page.page_type.blank and not _is_decorated(page):
                found.empty.append(number)
        for number, (text, characters) in enumerate(zip(self._texts, seen, strict=True)):
            left = _weight(text) - characters
            # A soft hyphen, or a space that is no white space of Python, may go at the end of a line.
            if characters == 0 or left > len(text) // 10 + 2:
                found.numbers.append(number)
                found.lost.append(text if characters == 0 else text[-left:])
        return found

    def _number(self, box: Any) -> None:
        text = box.text
        # Text of pseudo-elements may be made anew for each page.
        if "::" not in box.element_tag and not text.isspace() and text:
            box.offloop_number = len(self._texts)
            self._texts.append(text)

    def _see(self, page: Any, number: int, seen: list[int], found: Missing) -> bool:
        """Count what a page shows of each text; whether it shows anything outside of its margins."""
        edges = (0.0, 0.0, page.margin_width(), page.margin_height())
        shows = False
        for part in page.children:
            in_margin = isinstance(part, MarginBox)
            for box, area in _leaves(part, edges):
                if isinstance(box, ReplacedBox):
                    shows = shows or not in_margin
                    if area is not None and _is_cut(box, edges):
                        found.pictures.append(number)
                    continue
                is_whole = area is None or _is_inside(box, area) or _is_moved_away(box, area)
                if (index := box.__dict__.get("offloop_number")) is not None:
                    seen[index] += _weight(box.text)
                    if not is_whole:
                        found.cut.setdefault(number, []).append(box.text)
                if not shows and not in_margin and not box.text.isspace():
                    shows = area is None or is_whole or _is_partly_inside(box, area)
        return shows


def _leaves(part: Any, edges: Area) -> Iterator[tuple[Any, Area | None]]:
    """Texts and pictures of a part of a page, each with the visible area around it; None where that is not known."""
    boxes: list[tuple[Any, Area | None]] = [(part, edges)]
    while boxes:
        box, area = boxes.pop()
        box = getattr(box, "_box", box)  # of an absolute position: its place in the flow has a placeholder
        if isinstance(box, (TextBox, ReplacedBox)):
            yield box, area
        elif children := getattr(box, "children", None):
            area = _area_of(box, area, edges)
            boxes.extend((child, area) for child in reversed(children))


def _area_of(box: Any, around: Area | None, edges: Area) -> Area | None:
    """The visible area of the contents of a box, which `around` is the area of; None below a transformation."""
    style = box.style
    if around is None or style["transform"]:
        return None
    if style["position"] in {"absolute", "fixed"}:
        around = edges
    if style["overflow"] == "visible":
        return around
    x, y, width, height = box.padding_box_x(), box.padding_box_y(), box.padding_width(), box.padding_height()
    if min(width, height) <= _TINY:
        return None
    return max(around[0], x), max(around[1], y), min(around[2], x + width), min(around[3], y + height)


def _is_inside(box: Any, area: Area) -> bool:
    """Whether a text is within an area: all of its width, and the middle of its height."""
    middle = box.position_y + box.height / 2
    return bool(
        area[0] - _SLACK <= box.position_x
        and box.position_x + box.width <= area[2] + _SLACK
        and area[1] <= middle <= area[3]
    )


def _is_partly_inside(box: Any, area: Area) -> bool:
    """Whether some of a text's width, and the middle of its height, are within an area."""
    middle = box.position_y + box.height / 2
    return bool(box.position_x < area[2] and box.position_x + box.width > area[0] and area[1] <= middle <= area[3])


def _is_cut(picture: Any, page: Area) -> bool:
    """Whether a picture is beyond the right or lower edge of its page, by more than a bleed."""
    right = picture.position_x + picture.margin_width() - page[2]
    below = picture.position_y + picture.margin_height() - page[3]
    return bool(max(right, below) > _BLEED and not _is_moved_away(picture, page))


def _is_moved_away(box: Any, area: Area) -> bool:
    return bool(box.position_x + box.width < area[0] - _FAR or box.position_y + box.height < area[1] - _FAR)


def _is_decorated(page: Any) -> bool:
    """Whether a page without text has a box with a border or a background."""
    boxes = [child for child in page.children if not isinstance(child, MarginBox)]
    while boxes:
        box = boxes.pop()
        if (
            getattr(box, "height", 0) != "auto"
            and getattr(box, "height", 0) > 0
            and box.element_tag not in {"html", "body"}
        ):
            style = box.style
            if style["background_image"][0][0] != "none" or style["background_color"].alpha > 0:
                return True
            if any(getattr(box, f"border_{side}_width", 0) for side in ("top", "bottom", "left", "right")):
                return True
        boxes.extend(getattr(box, "children", ()))
    return False


def _show_footer_once(table: Any) -> None:
    """Print a table's footer after its last row, not on every page, unless the document itself makes it a footer.

    Totals at the foot of the first of three pages would be taken for those of the page. The layout repeats what has the
    mark; position and borders of the rows are settled before.
    """
    if table.children and table.children[-1].is_footer:
        footer = table.children[-1]
        _, weight = footer.style.cascaded.get("display", (None, (0,)))
        footer.is_footer = weight[0] >= _AUTHOR


def _weight(text: str) -> int:
    """The number of characters of a text without white space."""
    return len(text) - text.count(" ") - text.count("\n")


def _words(texts: list[str]) -> int:
    return sum(len(text.split()) for text in texts)


def _begin(texts: list[str]) -> str:
    text = " ".join(" ".join(texts[:5]).split())
    return repr(text if len(text) <= _EXCERPT else f"{text[: _EXCERPT - 1]}…")


def _pages(numbers: list[int]) -> str:
    listed = ", ".join(map(str, numbers[:_MAX_LISTED]))
    return f"page{'s' if len(numbers) > 1 else ''} {listed}{' and more' if len(numbers) > _MAX_LISTED else ''}"
