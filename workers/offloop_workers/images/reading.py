"""Opening a picture of unknown origin: few formats, few pixels, and a sentence for each thing that may be wrong."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from PIL import Image, ImageFile, UnidentifiedImageError

from offloop.errors import JobError, LimitExceeded, OffloopError
from offloop.jobs.images import MAX_PIXELS

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "TIFF", "BMP")
_NAMES = "JPEG, PNG, WebP, AVIF, GIF, TIFF or BMP"
# What callers send by mistake, by its first bytes, so that the answer can say what it is.
_OTHERS = (
    (0, b"%PDF", "a PDF"),
    (0, b"%!PS", "PostScript"),
    (0, b"\xc5\xd0\xd3\xc6", "PostScript"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"<svg", "an SVG drawing"),
    (0, b"<?xml", "an XML document (SVG?)"),
    (0, b"<!DOCTYPE", "an HTML page"),
    (0, b"<html", "an HTML page"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"\x00\x00\x01\x00", "an icon"),
    (4, b"ftyphei", "a HEIC picture"),
    (4, b"ftypmif1", "a HEIF picture"),
    (4, b"ftypiso", "a video"),
    (4, b"ftypmp4", "a video"),
    (4, b"ftypqt", "a video"),
)


def open_picture(file: BinaryIO) -> Image.Image:
    """Read the head of a picture and check it; no pixel has been decoded yet.

    Raises:
        JobError: ``not_an_image``: it is empty, not a picture, or of a format that is not accepted.
        LimitExceeded: it has more than `MAX_PIXELS` pixels.
    """
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # some libraries turn it on for the whole process
    Image.MAX_IMAGE_PIXELS = None  # ours is checked below, with a sentence of its own
    head = file.read(64)
    if not head:
        message = "The picture is empty: 0 bytes. Send the file itself."
        raise JobError(message, code="not_an_image")
    file.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on odd metadata, which is dropped anyway
            picture = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        raise _not_accepted(head) from None
    except MemoryError:
        raise
    except Exception as error:
        raise _damaged(error) from error
    width, height = picture.size
    if width * height > MAX_PIXELS:
        message = (
            f"The picture has {width:,} x {height:,} = {width * height:,} pixels, more than the {MAX_PIXELS:,} that "
            "are decoded: send a smaller one."
        )
        raise LimitExceeded(message)
    return picture


@contextmanager
def decoding() -> Iterator[None]:
    """Turn whatever a decoder throws at a damaged file into one sentence.

    Raises:
        JobError: ``damaged_image``.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (OffloopError, MemoryError):
        raise
    except Exception as error:
        raise _damaged(error) from error


def size_of(file: BinaryIO) -> int:
    """Bytes of an open file, which is then at its start."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return size


def _damaged(error: Exception) -> JobError:
    said = " ".join(str(error).split())[:120] or type(error).__name__
    message = f"The picture is damaged or cut off ({said}): send the complete file."
    return JobError(message, code="damaged_image")


def _not_accepted(head: bytes) -> JobError:
    start = head.lstrip()
    for offset, magic, name in _OTHERS:
        if start[offset : offset + len(magic)].lower() == magic.lower():
            message = f"The file is {name}; pictures may be {_NAMES}. Convert it first."
            return JobError(message, code="not_an_image")
    message = f"The file is not a picture, or its first bytes are damaged; pictures may be {_NAMES}."
    return JobError(message, code="not_an_image")
