"""Upright copies in sRGB, in full or reduced; a JPEG is decoded at reduced size."""

from __future__ import annotations

from PIL import Image

from offloop_workers.raster import colours, orientation
from offloop_workers.raster.orientation import Orientation, Size
from offloop_workers.raster.reading import Source, decode
from offloop_workers.raster.warned import Warned


def upright(source: Source, found: Orientation, room: Size | None, context: Warned) -> Image.Image:
    """The current page or frame, in one of the modes L, LA, RGB and RGBA.

    Args:
        source: not yet decoded.
        found: its orientation.
        room: in upright pixels; the copy is scaled down to fit. None keeps the size.
        context: takes warnings.
    """
    picture, transposition = source.picture, found.transposition()
    if room and orientation.swaps(transposition):
        room = room[::-1]
    if room and source.format == "jpeg":
        factor = min(1.0, room[0] / picture.width, room[1] / picture.height)
        picture.draft(picture.mode, (max(1, int(picture.width * factor)), max(1, int(picture.height * factor))))
    profile = picture.info.get("icc_profile")
    decode(picture)
    # Profiles are applied after scaling, on fewer pixels.
    copy = colours.in_eight_bits(picture, context).copy()
    if room:
        copy.thumbnail(room, Image.Resampling.LANCZOS, reducing_gap=2.0)
    copy = colours.to_srgb(copy, profile, context)
    return copy if transposition is None else copy.transpose(transposition)
