"""Crop anchors: they place the part of a picture that is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from PIL import Image, ImageChops, ImageFilter

from offloop.jobs.images import Transformation

Box = tuple[float, float, float, float]
Point = tuple[float, float]
"""Shares of width and height, 0 to 1."""

_ALIGNMENTS: Final[dict[str, Point]] = {
    "center": (0.5, 0.5),
    "top": (0.5, 0.0),
    "bottom": (0.5, 1.0),
    "left": (0.0, 0.5),
    "right": (1.0, 0.5),
    "top_left": (0.0, 0.0),
    "top_right": (1.0, 0.0),
    "bottom_left": (0.0, 1.0),
    "bottom_right": (1.0, 1.0),
}
_SAMPLE: Final = 128
"""Pixels a side of the small copy that is searched for salient parts."""


class Anchor(Protocol):
    """Places a box in a larger one, in coordinates of the upright picture."""

    def place(self, region: Box, width: float, height: float) -> Box:
        """A box of this size inside the region."""


@dataclass(frozen=True, slots=True)
class Aligned:
    """Aligned to an edge, a corner, or the centre."""

    alignment: Point

    def place(self, region: Box, width: float, height: float) -> Box:
        """A box with the free space divided by the alignment."""
        left = region[0] + (region[2] - region[0] - width) * self.alignment[0]
        top = region[1] + (region[3] - region[1] - height) * self.alignment[1]
        return left, top, left + width, top + height


@dataclass(frozen=True, slots=True)
class Focused:
    """Centred on a point, given in shares of the region."""

    focus: Point

    def place(self, region: Box, width: float, height: float) -> Box:
        """A box centred on the point, or as near to it as the region allows."""
        x = region[0] + (region[2] - region[0]) * self.focus[0]
        y = region[1] + (region[3] - region[1]) * self.focus[1]
        left = max(region[0], min(x - width / 2, region[2] - width))
        top = max(region[1], min(y - height / 2, region[3] - height))
        return left, top, left + width, top + height


class Salient:
    """On the most salient part: edges and saturated colours.

    Args:
        picture: the upright picture, or a smaller copy of it.
        size: the size that coordinates refer to.
    """

    def __init__(self, picture: Image.Image, size: tuple[int, int]) -> None:
        small = picture.convert("RGB")
        small.thumbnail((_SAMPLE, _SAMPLE), Image.Resampling.BOX)
        edges = small.convert("L").filter(ImageFilter.GaussianBlur(0.7)).filter(ImageFilter.FIND_EDGES)
        edges.paste(0, (0, 0, edges.width, 1))  # the filter leaves the rim as it was: bright where the picture is
        edges.paste(0, (0, edges.height - 1, edges.width, edges.height))
        edges.paste(0, (0, 0, 1, edges.height))
        edges.paste(0, (edges.width - 1, 0, edges.width, edges.height))
        strong = small.convert("HSV").getchannel("S").point(lambda value: value // 4)
        self._energy = ImageChops.add(edges, strong)
        self._scale = (self._energy.width / size[0], self._energy.height / size[1])

    def place(self, region: Box, width: float, height: float) -> Box:
        """The box with the most energy; a crop to proportions moves along one axis only."""
        energy = self._energy.crop(
            (
                int(region[0] * self._scale[0]),
                int(region[1] * self._scale[1]),
                max(int(region[0] * self._scale[0]) + 1, round(region[2] * self._scale[0])),
                max(int(region[1] * self._scale[1]) + 1, round(region[3] * self._scale[1])),
            )
        )
        columns = list(energy.resize((energy.width, 1), Image.Resampling.BOX).tobytes())
        rows = list(energy.resize((1, energy.height), Image.Resampling.BOX).tobytes())
        across, down = _best(columns, width * self._scale[0]), _best(rows, height * self._scale[1])
        return Aligned((across, down)).place(region, width, height)


def _best(energy: list[int], length: float) -> float:
    """The start of the window with the most energy, as a share of the free space; 0.5 where all is equal."""
    window = max(1, min(len(energy), round(length)))
    free = len(energy) - window
    if free <= 0:
        return 0.5
    sums = [sum(energy[:window])]
    for start in range(free):
        sums.append(sums[-1] + energy[start + window] - energy[start])
    best = max(sums)
    if best == 0:
        return 0.5
    # Among nearly equal windows, the one nearest to the middle: noise must not push the crop to an edge.
    good = [start for start, value in enumerate(sums) if value >= 0.98 * best]
    return min(good, key=lambda start: abs(start - free / 2)) / free


def anchor_of(request: Transformation, picture: Image.Image | None, size: tuple[int, int]) -> Anchor:
    """The anchor that the request names; without a picture, smart is the centre."""
    if request.focus:
        return Focused((request.focus.x, request.focus.y))
    if request.gravity == "smart":
        return Salient(picture, size) if picture else Aligned((0.5, 0.5))
    return Aligned(_ALIGNMENTS[request.gravity])


def alignment(position: str) -> Point:
    """The shares of the free space to the left and above, for one of the nine positions."""
    return _ALIGNMENTS.get(position, (0.5, 0.5))
