"""Guarded opening of a picture of unknown origin: one decoder, bounded pixels, and a message for each fault."""

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
from offloop_workers.raster import bounds, depth, gif, sniffing, tiff

MAX_TEXT = 4 << 20
"""Decompressed bytes of the texts in a PNG; a file with more is refused."""

pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
pillow_heif.options.DECODE_THREADS = 1  # a worker runs one child per core already
AvifImagePlugin.DEFAULT_MAX_THREADS = 1


@dataclass(frozen=True, slots=True)
class Source:
    """An open picture, not yet decoded.

    Attributes:
        picture: Pillow's picture.
        format: in lower case: ``jpeg``, ``heif``…
        bytes: size of the file.
        bits: bits a channel of its first page.
        cut_off: whether it is a GIF without its end; frames may be missing.
    """

    picture: Image.Image
    format: str
    bytes: int
    bits: int = 8
    cut_off: bool = False


@contextmanager
def opened(reference: FileReference, context: Context) -> Iterator[Source]:
    """Open a referenced picture and check its header; the file is closed on exit.

    Raises:
        JobError: ``not_an_image`` or ``damaged_image``.
        LimitExceeded: it has too many pixels.
    """
    with context.open(reference) as file:
        # The picture is not closed with the file, since it may be the result.
        yield source_of(file, bounds.picture_pixels(context))


def source_of(file: BinaryIO, most: int = MAX_PIXELS) -> Source:
    """Open a file at its start, as `open_picture` does, and say what it is."""
    picture = open_picture(file, most)
    form = str(picture.format).lower()
    with decoding():
        bits = depth.bits_of(picture, file)
    cut_off = form == "gif" and not gif.is_complete(file)
    return Source(picture, "jpeg" if form == "mpo" else form, size_of(file), bits, cut_off)


def open_picture(file: BinaryIO, most: int = MAX_PIXELS) -> Image.Image:
    """Read and check the header of a picture, without decoding pixels.

    Args:
        file: at its start.
        most: maximum pixels of the picture.

    Raises:
        JobError: ``not_an_image``: it is empty, not a picture, or of a format that is not accepted; or
            ``damaged_image``.
        LimitExceeded: it has more pixels.
    """
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # WeasyPrint turns it on when it is imported
    PngImagePlugin.MAX_TEXT_MEMORY = MAX_TEXT
    decoder = sniffing.decoder_for(file.read(sniffing.HEAD))
    file.seek(0)
    # The size of the picture is checked below, with a message that contains it; Pillow checks the tiles of a TIFF now.
    Image.MAX_IMAGE_PIXELS = most if decoder == "TIFF" else None
    try:
        with _strict():
            picture = Image.open(file, formats=[decoder])
    except UnidentifiedImageError as error:
        if decoder == "TIFF" and (layout := tiff.unknown_layout(file)):
            message = f"This layout of a TIFF is not read ({layout}): convert it, for instance to eight bits RGB."
            raise JobError(message, code="not_an_image") from None
        raise _damaged(error, reason="its head cannot be read") from None
    except (OffloopError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_many_inside() from None
    except Exception as error:
        raise _damaged(error) from error
    if decoder == "PNG":
        depth.scale_transparency(picture, depth.bits_of(picture, file))
    Image.MAX_IMAGE_PIXELS = most  # for pictures and tiles within the picture
    check_size(picture, most)
    return picture


def decode(picture: Image.Image) -> None:
    """Decode the pixels of the current page or frame. Call it inside `decoding`."""
    tiff.use_native_order(picture)
    picture.load()


def check_size(picture: Image.Image, most: int) -> None:
    """Check the pixels of the current page, since pages of one file may differ in size.

    Raises:
        LimitExceeded: it has more than `most`.
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
    """Turn every exception that a decoder raises on a damaged file into one message.

    Raises:
        JobError: ``damaged_image``.
        LimitExceeded: an embedded picture has too many pixels.
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
    """The size of an open file in bytes; its position is kept."""
    position = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(position)
    return size


@contextmanager
def _strict() -> Iterator[None]:
    """Ignore Pillow's warnings about odd metadata, and make the one about too many pixels an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _too_many_inside() -> LimitExceeded:
    most = Image.MAX_IMAGE_PIXELS or MAX_PIXELS
    message = f"The picture unfolds to more than the {most:,} pixels that are decoded: send a smaller one."
    return LimitExceeded(message)


def _damaged(error: Exception, *, reason: str = "") -> JobError:
    reason = reason or " ".join(str(error).split())[:120] or type(error).__name__
    message = f"The picture is damaged or cut off ({reason}): send the complete file."
    return JobError(message, code="damaged_image")
