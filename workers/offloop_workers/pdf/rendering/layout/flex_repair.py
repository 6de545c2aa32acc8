"""Repair of flex boxes that WeasyPrint breaks badly over pages: they become grids or blocks, and are laid out again.

WeasyPrint moves a flex box that does not fit the rest of a page to the next one, so that a page stays nearly empty; on
the pages after it, the columns of a row follow each other instead of standing side by side; a column with a height
loses what does not fit. Its grids break as browsers do. The columns of such a grid are as wide as the first layout has
made the items.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from weasyprint.css.properties import Dimension
from weasyprint.formatting_structure.boxes import FlexContainerBox, InlineFlexBox

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_UNUSED: Final = 0.25
"""Part of a page that may stay empty before a flex box on the next one."""

_NEAR: Final = 2.0
_ANY_HEIGHT: Final = Dimension(float("inf"), "px")
_MIRRORED: Final = {"normal": "flex-end", "flex-start": "flex-end", "start": "flex-end", "flex-end": "flex-start"}


@dataclass(slots=True)
class _Flex:
    """A flex box as it was laid out.

    Attributes:
        pages: numbers of the pages that it is on.
        top: its position on the first of them, in parts of the page's height.
        width: width of its content there.
        items: each item by its style's key, with the left edge and the width of its first part, in their order.
        is_plain: all items are elements, so that they can be placed.
        has_margins: some item has a margin at its left or right.
        has_rows: some item is a row of items itself.
    """

    box: Any
    pages: list[int] = field(default_factory=list)
    top: float = 0.0
    width: float = 0.0
    items: dict[Any, tuple[float, float]] = field(default_factory=dict)
    is_plain: bool = True
    has_margins: bool = False
    has_rows: bool = False


def straighten(root: Element, styles: dict[Any, Any]) -> None:
    """Write the items of reversed flex boxes in the order that is seen: over two pages they would never end."""
    for element in root.iter():
        style = styles.get((element, None))
        if style is None or "flex" not in style["display"] or not style["flex_direction"].endswith("-reverse"):
            continue
        turned = styles[element, None] = style.copy()
        turned["flex_direction"] = style["flex_direction"].removesuffix("-reverse")
        turned["justify_content"] = tuple(_MIRRORED.get(word, word) for word in style["justify_content"])
        for child in element:
            if (child, None) in styles and styles[child, None]["order"]:
                item = styles[child, None] = styles[child, None].copy()
                item["order"] = -item["order"]
        element[:] = reversed(list(element))


def repair(pages: list[Any], breaks: Any, lost: set[Element], styles: dict[Any, Any]) -> int:
    """Change the styles of the flex boxes that were broken badly.

    Args:
        pages: the boxes of the pages.
        breaks: WeasyPrint's ``page_maker``.
        lost: flex elements around words that are on no page.
        styles: WeasyPrint's computed styles, which are changed.

    Returns:
        The number of boxes that were changed.
    """
    found, changed = _collect(pages), 0
    filled = [_filled(page) for page in pages]
    broken = [element for element, flex in found.items() if element in lost or _is_broken(flex, filled, breaks)]
    # The outermost last, which turns its items into cells.
    for element in reversed(broken):
        inside = [found[key[0]] for key in found[element].items if key[0] in found and key[0] is not element]
        changed += _change(element, found[element], inside, styles)
    return changed


def rows_over_pages(pages: list[Any]) -> int:
    """The number of flex rows that are on several pages still, where their columns follow each other."""
    return sum(len(flex.pages) > 1 and _columns_follow(flex) for flex in _collect(pages).values())


def around(root: Any, numbers: set[int]) -> set[Element]:
    """The flex elements around texts with these numbers, in a box tree before its layout."""
    found: set[Element] = set()
    boxes: list[tuple[Any, tuple[Element, ...]]] = [(root, ())]
    while boxes:
        box, owners = boxes.pop()
        if isinstance(box, FlexContainerBox):
            owners = (*owners, box.element)
        if owners and box.__dict__.get("offloop_number") in numbers:
            found.update(owners)
        boxes.extend((child, owners) for child in getattr(box, "children", ()))
    return found


def _collect(pages: list[Any]) -> dict[Element, _Flex]:
    found: dict[Element, _Flex] = {}
    for number, page in enumerate(pages):
        for box in _flexes(page):
            flex = found.get(box.element)
            if flex is None:
                top = (box.position_y - page.content_box_y()) / max(page.height, 1)
                flex = found[box.element] = _Flex(box, top=top, width=box.width)
            if number not in flex.pages:
                flex.pages.append(number)
            for item in box.children:
                if item.element is box.element and "::" not in item.element_tag:
                    flex.is_plain = False
                flex.has_margins |= bool(item.margin_left or item.margin_right)
                flex.has_rows |= isinstance(item, FlexContainerBox) and item.style["flex_direction"] == "row"
                pseudo = item.element_tag.partition("::")[2] or None
                flex.items.setdefault(
                    (item.element, pseudo), (item.position_x - box.content_box_x(), item.margin_width())
                )
    return found


def _columns_follow(flex: _Flex) -> bool:
    """Whether a row has one line, which should break side by side."""
    style = flex.box.style
    return style["flex_direction"] == "row" and (style["flex_wrap"] == "nowrap" or len(flex.items) == 1)


def _flexes(page: Any) -> Iterator[Any]:
    boxes = [page]
    while boxes:
        box = boxes.pop()
        if isinstance(box, FlexContainerBox) and box.element is not None:
            yield box
        boxes.extend(getattr(box, "children", ()))


def _is_broken(flex: _Flex, filled: list[float], breaks: Any) -> bool:
    """Whether a box is on several pages, or was moved from a page that it left nearly empty."""
    first = flex.pages[0]
    if len(flex.pages) > 1:
        return True
    return (
        first > 0
        and flex.top < _UNUSED
        and 1 - filled[first - 1] > _UNUSED
        and breaks[first][1]["break"] == "any"
        and flex.box.style["break_inside"] == "auto"
    )


def _filled(page: Any) -> float:
    """The part of a page's height down to the end of the last text or picture."""
    bottom, boxes = page.content_box_y(), [page.children[0]] if page.children else []
    while boxes:
        box = boxes.pop()
        children = getattr(box, "children", None)
        if children:
            boxes.extend(children)
        elif isinstance(getattr(box, "height", None), (int, float)):
            bottom = max(bottom, box.position_y + box.height)
    return float((bottom - page.content_box_y()) / max(page.height, 1))


