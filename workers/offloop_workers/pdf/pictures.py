"""Which pictures a document may hold: WeasyPrint opens them with Pillow, and lets Pillow try every decoder it has."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, ImageFile

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "TIFF", "BMP")
MAX_PIXELS = 100_000_000


@contextmanager
def guarded() -> Iterator[None]:
    """Leave Pillow only `FORMATS` and `MAX_PIXELS`, and let it refuse a damaged file instead of drawing half of it.

    A picture that is refused is left out with a warning. Everything is as before when the block ends.
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
