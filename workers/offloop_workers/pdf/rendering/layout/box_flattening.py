"""Box flattening: flex and grid boxes around whole pages become plain blocks, since their layout takes too long.

WeasyPrint measures such a box by laying out its content, on every page anew and once more for each such box around it.
The time grows with the square of the text, and about threefold with each level of nesting; sites wrap entire articles
in three of them. The constants below were fitted to measurements on one machine and need only be right to a factor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from offloop.jobs.pdf import Layout

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

SECONDS: Final = 2.0
"""With ``auto``, a box whose estimated layout time is above this becomes a block."""

_A_PAGE: Final = 3_000
_PER_ELEMENT: Final = 40
_SECONDS_SQUARED: Final = 3.5e-9
_SECONDS_LEAST: Final = 3e-4
_PER_LEVEL: Final = 4


@dataclass(frozen=True, slots=True)
class _Weight:
    """Layout cost of an element: its content in characters, and the nesting of flex and grid boxes, itself included."""

    characters: int
    levels: int

    @property
    def seconds(self) -> float:
        """Estimated time of the layout."""
        # Bounded, since beyond thirty levels the layout would never end anyway.
        once = _SECONDS_SQUARED * self.characters**2 + _SECONDS_LEAST
        return once * float(_PER_LEVEL) ** (min(self.levels, 30) - 1)


def flatten(root: Element, style_for: Any, layout: Layout) -> int:
    """Turn the boxes that `layout` says into blocks; answers how many.

    Args:
        root: the document.
        style_for: WeasyPrint's computed styles, which are changed.
        layout: the caller's choice.
    """
    if layout == "as_is":
        return 0
    styles = style_for.get_computed_styles()
    boxes = {key[0] for key, style in styles.items() if key[1] is None and _is_flexible(style)}
    if not boxes:
        return 0
    weights = _weights(root, boxes)
    flattened = 0
    for element in root.iter():
        if element in boxes and _is_too_slow(weights[element], layout):
            styles[element, None] = _as_block(styles[element, None])
            flattened += 1
    return flattened


def _is_flexible(style: Any) -> bool:
    return "flex" in style["display"] or "grid" in style["display"]


def _is_too_slow(weight: _Weight, layout: Layout) -> bool:
    if layout == "print_safe":
        return weight.characters >= _A_PAGE or weight.levels > 1
    return weight.seconds > SECONDS


def _weights(root: Element, boxes: set[Element]) -> dict[Element, _Weight]:
    """The weight of each element, children first; iterative, since nesting is unbounded."""
    found: dict[Element, _Weight] = {}
    for element in reversed(list(root.iter())):
        children = [found[child] for child in element]
        text = len(element.text or "") + sum(len(child.tail or "") for child in element)
        found[element] = _Weight(
            text + _PER_ELEMENT + sum(child.characters for child in children),
            (element in boxes) + max((child.levels for child in children), default=0),
        )
    return found


def _as_block(style: Any) -> Any:
    # Elements with equal rules share one style object.
    block = style.copy()
    block["display"] = ("block", "flow")
    # A box that fills the window and scrolls would print only one page of its content.
    block["height"] = "auto"
    block["overflow"] = "visible"
    return block
