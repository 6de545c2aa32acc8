"""Grey pictures with more than eight bits, reduced to eight."""

from __future__ import annotations

import math
from typing import Final, cast

from PIL import Image, ImageMath, ImageOps
from PIL.ExifTags import Base

from offloop_workers.raster import tiff
from offloop_workers.raster.warned import Warned

_GREY_16: Final = frozenset({"I;16", "I;16B", "I;16L", "I;16N"})
_WHITE_IS_ZERO: Final = 0
_SAMPLE_FORMAT: Final = 339


def is_grey(picture: Image.Image) -> bool:
    """Whether it is grey with more than eight bits."""
    return picture.mode in _GREY_16 or picture.mode in {"I", "F"}


def reduced(picture: Image.Image, context: Warned) -> Image.Image:
    """Such a picture in eight bits, in the mode L, or LA where one of its values stands for transparent."""
    mask = _opaque(picture)
    if picture.mode in _GREY_16:
        # Pillow's own conversion clips at 255 instead of taking the upper byte.
        factor = 255 / (2 ** _bits(picture) - 1)
        grey = picture.convert("I").point(lambda value: value * factor + 0.5).convert("L")
    else:
        grey = _from_whole(picture, context) if picture.mode == "I" else _from_fractions(picture, context)
    # Pillow inverts grey whose white is 0 up to eight bits only.
    if tiff.tag(picture, Base.PhotometricInterpretation) == _WHITE_IS_ZERO:
        grey = ImageOps.invert(grey)
    if mask is not None:
        grey.putalpha(mask)
    return grey


def _opaque(picture: Image.Image) -> Image.Image | None:
    """The mask of the pixels that do not have the transparent value."""
    transparent = picture.info.get("transparency")
    if not isinstance(transparent, int):
        return None
    mask = ImageMath.lambda_eval(lambda given: given["grey"] != transparent, grey=picture.convert("I"))
    return cast("Image.Image", mask).point(lambda value: value * 255).convert("L")


def _bits(picture: Image.Image) -> int:
    found = tiff.tag(picture, Base.BitsPerSample)
    first = found[0] if isinstance(found, tuple) and found else 16
    return first if first in {10, 12, 14} else 16


def _is_unsigned(picture: Image.Image) -> bool:
    return tiff.tag(picture, Base.BitsPerSample) == (32,) and tiff.tag(picture, _SAMPLE_FORMAT) in {None, (1,)}


def _from_whole(picture: Image.Image, context: Warned) -> Image.Image:
    """Grey from whole numbers: 0 to 65,535 are taken as sixteen bits, other ranges are stretched."""
    if _is_unsigned(picture):  # Pillow takes the highest bit as a sign
        numbers = ImageMath.lambda_eval(
            lambda given: given["float"](given["one"]) + given["float"](given["one"] < 0) * 2.0**32, one=picture
        )
        picture = cast("Image.Image", numbers)
    low, high = cast("tuple[float, float]", picture.getextrema())
    if low < 0 or high > 65_535:  # noqa: PLR2004 -- sixteen bits
        return _stretched(picture.convert("F"), low, high, context)
    if 0 < high < 256:  # noqa: PLR2004 -- eight bits
        context.warn(f"The picture's numbers, {low:g} to {high:g}, were taken as parts of 65,535: it is nearly black.")
    return picture.point(lambda value: value * (255 / 65_535) + 0.5).convert("L")


def _from_fractions(picture: Image.Image, context: Warned) -> Image.Image:
    """Grey from floats of unknown range: 0 to 1 and 0 to 255 are recognised, other ranges are stretched.

    A quarter more on both sides is tolerated, since resizing overshoots.
    """
    low, high = cast("tuple[float, float]", picture.getextrema())
    if not (math.isfinite(low) and math.isfinite(high)):
        context.warn("The picture's numbers are not all finite; it may come out black or white in places.")
        return picture.convert("L")
    if low >= -0.25 and high <= 1.25:  # noqa: PLR2004 -- a quarter more
        return picture.point(lambda value: value * 255 + 0.5).convert("L")
    if low >= -64 and high <= 320:  # noqa: PLR2004 -- a quarter more
        return picture.convert("L")
    return _stretched(picture, low, high, context)


def _stretched(picture: Image.Image, low: float, high: float, context: Warned) -> Image.Image:
    context.warn(f"The picture's numbers, {low:g} to {high:g}, were spread from black to white.")
    factor = 255 / (high - low) if high > low else 0.0
    return picture.point(lambda value: value * factor + (0.5 - low * factor)).convert("L")
