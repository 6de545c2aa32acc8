"""Redaction: the pixels of boxes are replaced irrecoverably."""

from __future__ import annotations

from math import ceil, floor
from typing import Final

from PIL import Image, ImageColor

from offloop.errors import JobError
from offloop.jobs.transformation import Redaction
from offloop_workers.images.frames.plan import Size, in_pixels

_CELLS: Final = 6
"""Averaged colours along the longer side: too few to recover text or a face, whatever the size of the box."""


def redacted(picture: Image.Image, boxes: list[Redaction], source: Size) -> Image.Image:
    """The picture with these boxes replaced.

    Args:
        picture: upright; may be a smaller copy of the source.
        boxes: in pixels of the source.
        source: the size of the upright source.

    Raises:
        JobError: ``outside``: a box does not touch the picture, so its content would stay visible elsewhere.
    """
    if boxes:
        picture = picture.convert("RGBA" if picture.mode in {"LA", "RGBA"} else "RGB")
    across, down = picture.width / source[0], picture.height / source[1]
    # Pixels of a smaller copy contain their neighbours' colours, so boxes grow by one pixel on each side.
    more = 0 if (across, down) == (1, 1) else 1
    for box in boxes:
        left, top, right, bottom = in_pixels(box, (0, 0, *source))
        if left >= source[0] or top >= source[1]:
            message = (
                f"A box to redact begins at {left:,.0f}, {top:,.0f}, outside the upright picture of {source[0]:,} x "
                f"{source[1]:,} pixels: nothing was written. Measure boxes on the size that describe_image reports."
            )
            raise JobError(message, code="outside")
        part = (
            max(0, floor(left * across) - more),
            max(0, floor(top * down) - more),
            min(picture.width, ceil(right * across) + more),
            min(picture.height, ceil(bottom * down) + more),
        )
        picture.paste(_replacement(picture, part, box), part)
    return picture


def _replacement(picture: Image.Image, part: tuple[int, int, int, int], box: Redaction) -> Image.Image:
    size = (part[2] - part[0], part[3] - part[1])
    if box.method == "fill":
        return Image.new(picture.mode, size, ImageColor.getcolor(box.colour, picture.mode))
    cell = max(size) / _CELLS
    cells = (max(1, floor(size[0] / cell)), max(1, floor(size[1] / cell)))
    few = picture.crop(part).resize(cells, Image.Resampling.BOX)
    return few.resize(size, Image.Resampling.NEAREST if box.method == "pixelate" else Image.Resampling.BICUBIC)
