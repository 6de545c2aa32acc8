"""Which pictures a document may hold: WeasyPrint opens them with Pillow, and lets Pillow try every decoder it has."""

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
    """Leave Pillow only `FORMATS` and `MAX_PIXELS`, and let it refuse a damaged file instead of drawing half of it.

    Everything is as before when the block ends.
    """
    Image.init()  # else Pillow adds its other decoders as soon as the few have failed
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
    """What is wrong with a picture, or ``""``: it is sound, or it is no picture but a font, a style sheet, a drawing.

    WeasyPrint decodes some pictures only while it writes the file, and there a damaged one would end the job. Inside
    `guarded`, this finds out beforehand.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            picture.draft(picture.mode, (picture.width // 8 or 1, picture.height // 8 or 1))  # JPEG: an eighth will do
            picture.load()
    except UnidentifiedImageError:
        return ""
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return f"the picture has more than {MAX_PIXELS:,} pixels; make it smaller"
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 -- decoders throw whatever they like at damaged data
        return "the picture is damaged or cut off; send the complete file"
    return ""
