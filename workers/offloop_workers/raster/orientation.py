"""Orientation of a picture: what its metadata states, and what its decoder applies by itself."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from PIL import ExifTags, Image, TiffImagePlugin

from offloop_workers.raster.warned import Warned

Size = tuple[int, int]

_TAG: Final = ExifTags.Base.Orientation
UPRIGHT: Final = MappingProxyType(
    {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
)
"""By EXIF orientation: the transposition that makes the picture upright (1 is upright already)."""
_INVERSE: Final = {6: UPRIGHT[8], 8: UPRIGHT[6]}
_SWAPPING: Final = frozenset(UPRIGHT[value] for value in (5, 6, 7, 8))


@dataclass(frozen=True, slots=True)
class Orientation:
    """Orientation of one page or frame; take it before the pixels are decoded.

    Attributes:
        value: as the metadata states, 1 to 8.
        decoded: the orientation that the decoder applies by itself; 1 for none.
        stored: width and height as stored.
    """

    value: int
    decoded: int
    stored: Size

    @property
    def upright_size(self) -> Size:
        """Width and height of the upright picture."""
        return self.stored[::-1] if self.value >= 5 else self.stored  # noqa: PLR2004 -- from 5 on, swapped

    def transposition(self) -> Image.Transpose | None:
        """The transposition that makes decoded pixels upright."""
        return None if self.decoded == self.value else UPRIGHT.get(self.value)

    def undone(self, *, upright: bool) -> Image.Transpose | None:
        """The transposition that gives pixels, decoded or upright, back as they are stored."""
        value = self.value if upright else self.decoded
        return _INVERSE.get(value, UPRIGHT.get(value))


def exif_of(picture: Image.Image, context: Warned) -> Image.Exif:
    """The picture's EXIF; empty, with a warning, where it cannot be read. Call it where the pixels may be decoded."""
    if picture.format == "PNG" and "exif" not in picture.info:
        picture.load()  # it may be behind the pixels; a fault of these is none of the metadata
    try:
        exif = picture.getexif()
        exif.get_ifd(ExifTags.IFD.Exif)
        exif.get_ifd(ExifTags.IFD.GPSInfo)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 -- the parser raises exceptions of any type; the picture is usable without EXIF
        context.warn("The picture's metadata is damaged and was ignored.")
        return Image.Exif()
    return exif


def of(picture: Image.Image, exif: Image.Exif, context: Warned) -> Orientation:
    """The orientation of the current page or frame, which must not be decoded yet."""
    found = exif.get(_TAG)
    value = _valid(found)
    if found is not None and value is None:
        context.warn(f"The picture's orientation tag is invalid ({found!r:.40}); the picture was taken as upright.")
    if not isinstance(picture, TiffImagePlugin.TiffImageFile):
        return Orientation(value or 1, 1, picture.size)
    # Pillow turns a TIFF while it decodes it. Its header size is swapped by the tag, but not by an orientation in XMP.
    swapped = picture.tag_v2.get(_TAG) in {5, 6, 7, 8}
    decoded = int(found) if found in UPRIGHT else 1  # type: ignore[arg-type]
    return Orientation(value or 1, decoded, picture.size[::-1] if swapped else picture.size)


def read(picture: Image.Image, context: Warned) -> Orientation:
    """The orientation of the current page or frame, which must not be decoded yet, where no other EXIF is needed."""
    return of(picture, exif_of(picture, context), context)


def swaps(transposition: Image.Transpose | None) -> bool:
    """Whether it exchanges width and height."""
    return transposition in _SWAPPING


def _valid(found: Any) -> int | None:
    if isinstance(found, (bytes, tuple)) and len(found) == 1:  # type BYTE, or a list of one
        found = found[0]
    if isinstance(found, (str, bytes, tuple)):
        return None
    return next((value for value in range(1, 9) if found == value), None)
