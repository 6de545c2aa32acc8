"""Anchors: which part stays when something must be cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from PIL import Image, ImageChops, ImageFilter

from offloop.jobs.images import Transformation

Box = tuple[float, float, float, float]
Spot = tuple[float, float]

_SPOTS: Final[dict[str, Spot]] = {
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
_LOOKED_AT: Final = 128
"""Pixels a side of the small copy that is searched for what is busy."""


class Anchor(Protocol):
    """Places a smaller box in a larger one; all coordinates are those of the upright picture."""

    def place(self, region: Box, width: float, height: float) -> Box:
        """A box of this size inside the region."""


@dataclass(frozen=True, slots=True)
class Aligned:
    """Against an edge, a corner, or the centre."""

    spot: Spot

    def place(self, region: Box, width: float, height: float) -> Box:
        """The room that is left is shared out as the spot says."""
        left = region[0] + (region[2] - region[0] - width) * self.spot[0]
        top = region[1] + (region[3] - region[1] - height) * self.spot[1]
        return left, top, left + width, top + height


@dataclass(frozen=True, slots=True)
class Focused:
    """Around a point, as far as the region allows; the point is in shares of the region."""

    spot: Spot

    def place(self, region: Box, width: float, height: float) -> Box:
        """The point is in the middle, or as near to it as can be."""
        x = region[0] + (region[2] - region[0]) * self.spot[0]
        y = region[1] + (region[3] - region[1]) * self.spot[1]
        left = max(region[0], min(x - width / 2, region[2] - width))
        top = max(region[1], min(y - height / 2, region[3] - height))
        return left, top, left + width, top + height


class Busy:
    """Where most happens: edges and strong colours.

    Args:
        picture: the upright picture, or a smaller copy of it.
        size: the size that coordinates refer to.
    """

    def __init__(self, picture: Image.Image, size: tuple[int, int]) -> None:
        small = picture.convert("RGB")
        small.thumbnail((_LOOKED_AT, _LOOKED_AT), Image.Resampling.BOX)
        edges = small.convert("L").filter(ImageFilter.GaussianBlur(0.7)).filter(ImageFilter.FIND_EDGES)
        edges.paste(0, (0, 0, edges.width, 1))  # the filter leaves the rim as it was: bright where the picture is
        edges.paste(0, (0, edges.height - 1, edges.width, edges.height))
        edges.paste(0, (0, 0, 1, edges.height))
        edges.paste(0, (edges.width - 1, 0, edges.width, edges.height))
        strong = small.convert("HSV").getchannel("S").point(lambda value: value // 4)
        self._energy = ImageChops.add(edges, strong)
        self._scale = (self._energy.width / size[0], self._energy.height / size[1])

    def place(self, region: Box, width: float, height: float) -> Box:
        """A box as full of energy as possible; a crop to proportions moves along one axis only."""
        seen = self._energy.crop(
            (
                int(region[0] * self._scale[0]),
                int(region[1] * self._scale[1]),
                max(int(region[0] * self._scale[0]) + 1, round(region[2] * self._scale[0])),
                max(int(region[1] * self._scale[1]) + 1, round(region[3] * self._scale[1])),
            )
        )
        across = _best(list(seen.resize((seen.width, 1), Image.Resampling.BOX).tobytes()), width * self._scale[0])
        down = _best(list(seen.resize((1, seen.height), Image.Resampling.BOX).tobytes()), height * self._scale[1])
        return Aligned((across, down)).place(region, width, height)


def _best(energy: list[int], length: float) -> float:
    """Where a window of this length holds most, as a share of the room it has; the middle where all is equal."""
    window = max(1, min(len(energy), round(length)))
    room = len(energy) - window
    if room <= 0:
        return 0.5
    held = [sum(energy[:window])]
    for start in range(room):
        held.append(held[-1] + energy[start + window] - energy[start])
    best = max(held)
    if best == 0:
        return 0.5
    # Of starts that are about as good, the one nearest to the middle: noise must not push the crop to an edge.
    good = [start for start, value in enumerate(held) if value >= 0.98 * best]
    return min(good, key=lambda start: abs(start - room / 2)) / room


def anchor_of(request: Transformation, picture: Image.Image | None, size: tuple[int, int]) -> Anchor:
    """What the request says; without a picture to look at, smart is the centre."""
    if request.focus:
        return Focused((request.focus.x, request.focus.y))
    if request.gravity == "smart":
        return Busy(picture, size) if picture else Aligned((0.5, 0.5))
    return Aligned(_SPOTS[request.gravity])


def spot_of(position: str) -> Spot:
    """The shares of the room to the left and above, for one of the nine positions."""
    return _SPOTS.get(position, (0.5, 0.5))
