"""Extent of a box tree, and of what lies before a page break: a measure of the work of its layout.

The unit is a microsecond of the machine on which the constants were measured, with the cheapest content of each sort:
there the layout of any content took one to six times its extent.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from itertools import accumulate
from typing import Any, Final

from weasyprint.formatting_structure.boxes import TableBox, TableCellBox, TableRowBox, TableRowGroupBox, TextBox

_BOX: Final = 32.0
_CHARACTER: Final = 2.0
_DISCARDS: Final = frozenset({"continue", "max_lines"})
_HEIGHTS: Final = ("height", "block_size")
_GROWING: Final = (TableBox, TableCellBox, TableRowBox, TableRowGroupBox)


class Extent:
    """The extent of a box tree.

    Args:
        root: the root of the tree before the layout, which does not change it.

    Attributes:
        total: the extent of the whole tree.
    """

    def __init__(self, root: Any) -> None:
        self._root = root
        self._cutting: dict[int, bool] = {}
        # The root itself cuts nothing, but makes heights in per cent definite.
        self._is_high = any(name in getattr(root.style, "cascaded", ()) for name in _HEIGHTS)
        self._extents: dict[int, float] = {}
        self._sums: dict[int, array[float]] = {}
        self.total = self._measure(root)

    def before(self, position: Mapping[int, Any] | None) -> float:
        """The extent of what lies before a page break.

        Args:
            position: nested dictionaries, each with the index of a child; that of a text has the index of a character.
                Where cells or columns break side by side, the furthest counts.
        """
        box, found = self._root, 0.0
        while position:
            index = max(position)
            if isinstance(box, TextBox):
                return found + _CHARACTER * index
            if index >= len(box.children):
                return found
            if index:
                found += self._of_children(box)[index - 1]
            box, position = box.children[index], position[index]
        return min(found, self.total)

    def _of_children(self, parent: Any) -> array[float]:
        """The extent of the children up to and with each."""
        if id(parent) not in self._sums:
            if self._cuts(parent):
                self._sums[id(parent)] = array("d", bytes(8 * len(parent.children)))
            else:
                extents = (self._extents.get(id(child)) or _of_leaf(child) for child in parent.children)
                self._sums[id(parent)] = array("d", accumulate(extents))
        return self._sums[id(parent)]

    def _measure(self, box: Any) -> float:
        """Measure a box and what it contains. WeasyPrint, which made the boxes, recurses deeper."""
        extent = _BOX
        if not self._cuts(box):
            for child in box.children:
                extent += self._measure(child) if child.children else _of_leaf(child)
        self._extents[id(box)] = extent
        return extent

    def _cuts(self, box: Any) -> bool:
        """Whether content that finds no room may be left out, instead of moving to the next page."""
        # What is specified, not what is computed: before the first page, lengths that depend on it are not known.
        specified = getattr(box.style, "cascaded", None)
        if not specified:
            return False
        cuts = self._cutting.get(id(box.style))
        if cuts is None:
            cuts = self._cutting[id(box.style)] = not _DISCARDS.isdisjoint(specified) or any(
                name in specified and self._is_definite(specified[name][0]) for name in _HEIGHTS
            )
        return cuts and box is not self._root and not isinstance(box, _GROWING)

    def _is_definite(self, height: Any) -> bool:
        if getattr(height, "unit", None) == "%":
            return self._is_high
        return bool(height != "auto")


def _of_leaf(box: Any) -> float:
    return _BOX + _CHARACTER * len(box.text) if type(box) is TextBox else _BOX
