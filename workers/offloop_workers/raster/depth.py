"""Bits of each channel of a stored picture; Pillow keeps eight of them and does not say how many there were."""

from __future__ import annotations

from typing import Any, BinaryIO, Final

from PIL import Image, TiffImagePlugin
from PIL.ExifTags import Base

from offloop_workers.raster.warned import Warned

_PNG_DEPTH: Final = 24
"""Offset of the depth in a PNG."""
_AVIF_HEAD: Final = 1 << 16
_AVIF_HIGH, _AVIF_TWELVE = 0x40, 0x20


def bits_of(picture: Image.Image, file: BinaryIO) -> int:
    """Bits a channel of the current page; 8 where the header does not tell more."""
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        found = picture.tag_v2.get(Base.BitsPerSample)
        return max((value for value in found if isinstance(value, int)), default=8) if isinstance(found, tuple) else 8
    if picture.format == "PNG":
        return _read(file, _PNG_DEPTH + 1)[_PNG_DEPTH]
    if picture.format == "HEIF":
        found = picture.info.get("bit_depth")
        return found if isinstance(found, int) else 8
    if picture.format == "AVIF":
        return _bits_of_avif(_read(file, _AVIF_HEAD))
    return 8


def scale_transparency(picture: Image.Image, bits: int) -> None:
    """Bring the transparent colour of a PNG, which Pillow leaves in the depth of the file, to that of the pixels."""
    found: Any = picture.info.get("transparency")
    if picture.mode == "L" and isinstance(found, int) and bits < 8:  # noqa: PLR2004 -- less than a byte
        picture.info["transparency"] = found * 255 // (2**bits - 1)
    elif picture.mode == "RGB" and isinstance(found, tuple) and bits > 8:  # noqa: PLR2004 -- more than a byte
        picture.info["transparency"] = tuple(value >> 8 for value in found)


def warn_of_lost_bits(bits: int, context: Warned, name: str = "The picture") -> None:
    """Warn where a result has fewer bits than its source."""
    if bits > 8:  # noqa: PLR2004 -- more than a byte
        context.warn(f"{name} has {bits} bits a channel; the result has 8.")


def _bits_of_avif(head: bytes) -> int:
    at = head.find(b"av1C")
    flags = head[at + 6] if 0 <= at < len(head) - 6 else 0
    if not flags & _AVIF_HIGH:
        return 8
    return 12 if flags & _AVIF_TWELVE else 10


def _read(file: BinaryIO, count: int) -> bytes:
    position = file.tell()
    file.seek(0)
    head = file.read(count)
    file.seek(position)
    return head
