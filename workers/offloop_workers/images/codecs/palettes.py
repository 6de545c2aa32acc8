"""Palettes: exact ones for few colours, adaptive ones for many, shared by several frames or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageChops

from offloop_workers.images.codecs import formats

_SAMPLED: Final = 2_000_000
"""Pixels of all frames together that an adaptive palette is made from."""


@dataclass(frozen=True, slots=True)
class Shared:
    """A palette of several frames.

    Attributes:
        table: red, green and blue of each colour.
        exact: whether the frames have no other colours.
    """

    table: bytes
    exact: bool

    def applied(self, frame: Image.Image) -> Image.Image:
        """The indices of the nearest colours, as a picture in the mode L."""
        if self.exact and (found := self._exactly(frame)):
            return found
        palette = Image.new("P", (1, 1))
        palette.putpalette(self.table)
        return _indices(frame.quantize(palette=palette, dither=Image.Dither.NONE))

    def _exactly(self, frame: Image.Image) -> Image.Image | None:
        own = frame.quantize(256, Image.Quantize.MEDIANCUT)
        places = {self.table[at : at + 3]: at // 3 for at in range(0, len(self.table), 3)}
        table = bytes(own.getpalette() or [])
        used = [number for number, count in enumerate(own.histogram()) if count]
        try:
            places_of_own = {number: places[table[3 * number : 3 * number + 3]] for number in used}
        except KeyError:  # two colours were joined
            return None
        return _indices(own).point([places_of_own.get(number, 0) for number in range(256)])


def shared(frames: Sequence[Image.Image], opaque: Sequence[Image.Image], most: int) -> Shared:
    """One palette for all frames.

    Args:
        frames: in RGB.
        opaque: masks of the pixels that count.
        most: maximum number of colours.
    """
    if found := _all_colours(frames, opaque, most):
        return Shared(b"".join(map(bytes, sorted(found))), exact=True)
    width, height = frames[0].size
    share = min(1.0, (_SAMPLED / (width * height * len(frames))) ** 0.5)
    size = (max(1, round(width * share)), max(1, round(height * share)))
    strip = Image.new("RGB", (size[0], size[1] * len(frames)))
    for number, (frame, mask) in enumerate(zip(frames, opaque, strict=True)):
        strip.paste(frame.resize(size, Image.Resampling.NEAREST), (0, number * size[1]), mask.resize(size))
    return Shared(_table(strip.quantize(most, Image.Quantize.MEDIANCUT)), exact=False)


def local(picture: Image.Image, most: int) -> tuple[Image.Image, bytes]:
    """The indices of a picture in a palette of its own, and that palette."""
    few = picture.quantize(most, Image.Quantize.MEDIANCUT)
    return _indices(few), _table(few)


def simplest(picture: Image.Image, *, grey: bool = True) -> Image.Image:
    """The same pixels without opaque alpha, colours that are grey, or more bits than its colours need.

    Args:
        picture: in one of the modes L, LA, RGB and RGBA.
        grey: whether colours that are grey may be stored as grey; a colour profile for RGB forbids it.
    """
    if picture.mode in {"LA", "RGBA"}:
        if formats.is_transparent(picture):
            return picture
        picture = picture.convert(picture.mode.removesuffix("A"))
    if grey and picture.mode == "RGB" and formats.is_grey(picture):
        picture = picture.getchannel("R")
    if picture.mode == "L" and not any(picture.histogram()[1:255]):
        return picture.convert("1", dither=Image.Dither.NONE)
    if picture.mode != "RGB" or picture.getcolors(256) is None:
        return picture
    few = picture.quantize(256, Image.Quantize.MEDIANCUT)
    return few if ImageChops.difference(few.convert("RGB"), picture).getbbox() is None else picture


def shared_exactly(frames: Sequence[Image.Image]) -> list[Image.Image] | None:
    """Opaque frames with one palette of all their colours; None where there are too many, or transparent pixels."""
    if any(frame.mode not in {"L", "RGB"} for frame in frames):
        return None
    plain = [frame.convert("RGB") for frame in frames]
    opaque = [Image.new("L", plain[0].size, 255)] * len(plain)
    found = _all_colours(plain, opaque, 256)
    return _with_palette(plain, Shared(b"".join(map(bytes, sorted(found))), exact=True)) if found else None


def reduced(frames: Sequence[Image.Image], most: int) -> list[Image.Image]:
    """The frames with one palette; those with transparent pixels stay as they are."""
    if any(frame.mode not in {"L", "RGB"} for frame in frames):
        return list(frames)
    plain = [frame.convert("RGB") for frame in frames]
    opaque = [Image.new("L", plain[0].size, 255)] * len(plain)
    return _with_palette(plain, shared(plain, opaque, most))


def _with_palette(frames: Sequence[Image.Image], palette: Shared) -> list[Image.Image]:
    found = []
    for frame in frames:
        indices = palette.applied(frame)
        indices.putpalette(palette.table)
        found.append(indices)
    return found


def _all_colours(
    frames: Sequence[Image.Image], opaque: Sequence[Image.Image], most: int
) -> set[tuple[int, int, int]] | None:
    """The colours of all frames; None where they are more than `most`."""
    found: set[tuple[int, int, int]] = set()
    for frame, mask in zip(frames, opaque, strict=True):
        visible = frame
        if mask.getextrema()[0] == 0:
            visible = Image.new("RGB", frame.size)
            visible.paste(frame, mask=mask)
        colours = visible.getcolors(most + 1)
        if colours is None:
            return None
        found |= {colour for _, colour in colours if isinstance(colour, tuple)}  # type: ignore[misc]
        if len(found) > most:
            return None
    return found


def _indices(picture: Image.Image) -> Image.Image:
    return Image.frombytes("L", picture.size, picture.tobytes())


def _table(picture: Image.Image) -> bytes:
    used = max(number for number, count in enumerate(picture.histogram()) if count)
    return bytes(picture.getpalette() or [])[: 3 * (used + 1)]
