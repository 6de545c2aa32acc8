"""Stamp placement on the visible page."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pikepdf import Matrix

from offloop.jobs.edits import Stamp
from offloop_workers.pdf.reading.visible import View

_POINTS_PER_MM = 72 / 25.4


@dataclass(frozen=True, slots=True)
class Placement:
    """Placement of a stamp.

    Attributes:
        matrix: from the stamp's own points to the page's coordinates.
        share: its size, as a share of what the caller asked for: 1, or less where the page has no room.
    """

    matrix: Matrix
    share: float


def place(stamp: Stamp, size: tuple[float, float], page: View) -> Placement:
    """Place a stamp on a page.

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
    asked, scale = 1.0, min(1.0, *room)
    if stamp.position == "fill":
        asked = scale = min(room)
    elif stamp.width_percent is not None:
        asked = page.width * stamp.width_percent / 100 / width
        scale = min(asked, room[1])
    width, height = width * scale, height * scale
    edges = stamp.position.split("-")
    x, y = page.width / 2, page.height / 2
    x = margin + width / 2 if "left" in edges else page.width - margin - width / 2 if "right" in edges else x
    y = margin + height / 2 if "bottom" in edges else page.height - margin - height / 2 if "top" in edges else y
    # A stamp wider than the room between the margins stays on the page.
    x, y = _between(width / 2, x, page.width - width / 2), _between(height / 2, y, page.height - height / 2)
    on_page = Matrix(scale * cosine, scale * sine, -scale * sine, scale * cosine, x, y)
    return Placement(Matrix(1, 0, 0, 1, -size[0] / 2, -size[1] / 2) @ on_page @ page.matrix, scale / asked)


def _between(low: float, value: float, high: float) -> float:
    return min(max(value, low), high) if low <= high else value


def encoded(matrix: Matrix) -> bytes:
    """A matrix as operands; the library's own five decimals are too few for pages with a large unit."""
    return b" ".join(f"{value:.12f}".rstrip("0").rstrip(".").encode() for value in matrix.shorthand)
