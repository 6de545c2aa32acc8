"""Geometry: which part of the source becomes which pixels of the result."""

from __future__ import annotations

from dataclasses import dataclass

from offloop.errors import LimitExceeded
from offloop.jobs.images import MAX_PIXELS, Transformation

Size = tuple[int, int]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do with the upright picture.

    Attributes:
        box: the part of the upright source that is kept, in its pixels.
        scaled: the size that part is scaled to.
        canvas: the size of the result; larger than `scaled` only where it is padded.
    """

    box: Box
    scaled: Size
    canvas: Size


def plan(source: Size, request: Transformation) -> Plan:
    """Fit the upright source into the box that was asked for.

    Raises:
        LimitExceeded: the result would have more than `MAX_PIXELS` pixels.
    """
    whole: Box = (0, 0, *source)
    wanted = (request.width, request.height)
    inside = _inside(source, wanted)
    if request.width is None or request.height is None or request.fit == "inside":
        made = Plan(whole, inside, inside)
    else:
        target = (request.width, request.height)
        match request.fit:
            case "pad":
                made = Plan(whole, inside, target)
            case "fill":
                made = Plan(whole, target, target)
            case "cover":
                made = Plan(_centre(source, target), target, target)
    if made.canvas[0] * made.canvas[1] > MAX_PIXELS:
        message = (
            f"The result would have {made.canvas[0]:,} x {made.canvas[1]:,} pixels, more than the {MAX_PIXELS:,} that "
            "one job makes: ask for a smaller width or height."
        )
        raise LimitExceeded(message)
    return made


def _inside(source: Size, wanted: tuple[int | None, int | None]) -> Size:
    factor = min([1.0, *(want / have for want, have in zip(wanted, source, strict=True) if want is not None)])
    return max(1, round(source[0] * factor)), max(1, round(source[1] * factor))


def _centre(source: Size, target: Size) -> Box:
    """The largest centred part of the source with the target's proportions."""
    width = min(float(source[0]), source[1] * target[0] / target[1])
    height = min(float(source[1]), source[0] * target[1] / target[0])
    left, top = (source[0] - width) / 2, (source[1] - height) / 2
    return left, top, left + width, top + height