def _change(element: Element, flex: _Flex, inside: list[_Flex], styles: dict[Any, Any]) -> int:
    style = flex.box.style
    is_inline = isinstance(flex.box, InlineFlexBox)
    if style["flex_direction"].startswith("column"):
        _stack(element, flex, styles)
        return 1
    columns = _columns(flex)
    if columns is None:
        return 0
    block = styles[element, None] = styles[element, None].copy()
    block["height"], block["max_height"] = "auto", _ANY_HEIGHT
    if len(columns) == len(flex.items) and not flex.has_rows and (is_inline or _is_even(columns, flex)):
        for nested in inside:
            _stack(nested.box.element, nested, styles)
        _make_table(block, flex, columns, styles)
        return 1
    block["display"] = ("block", "grid")
    block["grid_template_columns"] = _tracks(flex, columns)
    block["column_gap"] = Dimension(0, "px")
    block["justify_content"] = block["justify_items"] = ("normal",)
    for number, key in enumerate(flex.items):
        row, column = divmod(number, len(columns))
        _place(key, styles, row + 1, 2 * column + 2)
    return 1


def _is_even(columns: list[tuple[float, float]], flex: _Flex) -> bool:
    """Whether the items fill the row, with equal gaps and without margins of their own, as the cells of a table do."""
    gap = _gap(flex)
    edges = [0.0, *(left + width + gap for left, width in columns)]
    is_close = all(abs(left - edge) < _NEAR for edge, (left, _) in zip(edges, columns, strict=False))
    return (
        is_close
        and abs(edges[-1] - gap - flex.width) < _NEAR
        and not flex.has_margins
        and not (gap and "auto" in {flex.box.style["margin_left"], flex.box.style["margin_right"]})
    )


