"""Thumbnails: small upright copies in sRGB; a JPEG is decoded at reduced size."""

from __future__ import annotations

from PIL import Image

from offloop.kinds.context import Context
from offloop_workers.images.codecs import colours, metadata
from offloop_workers.images.codecs.reading import Source
from offloop_workers.images.frames.plan import Size


def thumbnail(source: Source, exif: Image.Exif, room: Size, context: Context) -> Image.Image:
    """The first frame, scaled down to fit `room`, which is in upright pixels."""
    picture, transposition = source.picture, metadata.UPRIGHT.get(metadata.orientation(exif))
    stored = room[::-1] if metadata.orientation(exif) >= 5 else room  # noqa: PLR2004 -- from 5 on, swapped
    if source.format == "jpeg":
        factor = min(1.0, stored[0] / picture.width, stored[1] / picture.height)
        picture.draft(picture.mode, (max(1, int(picture.width * factor)), max(1, int(picture.height * factor))))
    profile = picture.info.get("icc_profile")
    picture.load()
    deep = picture.mode in {"CMYK", "LAB"}
    small = picture if deep else colours.to_srgb(picture, None, context)
    small = small.copy()
    small.thumbnail(stored, Image.Resampling.LANCZOS, reducing_gap=2.0)
    if profile or deep:
        small = colours.to_srgb(small, profile, context)
    return small if transposition is None else small.transpose(transposition)


def upright_size(picture: Image.Image, exif: Image.Exif) -> Size:
    """Width and height of the upright picture."""
    return picture.size[::-1] if metadata.orientation(exif) >= 5 else picture.size  # noqa: PLR2004 -- from 5 on, swapped
