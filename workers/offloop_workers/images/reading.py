"""Opening a picture of unknown origin: one decoder, few pixels, and a sentence for each thing that may be wrong."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import pillow_heif
from PIL import AvifImagePlugin, Image, ImageFile, PngImagePlugin, UnidentifiedImageError

from offloop.errors import JobError, LimitExceeded, OffloopError
from offloop.jobs.images import MAX_PIXELS
from offloop.kinds.context import Context
from offloop.kinds.references import FileReference
from offloop_workers.images import bounds, sniffing

MAX_TEXT = 4 << 20
"""Bytes that the compressed texts of a PNG may unfold to; past them the file is refused."""

pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
pillow_heif.options.DECODE_THREADS = 1  # a worker runs one child per core already
AvifImagePlugin.DEFAULT_MAX_THREADS = 1


@dataclass(frozen=True, slots=True)
class Source:
    """An open picture, of which no pixel has been decoded yet.

    Attributes:
        picture: for Pillow.
        format: as offloop calls it: ``jpeg``, ``heif``…
        bytes: size of the file.
    """

    picture: Image.Image
    format: str
    bytes: int


@contextmanager
def opened(reference: FileReference, context: Context) -> Iterator[Source]:
    """Open a referenced picture and check its head; the file is closed in the end.

    Raises:
        JobError: ``not_an_image`` or ``damaged_image``.
        LimitExceeded: it has too many pixels.
    """
    with context.open(reference) as file:
        picture = open_picture(file, bounds.still(context))
        form = str(picture.format).lower()
        # Not closed with the file: its pixels may be the result's.
        yield Source(picture, "jpeg" if form == "mpo" else form, size_of(file))


def open_picture(file: BinaryIO, most: int = MAX_PIXELS) -> Image.Image:
    """Read the head of a picture and check it; no pixel has been decoded yet.

    Args:
        file: at its start.
        most: pixels that it may have.

    Raises:
        JobError: ``not_an_image``: it is empty, not a picture, or of a format that is not accepted.
        LimitExceeded: it has more pixels.
    """
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # WeasyPrint turns it on when it is imported
    PngImagePlugin.MAX_TEXT_MEMORY = MAX_TEXT
    decoder = sniffing.decoder_for(file.read(sniffing.HEAD))
    file.seek(0)
    # Below, the size is refused in a sentence that tells it; but a TIFF also has tiles, which Pillow looks at now.
    Image.MAX_IMAGE_PIXELS = most if decoder == "TIFF" else None
    try:
        with _strict():
            picture = Image.open(file, formats=[decoder])
    except UnidentifiedImageError as error:
        raise _damaged(error, said="its head cannot be read") from None
    except (OffloopError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_many_inside() from None
    except Exception as error:
        raise _damaged(error) from error
    Image.MAX_IMAGE_PIXELS = most  # for pictures and tiles within the picture
    check_size(picture, most)
    return picture


def check_size(picture: Image.Image, most: int) -> None:
    """Refuse more pixels than may be decoded; pages of one file may differ in size.

    Raises:
        LimitExceeded: it has more.
    """
    width, height = picture.size
    if width * height > most:
        message = (
            f"The picture has {width:,} x {height:,} = {width * height:,} pixels, more than the {most:,} that "
            "are decoded: send a smaller one."
        )
        raise LimitExceeded(message)


@contextmanager
def decoding() -> Iterator[None]:
    """Turn whatever a decoder throws at a damaged file into one sentence.

    Raises:
        JobError: ``damaged_image``.
        LimitExceeded: a picture within the picture has too many pixels.
    """
    try:
        with _strict():
            yield
    except (OffloopError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_many_inside() from None
    except Exception as error:
        raise _damaged(error) from error


def size_of(file: BinaryIO) -> int:
    """Bytes of an open file, which is then where it was."""
    here = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(here)
    return size


@contextmanager
def _strict() -> Iterator[None]:
    """Remarks on odd metadata are nothing to a caller; a remark on too many pixels is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _too_many_inside() -> LimitExceeded:
    most = Image.MAX_IMAGE_PIXELS or MAX_PIXELS
    message = f"The picture unfolds to more than the {most:,} pixels that are decoded: send a smaller one."
    return LimitExceeded(message)


def _damaged(error: Exception, *, said: str = "") -> JobError:
    said = said or " ".join(str(error).split())[:120] or type(error).__name__
    message = f"The picture is damaged or cut off ({said}): send the complete file."
    return JobError(message, code="damaged_image")
