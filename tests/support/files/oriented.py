"""Pictures that are stored turned, with an orientation in their metadata, in every way a format has for it."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from PIL import ExifTags, Image, PngImagePlugin, TiffImagePlugin

from support.files.pictures import encoded, png_chunk, quarters

_TAG: Final = ExifTags.Base.Orientation
_STORED: Final = (None, 0, 3, 1, 5, 2, 6, 4)
"""By orientation from 1: the transposition that it undoes."""

Store = Callable[[Image.Image, int], bytes]


def stored(picture: Image.Image, orientation: int) -> Image.Image:
    """The pixels of an upright picture as this orientation stores them."""
    undo = _STORED[orientation - 1]
    return picture if undo is None else picture.transpose(Image.Transpose(undo))


def exif(orientation: Any, endian: str = "<", kind: int = 3, count: int = 1) -> bytes:
    """EXIF of one tag, of any TIFF type; numbers are written as two bytes, others as they are."""
    value = orientation if isinstance(orientation, bytes) else struct.pack(endian + "H", orientation)
    mark = b"II" if endian == "<" else b"MM"
    entry = struct.pack(endian + "HHI", _TAG, kind, count) + value.ljust(4, b"\0")
    head = mark + struct.pack(endian + "HI", 42, 8)
    return b"Exif\0\0" + head + struct.pack(endian + "H", 1) + entry + bytes(4)


def xmp(orientation: int, *, element: bool = False) -> bytes:
    """An XMP packet with the orientation as an attribute, or as an element."""
    attribute = "" if element else f' tiff:Orientation="{orientation}"'
    inner = f"<tiff:Orientation>{orientation}</tiff:Orientation>" if element else ""
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/"{attribute}>{inner}</rdf:Description>'
        "</rdf:RDF></x:xmpmeta>"
    ).encode()


def _exif_of(form: str, endian: str = "<") -> Store:
    return lambda picture, orientation: encoded(
        form, stored(picture, orientation), exif=exif(orientation, endian), **_QUALITY.get(form, {})
    )


def _xmp_of(form: str, *, element: bool = False) -> Store:
    return lambda picture, orientation: encoded(
        form, stored(picture, orientation), xmp=xmp(orientation, element=element), **_QUALITY.get(form, {})
    )


def _tiff(**options: Any) -> Store:
    def write(picture: Image.Image, orientation: int) -> bytes:
        tags = TiffImagePlugin.ImageFileDirectory_v2(
            b"MM\0*\0\0\0\0" if options.get("big_endian") else b"II*\0\0\0\0\0"
        )
        tags[_TAG] = orientation
        more = {name: value for name, value in options.items() if name != "big_endian"}
        return encoded("TIFF", stored(picture, orientation), tiffinfo=tags, **more)

    return write


def _tiff_by_xmp(picture: Image.Image, orientation: int) -> bytes:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[700] = xmp(orientation)
    tags.tagtype[700] = 1
    return encoded("TIFF", stored(picture, orientation), tiffinfo=tags)


def _png_by_text(picture: Image.Image, orientation: int) -> bytes:
    """As ImageMagick wrote EXIF before PNG had a chunk for it."""
    content = exif(orientation)
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", f"\nexif\n{len(content):8}\n{content.hex()}\n", zip=True)
    return encoded("PNG", stored(picture, orientation), pnginfo=info)


def _png_behind_pixels(picture: Image.Image, orientation: int) -> bytes:
    whole = encoded("PNG", stored(picture, orientation))
    end = whole.index(b"IEND") - 4
    return whole[:end] + png_chunk(b"eXIf", exif(orientation)[6:]) + whole[end:]


def _mpo(picture: Image.Image, orientation: int) -> bytes:
    turned = stored(picture, orientation)
    out = io.BytesIO()
    turned.save(out, "MPO", save_all=True, append_images=[turned], exif=exif(orientation), quality=95)
    return out.getvalue()


_QUALITY: Final[Mapping[str, dict[str, Any]]] = {
    "JPEG": {"quality": 95},
    "WEBP": {"quality": 95},
    "AVIF": {"quality": 95},
    "HEIF": {"quality": 95},
}
WAYS: Final[Mapping[str, Store]] = MappingProxyType(
    {
        "jpg": _exif_of("JPEG"),
        "jpg big-endian": _exif_of("JPEG", ">"),
        "jpg xmp": _xmp_of("JPEG"),
        "jpg xmp element": _xmp_of("JPEG", element=True),
        "jpg mpo": _mpo,
        "png": _exif_of("PNG"),
        "png big-endian": _exif_of("PNG", ">"),
        "png text": _png_by_text,
        "png behind the pixels": _png_behind_pixels,
        "webp": _exif_of("WEBP"),
        "webp xmp": _xmp_of("WEBP"),
        "avif": _exif_of("AVIF"),
        "heic": _exif_of("HEIF"),
        "tif": _tiff(),
        "tif big-endian": _tiff(big_endian=True),
        "tif lzw": _tiff(compression="tiff_lzw"),
        "tif jpeg": _tiff(compression="jpeg", quality=95),
        "tif xmp": _tiff_by_xmp,
    }
)
"""Ways to store an orientation, by the extension of the file and a word."""


def every(picture: Image.Image | None = None) -> list[tuple[str, int, bytes]]:
    """Each way with each orientation: its name, the orientation, the file."""
    source = picture or quarters()
    return [(way, value, store(source, value)) for way, store in WAYS.items() for value in range(1, 9)]
