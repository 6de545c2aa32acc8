"""Effects: trim, adjustments, blur, sharpening, padding; each leaves what it is not asked for as it is."""

from __future__ import annotations

from typing import Final

from PIL import Image, ImageChops, ImageEnhance, ImageFilter

from offloop.jobs.images import Transformation
from offloop_workers.images.anchors import Box, spot_of
from offloop_workers.images.plan import Size

_SHARPER: Final = 120
"""Percent: visible without halos."""


def trimmed(picture: Image.Image, tolerance: int) -> Box | None:
    """The part without its border of one colour; None where nothing but that colour is there."""
    if picture.mode in {"LA", "RGBA"}:
        corner = picture.getpixel((0, 0))
        if isinstance(corner, tuple) and corner[-1] <= tolerance:
            return _found(picture.getchannel("A"), tolerance)
        picture = picture.convert(picture.mode.removesuffix("A"))
    corner = picture.getpixel((0, 0))
    differs = ImageChops.difference(picture, Image.new(picture.mode, picture.size, corner))
    bands = differs.split()
    most = bands[0]
    for band in bands[1:]:
        most = ImageChops.lighter(most, band)
    return _found(most, tolerance)


def _found(grey: Image.Image, tolerance: int) -> Box | None:
    return grey.point(lambda value: 255 if value > tolerance else 0).getbbox()


def adjusted(picture: Image.Image, request: Transformation) -> Image.Image:
    """Greyscale, brightness, contrast, saturation, blur, sharpen, in this order."""
    if request.greyscale and picture.mode not in {"L", "LA"}:
        picture = picture.convert("LA" if picture.mode == "RGBA" else "L")
    if request.brightness != 1:
        picture = ImageEnhance.Brightness(picture).enhance(request.brightness)
    if request.contrast != 1:
        picture = ImageEnhance.Contrast(picture).enhance(request.contrast)
    if request.saturation != 1 and picture.mode not in {"L", "LA"}:
        picture = ImageEnhance.Color(picture).enhance(request.saturation)
    if request.blur:
        picture = _blurred(picture, request.blur)
    if request.sharpen:
        picture = picture.filter(ImageFilter.UnsharpMask(request.sharpen, _SHARPER, 0))
    return picture


def _blurred(picture: Image.Image, radius: float) -> Image.Image:
    """With colours weighted by their opacity, else what is invisible would darken the edges."""
    weighted = {"RGBA": "RGBa", "LA": "La"}.get(picture.mode)
    if weighted is None:
        return picture.filter(ImageFilter.GaussianBlur(radius))
    return picture.convert(weighted).filter(ImageFilter.GaussianBlur(radius)).convert(picture.mode)


def padded(picture: Image.Image, canvas: Size, gravity: str) -> Image.Image:
    """The picture on a transparent ground of this size."""
    if picture.size == canvas:
        return picture
    ground = Image.new("RGBA", canvas, (0, 0, 0, 0))
    across, down = spot_of(gravity)
    place = (round((canvas[0] - picture.width) * across), round((canvas[1] - picture.height) * down))
    ground.paste(picture.convert("RGBA"), place)
    return ground
