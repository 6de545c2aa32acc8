"""Effects: trim, adjustments, blur, sharpening, padding."""

from __future__ import annotations

from typing import Final

from PIL import Image, ImageChops, ImageEnhance, ImageFilter

from offloop.jobs.images import Transformation
from offloop_workers.images.frames.anchors import Box, alignment
from offloop_workers.images.frames.plan import Size

_SHARPER: Final = 120
"""Strength of the unsharp mask in percent: visible, but without halos."""


def trimmed(picture: Image.Image, tolerance: int) -> Box | None:
    """The box inside a border of one colour; None where the picture has no other colour."""
    if picture.mode in {"LA", "RGBA"}:
        corner = picture.getpixel((0, 0))
        if isinstance(corner, tuple) and corner[-1] <= tolerance:
            return _box_above(picture.getchannel("A"), tolerance)
        picture = picture.convert(picture.mode.removesuffix("A"))
    corner = picture.getpixel((0, 0))
    difference = ImageChops.difference(picture, Image.new(picture.mode, picture.size, corner))
    bands = difference.split()
    largest = bands[0]
    for band in bands[1:]:
        largest = ImageChops.lighter(largest, band)
    return _box_above(largest, tolerance)


def _box_above(grey: Image.Image, tolerance: int) -> Box | None:
    return grey.point(lambda value: 255 if value > tolerance else 0).getbbox()


def adjusted(picture: Image.Image, request: Transformation) -> Image.Image:
    """Apply greyscale, brightness, contrast, saturation, blur and sharpen, in this order."""
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
    """Blur with colours weighted by their opacity; otherwise transparent pixels would darken the edges."""
    weighted = {"RGBA": "RGBa", "LA": "La"}.get(picture.mode)
    if weighted is None:
        return picture.filter(ImageFilter.GaussianBlur(radius))
    return picture.convert(weighted).filter(ImageFilter.GaussianBlur(radius)).convert(picture.mode)


def padded(picture: Image.Image, canvas: Size, gravity: str) -> Image.Image:
    """The picture on a transparent canvas of this size."""
    if picture.size == canvas:
        return picture
    result = Image.new("RGBA", canvas, (0, 0, 0, 0))
    across, down = alignment(gravity)
    position = (round((canvas[0] - picture.width) * across), round((canvas[1] - picture.height) * down))
    result.paste(picture.convert("RGBA"), position)
    return result
