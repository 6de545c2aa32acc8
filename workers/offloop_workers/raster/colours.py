"""Colour conversion: to grey or sRGB, with or without alpha, eight bits a channel."""

from __future__ import annotations

import io
from typing import cast

from PIL import Image, ImageCms, ImageColor

from offloop_workers.raster import deep, tiff
from offloop_workers.raster.warned import Warned

_SRGB = ImageCms.createProfile("sRGB")


def to_srgb(picture: Image.Image, profile: bytes | None, context: Warned) -> Image.Image:
    """Convert to one of the modes L, LA, RGB, RGBA, and from the embedded profile, if any, to sRGB."""
    picture = in_eight_bits(picture, context)
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if source.profile.xcolor_space.strip() == _space(picture):
                return _convert(picture, source)
        except (ImageCms.PyCMSError, OSError, ValueError):
            context.warn("The picture's colour profile cannot be used; its colours were taken as they are.")
    return picture if picture.mode in {"L", "LA", "RGB", "RGBA"} else picture.convert("RGB")


def in_eight_bits(picture: Image.Image, context: Warned) -> Image.Image:
    """Convert to one of the modes L, LA, RGB, RGBA, and leave CMYK and Lab to their profile.

    Expands palettes and single bits, reduces deeper grey, and applies transparency that is stored beside the pixels.
    The picture must be the decoded one and no copy of it, since the tags of a TIFF are needed.
    """
    if deep.is_grey(picture):
        return deep.reduced(picture, context)
    if picture.mode in {"P", "PA"} or "transparency" in picture.info:
        tiff.repair_palette(picture)
        return picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    if picture.mode == "1":
        return picture.convert("L")
    if picture.mode in {"L", "LA", "RGB", "RGBA", "CMYK", "LAB"}:
        return picture
    if picture.mode == "La":
        return picture.convert("LA")
    return picture.convert("RGBA" if picture.has_transparency_data else "RGB")


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


def fits_profile(picture: Image.Image, profile: bytes) -> bool:
    """Whether the profile matches the picture's colour space, grey or RGB."""
    try:
        space = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space.strip()
    except (ImageCms.PyCMSError, OSError, ValueError):
        return False
    return picture.mode in {"L", "LA", "RGB", "RGBA"} and space == _space(picture)


def is_srgb(profile: bytes) -> bool:
    """Whether the profile says that it is sRGB."""
    return "srgb" in (profile_name(profile) or "").lower()


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
