"""Where a stamp goes: from what a reader sees to the coordinates of a page that may be turned and cropped."""

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
    """A page as a reader sees it.

    Attributes:
        width: points across.
        height: points down.
        matrix: from points of the view, counted from its lower left corner, to the page's own.
    """

    width: float
    height: float
    matrix: Matrix


def view(page: pikepdf.Page) -> View:
    """How a page is seen: its crop box, turned. A box that makes no sense counts as A4."""
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
    except Exception:  # noqa: BLE001 -- boxes of hostile pages fail in many ways, all of which mean A4
        return _A4
    if box[2] - box[0] < 1 or box[3] - box[1] < 1 or max(map(abs, box)) > _MAX_SIDE:
        return _A4
    return box


def sides(box: Any) -> tuple[float, float, float, float]:
    """Left, bottom, right and top of a rectangle, whichever corners it names."""
    values = [float(value) for value in list(box)[:4]]
    left, right = sorted((values[0], values[2]))
    bottom, top = sorted((values[1], values[3]))
    return left, bottom, right, top


def place(stamp: Stamp, size: tuple[float, float], seen: View) -> Matrix:
    """The matrix that puts a stamp of a size, in points, on a page.

    Rotation is about the middle of the stamp; position and margin hold for the turned stamp.
    """
    turn = math.radians(stamp.rotate)
    cosine, sine = math.cos(turn), math.sin(turn)
    across = abs(size[0] * cosine) + abs(size[1] * sine)
    down = abs(size[0] * sine) + abs(size[1] * cosine)
    margin = 0.0 if stamp.position == "fill" else min(stamp.margin_mm * _POINTS_PER_MM, seen.width / 3, seen.height / 3)
    room = (seen.width - 2 * margin) / across, (seen.height - 2 * margin) / down
    scale = min(1.0, *room)
    if stamp.position == "fill":
        scale = min(room)
    elif stamp.width_percent is not None:
        scale = min(seen.width * stamp.width_percent / 100 / across, room[1])
    across, down = across * scale, down * scale
    words = stamp.position.split("-")
    x, y = seen.width / 2, seen.height / 2
    x = margin + across / 2 if "left" in words else seen.width - margin - across / 2 if "right" in words else x
    y = margin + down / 2 if "bottom" in words else seen.height - margin - down / 2 if "top" in words else y
    in_view = Matrix(scale * cosine, scale * sine, -scale * sine, scale * cosine, x, y)
    return Matrix(1, 0, 0, 1, -size[0] / 2, -size[1] / 2) @ in_view @ seen.matrix
