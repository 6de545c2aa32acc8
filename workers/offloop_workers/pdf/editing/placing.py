"""Stamp placement: from the visible page to the coordinates of a page that may be rotated and cropped."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pikepdf
from pikepdf import Matrix

from offloop.jobs.edits import Stamp

_POINTS_PER_MM = 72 / 25.4
_MAX_SIDE = 100_000
_A4 = (0.0, 0.0, 595.0, 842.0)


@dataclass(frozen=True, slots=True)
class View:
    """The visible page.

    Attributes:
        width: in points.
        height: in points.
        matrix: from visible coordinates, with the origin at the lower left corner, to those of the page.
    """

    width: float
    height: float
    matrix: Matrix


def view(page: pikepdf.Page) -> View:
    """The visible part of a page: its crop box, rotated. An invalid box counts as A4."""
    left, bottom, right, top = _box(page)
    width, height = right - left, top - bottom
    match page.rotation % 360:
        case 90:
            return View(height, width, Matrix(0, 1, -1, 0, right, bottom))
        case 180:
            return View(width, height, Matrix(-1, 0, 0, -1, right, top))
        case 270:
            return View(height, width, Matrix(0, -1, 1, 0, left, top))
    return View(width, height, Matrix(1, 0, 0, 1, left, bottom))


def _box(page: pikepdf.Page) -> tuple[float, float, float, float]:
    try:
        box = sides(page.cropbox)
    except Exception:  # noqa: BLE001 -- invalid boxes raise exceptions of many types
        return _A4
    if box[2] - box[0] < 1 or box[3] - box[1] < 1 or max(map(abs, box)) > _MAX_SIDE:
        return _A4
    return box


def sides(box: Any) -> tuple[float, float, float, float]:
    """Left, bottom, right and top of a rectangle given by any two opposite corners."""
    values = [float(value) for value in list(box)[:4]]
    left, right = sorted((values[0], values[2]))
    bottom, top = sorted((values[1], values[3]))
    return left, bottom, right, top


def place(stamp: Stamp, size: tuple[float, float], page: View) -> Matrix:
    """The matrix that places a stamp on a page.

    Rotation is about the centre of the stamp; position and margin hold for the rotated stamp.

    Args:
        stamp: position, margin, rotation and scale.
        size: of the unrotated stamp, in points.
        page: the visible page.
    """
    angle = math.radians(stamp.rotate)
    cosine, sine = math.cos(angle), math.sin(angle)
    width = abs(size[0] * cosine) + abs(size[1] * sine)
    height = abs(size[0] * sine) + abs(size[1] * cosine)
    margin = 0.0 if stamp.position == "fill" else min(stamp.margin_mm * _POINTS_PER_MM, page.width / 3, page.height / 3)
    room = (page.width - 2 * margin) / width, (page.height - 2 * margin) / height
    scale = min(1.0, *room)
    if stamp.position == "fill":
        scale = min(room)
    elif stamp.width_percent is not None:
        scale = min(page.width * stamp.width_percent / 100 / width, room[1])
    width, height = width * scale, height * scale
    edges = stamp.position.split("-")
    x, y = page.width / 2, page.height / 2
    x = margin + width / 2 if "left" in edges else page.width - margin - width / 2 if "right" in edges else x
    y = margin + height / 2 if "bottom" in edges else page.height - margin - height / 2 if "top" in edges else y
    on_page = Matrix(scale * cosine, scale * sine, -scale * sine, scale * cosine, x, y)
    return Matrix(1, 0, 0, 1, -size[0] / 2, -size[1] / 2) @ on_page @ page.matrix
