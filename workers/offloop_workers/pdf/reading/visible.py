"""Visible page: the box that viewers show, its rotation and its unit, for every operation that measures.

The rules for invalid values are those of PDFium, which draws the previews.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Matrix

Box = tuple[float, float, float, float]
"""Left, bottom, right and top, in units of the page's own coordinates."""

_LETTER: Box = (0.0, 0.0, 612.0, 792.0)
"""The box of a page without a valid MediaBox."""
MAX_COORDINATE = 1e7
"""Boxes with a larger one are invalid."""
_MAX_UNIT = 75_000
_MAX_DEPTH = 200


@dataclass(frozen=True, slots=True)
class View:
    """The page as it is seen.

    Attributes:
        width: in points of 1/72 inch.
        height: in points of 1/72 inch.
        box: the visible part, in the page's own coordinates.
        rotation: degrees clockwise: 0, 90, 180 or 270.
        unit: points that one unit of the page's own coordinates measures.
        matrix: from points of the page as seen, with the origin at its lower left corner, to its own coordinates.
    """

    width: float
    height: float
    box: Box
    rotation: int
    unit: float
    matrix: Matrix


def view(page: pikepdf.Page) -> View:
    """The visible part of a page: the CropBox inside the MediaBox, rotated, in points.

    Without a CropBox that overlaps the MediaBox, the MediaBox is visible.
    """
    media = box(inherited(page, "/MediaBox")) or _LETTER
    crop = box(inherited(page, "/CropBox"))
    left, bottom, right, top = visible = (crop and overlap(crop, media)) or media
    turned, unit = rotation(page), user_unit(page)
    width, height = (right - left) * unit, (top - bottom) * unit
    scale = 1 / unit
    match turned:
        case 90:
            return View(height, width, visible, turned, unit, Matrix(0, scale, -scale, 0, right, bottom))
        case 180:
            return View(width, height, visible, turned, unit, Matrix(-scale, 0, 0, -scale, right, top))
        case 270:
            return View(height, width, visible, turned, unit, Matrix(0, -scale, scale, 0, left, top))
    return View(width, height, visible, turned, unit, Matrix(scale, 0, 0, scale, left, bottom))


def ensure_size(page: pikepdf.Page) -> bool:
    """Give a page without a valid MediaBox the one that viewers assume, US Letter; returns whether it lacked one."""
    if box(inherited(page, "/MediaBox")):
        return False
    page.obj.MediaBox = Array(_LETTER)
    return True


def rotation(page: pikepdf.Page) -> int:
    """Clockwise rotation of a page: 0, 90, 180 or 270. A value between two of them counts as the one nearer to 0."""
    degrees = _number(inherited(page, "/Rotate")) or 0.0
    return int(int(degrees) / 90) * 90 % 360


def user_unit(page: pikepdf.Page) -> float:
    """Points that one unit of a page's own coordinates measures; 1 where the entry is absent or invalid."""
    unit = _number(page.obj.get("/UserUnit"))
    return unit if unit and 1 / _MAX_UNIT <= unit <= _MAX_UNIT else 1.0


def box(found: object) -> Box | None:
    """A rectangle given by any two opposite corners; None where it is none, or empty."""
    if not isinstance(found, Array) or len(found) != 4:  # noqa: PLR2004 -- two corners
        return None
    values = [_number(found[index]) or 0.0 for index in range(4)]
    left, right = sorted((values[0], values[2]))
    bottom, top = sorted((values[1], values[3]))
    if left >= right or bottom >= top or max(map(abs, values)) > MAX_COORDINATE:
        return None
    return left, bottom, right, top


def overlap(one: Box, other: Box) -> Box | None:
    """The part that two boxes have in common, or None."""
    left, bottom = max(one[0], other[0]), max(one[1], other[1])
    right, top = min(one[2], other[2]), min(one[3], other[3])
    return (left, bottom, right, top) if left < right and bottom < top else None


def inherited(page: pikepdf.Page, key: str) -> Any:
    """The entry of a page or of the nearest node above it in the page tree that has one."""
    node: Any = page.obj
    for _ in range(_MAX_DEPTH):
        if not isinstance(node, Dictionary):
            break
        if key in node:
            return node[key]
        node = node.get("/Parent")
    return None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool) else None