def _make_table(block: Any, flex: _Flex, columns: list[tuple[float, float]], styles: dict[Any, Any]) -> None:
    """Turn a row into a table, whose cells the layout breaks side by side most reliably."""
    gap = _gap(flex)
    block["display"] = ("inline" if isinstance(flex.box, InlineFlexBox) else "block", "table")
    block["table_layout"], block["border_collapse"] = "fixed", "separate"
    block["border_spacing"] = (gap, 0)
    block["box_sizing"], block["width"] = "border-box", Dimension(flex.box.border_width() + 2 * gap, "px")
    block["max_width"] = _ANY_HEIGHT
    for side in ("margin_left", "margin_right"):
        if gap:
            block[side] = Dimension(getattr(flex.box.style[side], "value", 0) - gap, "px")
    alignment = {"center": "middle", "end": "bottom", "flex-end": "bottom", "baseline": "baseline"}
    for key, (_, width) in zip(flex.items, columns, strict=True):
        if key in styles:
            item = styles[key] = styles[key].copy()
            own = item["align_self"] if item["align_self"] != ("auto",) else flex.box.style["align_items"]
            item["display"], item["height"] = ("table-cell",), "auto"
            item["box_sizing"], item["width"] = "border-box", Dimension(width, "px")
            item["vertical_align"] = alignment.get(own[-1], "top")


def _gap(flex: _Flex) -> float:
    return float(getattr(flex.box.style["column_gap"], "value", 0))


def _stack(element: Element, flex: _Flex, styles: dict[Any, Any]) -> None:
    """Turn a column of items into blocks, with its gap as a margin."""
    block = styles[element, None] = styles[element, None].copy()
    block["display"] = ("inline" if isinstance(flex.box, InlineFlexBox) else "block", "flow-root")
    block["height"] = "auto"
    block["max_height"] = _ANY_HEIGHT
    gap = getattr(flex.box.style["row_gap"], "value", 0)
    for number, key in enumerate(flex.items):
        if gap and number and key in styles and key[0] is not element:
            item = styles[key] = styles[key].copy()
            above = getattr(item["margin_top"], "value", 0)
            item["margin_top"] = Dimension(above + gap, "px")


def _columns(flex: _Flex) -> list[tuple[float, float]] | None:
    """Left edge and width of each column; None where the lines of a box differ."""
    if not flex.is_plain or not flex.items:
        return None
    places = list(flex.items.values())
    lines: list[list[tuple[float, float]]] = [[]]
    for place in places:
        if flex.box.style["flex_wrap"] != "nowrap" and lines[-1] and place[0] <= lines[-1][-1][0] + _NEAR:
            lines.append([])
        lines[-1].append(place)
    if flex.box.style["flex_wrap"] == "nowrap":
        return places
    first = lines[0]
    for line in lines[1:-1]:
        if len(line) != len(first) or any(abs(a[0] - b[0]) > _NEAR for a, b in zip(line, first, strict=True)):
            return None
    return first if len(lines[-1]) <= len(first) else None


def _tracks(flex: _Flex, columns: list[tuple[float, float]]) -> tuple[Any, ...]:
    """Tracks of a grid: for each column the room before it, and its width; by ``flex-grow`` if they do not fit."""
    edge, widths = 0.0, []
    for left, width in columns:
        widths += [max(0.0, left - edge), width]
        edge = left + width
    ordered = all(a[0] <= b[0] for a, b in pairwise(columns))
    fits = ordered and edge <= flex.width + _NEAR and sum(widths) <= flex.width + _NEAR
    tracks: list[Any] = [Dimension(width, "px") for width in widths]
    if not fits:
        gap = _gap(flex)
        even = ("minmax()", Dimension(0, "px"), Dimension(1.0, "fr"))
        tracks = [track for number in range(len(columns)) for track in (Dimension(gap if number else 0, "px"), even)]
    separated: list[Any] = [()]
    for track in tracks:
        separated += [track, ()]
    return tuple(separated)


def _place(key: Any, styles: dict[Any, Any], row: int, column: int) -> None:
    if key not in styles:
        return
    item = styles[key] = styles[key].copy()
    item["grid_row_start"], item["grid_column_start"] = (None, row, None), (None, column, None)
    item["width"] = item["min_width"] = "auto"
    item["max_width"] = _ANY_HEIGHT
    item["justify_self"] = ("stretch",)
    item["order"] = 0
