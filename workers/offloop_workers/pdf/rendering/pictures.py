"""Guard for pictures in documents: WeasyPrint opens them with Pillow, which would try every decoder it has."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, ImageFile, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "TIFF", "BMP")
MAX_PIXELS = 100_000_000


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


def fault(content: bytes) -> str:
    """The fault of a picture, or ``""`` for a sound one and for other files, such as fonts, style sheets and SVG.

    WeasyPrint decodes some pictures only during the write, where a damaged one would fail the job. Call it inside
    `guarded`.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            picture.draft(picture.mode, (picture.width // 8 or 1, picture.height // 8 or 1))  # JPEG: decode an eighth
            picture.load()
    except UnidentifiedImageError:
        return ""
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return f"the picture has more than {MAX_PIXELS:,} pixels; make it smaller"
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 -- decoders raise exceptions of any type on damaged data
        return "the picture is damaged or cut off; send the complete file"
    return ""
