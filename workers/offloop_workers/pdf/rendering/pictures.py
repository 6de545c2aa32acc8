"""Pictures in documents: what WeasyPrint does not show as it should is decoded and encoded anew before it sees it.

WeasyPrint opens pictures with Pillow, which would try every decoder it has.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from PIL import ExifTags, Image, ImageFile

from offloop.errors import JobError, LimitExceeded
from offloop_workers.raster import colours, depth, frames, orientation, reading
from offloop_workers.raster.warned import Named, Warned

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "TIFF", "BMP")
MAX_PIXELS = 100_000_000
_JPEG_QUALITY: Final = 95
_PNG_MODES: Final = frozenset({"1", "L", "LA", "P", "RGB", "RGBA"})
_TAG: Final = ExifTags.Base.Orientation


class Unusable(ValueError):  # noqa: N818 -- no programming error
    """A picture that cannot be shown; the text is the reason."""


@contextmanager
def guarded() -> Iterator[None]:
    """Restrict Pillow to `FORMATS` and `MAX_PIXELS`, and make it refuse truncated files, until the block ends."""
    Image.init()  # otherwise Pillow registers its other decoders when the allowed ones have failed
    before = list(Image.ID), Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    Image.ID[:] = [name for name in Image.ID if name in FORMATS]
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        Image.ID[:], Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = before


def prepared(content: bytes, name: str, context: Warned) -> bytes:
    """The picture as WeasyPrint shows it right: itself where possible. Other files, such as fonts and SVG, pass.

    WeasyPrint decodes some pictures only during the write, where a damaged one would fail the job. Call it inside
    `guarded`.

    Raises:
        Unusable: it is damaged, or has too many pixels.
    """
    try:
        source = reading.source_of(io.BytesIO(content), MAX_PIXELS)
        with reading.decoding():
            return _prepared(source, content, Named(repr(name), context))
    except LimitExceeded:
        reason = f"the picture has more than {MAX_PIXELS:,} pixels; make it smaller"
        raise Unusable(reason) from None
    except JobError as error:
        if error.reason == "not_an_image":
            return content
        reason = "the picture is damaged or cut off; send the complete file"
        raise Unusable(reason) from None


def _prepared(source: reading.Source, content: bytes, warned: Warned) -> bytes:
    picture = source.picture
    frames.warn_of_others(source, warned)
    stated = picture.info.get("exif")  # the only place that WeasyPrint reads an orientation from
    found = orientation.read(picture, warned)
    if _is_right(source, turned_elsewhere=found.value != 1 and not stated):
        picture.draft(picture.mode, (picture.width // 8 or 1, picture.height // 8 or 1))  # JPEG: decode an eighth
        picture.load()
        return content
    depth.warn_of_lost_bits(source.bits, warned)
    profile = picture.info.get("icc_profile")
    reading.decode(picture)
    shown = colours.to_srgb(picture, profile, warned)
    undone = found.undone(upright=False)
    if undone is not None:  # the document says whether a picture is turned, and WeasyPrint does it
        shown = shown.transpose(undone)
    return _encoded(shown, found.value, as_photograph=source.format in {"jpeg", "heif"})


def _is_right(source: reading.Source, *, turned_elsewhere: bool) -> bool:
    """Whether WeasyPrint shows the picture as it should."""
    picture, profile = source.picture, source.picture.info.get("icc_profile")
    if turned_elsewhere or (profile and not colours.is_srgb(profile) and picture.mode != "CMYK"):
        return False
    if source.format == "jpeg":
        # Inks without Adobe's marker are inverted by viewers of pictures, but not by those of PDFs.
        return picture.mode in {"L", "RGB"} or "APP14" in getattr(picture, "app", {})
    if source.format == "png":
        transparent = "transparency" in picture.info and picture.mode != "P"
        return picture.mode in _PNG_MODES and not transparent and source.bits <= 8  # noqa: PLR2004 -- a byte
    return False


def _encoded(picture: Image.Image, value: int, *, as_photograph: bool) -> bytes:
    out = io.BytesIO()
    options: dict[str, Any] = {}
    if value != 1:
        exif = Image.Exif()
        exif[_TAG] = value
        options["exif"] = exif.tobytes()
    if as_photograph and "A" not in picture.mode:
        picture.save(out, "JPEG", quality=_JPEG_QUALITY, **options)
    else:
        picture.info = {}
        picture.save(out, "PNG", compress_level=1, **options)  # WeasyPrint compresses it once more
    return out.getvalue()
