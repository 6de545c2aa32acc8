"""Colour conversion: to grey or sRGB, with or without alpha, eight bits a channel."""

from __future__ import annotations

import io
import math
from typing import cast

from PIL import Image, ImageCms, ImageColor

from offloop.kinds.context import Context

_GREY_16 = {"I;16", "I;16B", "I;16L", "I;16N", "I"}
_SRGB = ImageCms.createProfile("sRGB")


def to_srgb(picture: Image.Image, profile: bytes | None, context: Context) -> Image.Image:
    """Convert to one of the modes L, LA, RGB, RGBA, and from the embedded profile, if any, to sRGB."""
    picture = _eight_bits(picture, context)
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if source.profile.xcolor_space.strip() == _space(picture):
                return _convert(picture, source)
        except (ImageCms.PyCMSError, OSError, ValueError):
            context.warn("The picture's colour profile cannot be used; its colours were taken as they are.")
    return picture if picture.mode in {"L", "LA", "RGB", "RGBA"} else picture.convert("RGB")


def _convert(picture: Image.Image, source: ImageCms.ImageCmsProfile) -> Image.Image:
    alpha = picture.getchannel("A") if picture.mode in {"LA", "RGBA"} else None
    if alpha is not None:
        picture = picture.convert(picture.mode.removesuffix("A"))
    grey = picture.mode == "L"
    # None only when converting in place.
    converted = cast("Image.Image", ImageCms.profileToProfile(picture, source, _SRGB, outputMode="RGB"))
    if grey:
        converted = converted.convert("L")
    if alpha is not None:
        converted.putalpha(alpha)
    return converted


def _space(picture: Image.Image) -> str:
    return {"L": "GRAY", "LA": "GRAY", "CMYK": "CMYK", "LAB": "Lab"}.get(picture.mode, "RGB")


def _eight_bits(picture: Image.Image, context: Context) -> Image.Image:
    """Expand palettes and single bits and reduce 16-bit grey, with alpha; CMYK and Lab are left to their profile."""
    if picture.mode in _GREY_16:
        # Pillow's own conversion clips at 255 instead of taking the upper byte.
        return picture.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if picture.mode == "F":
        return _from_floats(picture, context)
    if picture.mode in {"P", "PA"} or "transparency" in picture.info:
        return picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    if picture.mode == "1":
        return picture.convert("L")
    if picture.mode in {"L", "LA", "RGB", "RGBA", "CMYK", "LAB"}:
        return picture
    return picture.convert("RGBA" if picture.has_transparency_data else "RGB")


def _from_floats(picture: Image.Image, context: Context) -> Image.Image:
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
    context.warn(f"The picture's numbers, {low:g} to {high:g}, were spread from black to white.")
    factor = 255 / (high - low) if high > low else 0.0
    return picture.point(lambda value: value * factor + (0.5 - low * factor)).convert("L")


def fits_profile(picture: Image.Image, profile: bytes) -> bool:
    """Whether the profile matches the picture's colour space, grey or RGB."""
    try:
        space = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space.strip()
    except (ImageCms.PyCMSError, OSError, ValueError):
        return False
    return picture.mode in {"L", "LA", "RGB", "RGBA"} and space == _space(picture)


def profile_name(profile: bytes) -> str | None:
    """The description of a profile."""
    try:
        found = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    return "".join(character for character in found if character.isprintable()).strip()[:120] or None


def flattened(picture: Image.Image, background: str) -> Image.Image:
    """The picture composited onto a colour, without alpha."""
    if picture.mode not in {"LA", "RGBA"}:
        return picture
    canvas = Image.new("RGBA", picture.size, ImageColor.getrgb(background))
    canvas.alpha_composite(picture.convert("RGBA"))
    return canvas.convert("RGB")
