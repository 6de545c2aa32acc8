"""Geometry: crop box, scaled size and canvas of a result."""

from __future__ import annotations

from dataclasses import dataclass

from offloop.errors import JobError, LimitExceeded
from offloop.jobs.images import MAX_PIXELS, MAX_SIDE, Transformation
from offloop.jobs.transformation import Box as AskedBox
from offloop_workers.images.frames.anchors import Anchor, Box

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """Geometry of a transformation, in pixels of the upright picture.

    Attributes:
        box: the part of the picture that is kept.
        scaled: the size that the part is scaled to.
        canvas: the size of the result; larger than `scaled` only with padding.
        smaller_than_asked: the requested box is larger than the source, and enlarging was not allowed.
    """

    box: Box
    scaled: Size
    canvas: Size
    smaller_than_asked: bool = False

    @property
    def factor(self) -> float:
        """The larger of the two scale factors."""
        return max(self.scaled[0] / (self.box[2] - self.box[0]), self.scaled[1] / (self.box[3] - self.box[1]))


def plan(
    source: Size, request: Transformation, anchor: Anchor, trimmed: Box | None = None, *, most: int = MAX_PIXELS
) -> Plan:
    """Plan crop, proportions and size of the result.

    Args:
        source: size of the upright, rotated picture.
        request: the transformation.
        anchor: places the part that is kept.
        trimmed: the box that `trim` has left; by default the whole picture.
        most: maximum pixels of the result.

    Raises:
        LimitExceeded: the result would have too many pixels, or a side above `MAX_SIDE`.
        JobError: ``outside``: the crop box lies outside the picture.
    """
    box: Box = trimmed or (0, 0, *source)
    if request.crop:
        box = _cropped(box, request.crop)
    if request.aspect_ratio:
        across, down = map(float, request.aspect_ratio.split(":"))
        box = _shaped(box, across / down, anchor)
    result = _fitted(box, _wanted(request), request, anchor)
    width, height = result.canvas
    if max(width, height) > MAX_SIDE and (request.enlarge or request.fit == "pad"):
        message = (
            f"The result would be {width:,} x {height:,}; a side has at most {MAX_SIDE:,} pixels: "
            "ask for a smaller width, height or dpr."
        )
        raise LimitExceeded(message)
    if width * height > most:
        message = (
            f"The result would have {width:,} x {height:,} pixels, more than the {most:,} that "
            "one job makes: ask for a smaller width or height."
        )
        raise LimitExceeded(message)
    return result


def in_pixels(asked: AskedBox, region: Box) -> Box:
    """A requested box, in the coordinates of the region that it is relative to."""
    width, height = region[2] - region[0], region[3] - region[1]
    across, down = (width / 100, height / 100) if asked.unit == "percent" else (1.0, 1.0)
    left, top = region[0] + asked.left * across, region[1] + asked.top * down
    return left, top, left + asked.width * across, top + asked.height * down


def _wanted(request: Transformation) -> tuple[int | None, int | None]:
    width, height = (
        None if side is None else max(1, round(side * request.dpr)) for side in (request.width, request.height)
    )
    return width, height


def _cropped(region: Box, asked: AskedBox) -> Box:
    left, top, right, bottom = in_pixels(asked, region)
    kept = (max(left, region[0]), max(top, region[1]), min(right, region[2]), min(bottom, region[3]))
    if kept[2] - kept[0] < 1 or kept[3] - kept[1] < 1:
        message = (
            f"crop lies outside the picture, or keeps less than a pixel: it has {region[2] - region[0]:,.0f} x "
            f"{region[3] - region[1]:,.0f} pixels."
        )
        raise JobError(message, code="outside")
    return kept


def _shaped(region: Box, ratio: float, anchor: Anchor) -> Box:
    """The largest box in the region with these proportions."""
    width, height = region[2] - region[0], region[3] - region[1]
    return anchor.place(region, max(1.0, min(width, height * ratio)), max(1.0, min(height, width / ratio)))


def _fitted(box: Box, wanted: tuple[int | None, int | None], request: Transformation, anchor: Anchor) -> Plan:
    width, height = box[2] - box[0], box[3] - box[1]
    inside = _inside(width, height, wanted, enlarge=request.enlarge)
    if wanted[0] is None or wanted[1] is None or request.fit == "inside":
        return Plan(box, inside, inside)
    target = (wanted[0], wanted[1])
    if request.fit == "pad":
        return Plan(box, inside, target)
    if request.fit == "cover":
        box = _shaped(box, target[0] / target[1], anchor)
    most = min(1.0, (box[2] - box[0]) / target[0], (box[3] - box[1]) / target[1])
    if request.enlarge or most > 0.999:  # noqa: PLR2004 -- tolerance for rounding
        return Plan(box, target, target)
    smaller = max(1, round(target[0] * most)), max(1, round(target[1] * most))
    return Plan(box, smaller, smaller, smaller_than_asked=True)


def _inside(width: float, height: float, wanted: tuple[int | None, int | None], *, enlarge: bool) -> Size:
    factors = [want / have for want, have in zip(wanted, (width, height), strict=True) if want is not None]
    factor = min([*factors, *([] if enlarge and factors else [1.0])])
    return max(1, round(width * factor)), max(1, round(height * factor))
