"""Encoding: modes and file size of the output formats."""

from __future__ import annotations

from dataclasses import replace
from typing import BinaryIO, Final

from PIL import Image, TiffImagePlugin

from offloop.errors import JobError
from offloop.jobs.images import Format
from offloop_workers.images.codecs import formats, palettes
from offloop_workers.images.codecs.formats import TRAITS, Traits
from offloop_workers.images.codecs.saving import Result, encoded
from offloop_workers.raster import colours
from offloop_workers.raster.warned import Warned

_LOWEST_QUALITY: Final = 5
_FEWER_COLOURS: Final = (256, 128, 64, 32, 16, 8, 4)
_COLOUR_ONLY: Final = frozenset({"avif", "webp", "gif", "ico"})


def fitted(picture: Image.Image, form: Format, background: str | None, context: Warned) -> Image.Image:
    """The picture in a size and mode that the format supports, without metadata.

    Raises:
        JobError: ``too_large_for_format``.
    """
    traits = TRAITS[form]
    picture = _within_size(picture, form, traits, context)
    if background or not traits.transparent:
        if not background and formats.is_transparent(picture):
            context.warn(f"{form} has no transparency: it became white. Send background for another colour.")
        picture = colours.flattened(picture, background or "#ffffff")
    picture = _in_mode(picture, form, context)
    if form == "tiff" and isinstance(picture, TiffImagePlugin.TiffImageFile):
        picture = picture.copy()  # an unchanged picture of this class would be written with all its tags
    picture.info = {}  # an encoder would write its entries: comments, resolution, profile
    return picture


def _within_size(picture: Image.Image, form: Format, traits: Traits, context: Warned) -> Image.Image:
    if form == "ico" and max(picture.size) > traits.longest:
        context.warn(f"Icons have at most 256 x 256 pixels: {picture.width:,} x {picture.height:,} was scaled down.")
        picture = picture.copy()
        picture.thumbnail((traits.longest, traits.longest), Image.Resampling.LANCZOS)
    if max(picture.size) > traits.longest:
        message = (
            f"{form} pictures have at most {traits.longest:,} pixels a side, this one would have "
            f"{picture.width:,} x {picture.height:,}: ask for a smaller one, or for format 'png'."
        )
        raise JobError(message, code="too_large_for_format")
    return picture


def _in_mode(picture: Image.Image, form: Format, context: Warned) -> Image.Image:
    if picture.mode == "LA" and form in _COLOUR_ONLY:
        picture = picture.convert("RGBA")
    elif picture.mode == "L" and form in _COLOUR_ONLY - {"gif"}:
        picture = picture.convert("RGB")
    if form == "gif" and picture.mode == "RGBA":  # GIF pixels are opaque or transparent
        picture = picture.copy()
        if any(picture.getchannel("A").histogram()[1:255]):
            context.warn("gif has no half-transparent pixels: they became opaque or transparent.")
        picture.putalpha(picture.getchannel("A").point(lambda value: 255 if value >= 128 else 0))  # noqa: PLR2004 -- half
    return picture


def write(result: Result, out: BinaryIO, context: Warned) -> None:
    """Encode to a file."""
    out.write(encode(result, None, context)[0])


def encode(result: Result, max_bytes: int | None, context: Warned) -> tuple[bytes, int | None]:
    """The file, with reduced quality or colours where it would exceed `max_bytes`.

    Returns:
        The file, and its quality; None for a lossless one.

    Raises:
        JobError: ``max_bytes``: it cannot be that small.
    """
    lossy = TRAITS[result.form].by_quality and not (result.encoding.lossless and result.form != "jpeg")
    quality = result.encoding.quality if lossy else None
    content = encoded(result, result.encoding.quality)
    if max_bytes is None or len(content) <= max_bytes:
        return content, quality
    if lossy:
        content, quality = _best_quality(result, max_bytes, content)
    else:
        content, colours_left = with_fewer_colours(result, max_bytes, content)
        if colours_left:
            context.warn(f"The result was reduced to {colours_left} colours to fit max_bytes.")
    if len(content) > max_bytes:
        message = (
            f"The result cannot be made as small as max_bytes={max_bytes:,}: {result.form} of "
            f"{result.frames[0].width:,} x {result.frames[0].height:,} pixels needs at least {len(content):,} bytes. "
            "Ask for a smaller width or height, or for format 'webp' or 'avif'."
        )
        raise JobError(message, code="max_bytes")
    return content, quality


def _best_quality(result: Result, max_bytes: int, content: bytes) -> tuple[bytes, int]:
    """The highest quality that is small enough, by binary search; the lowest one where none is."""
    low, high, kept = _LOWEST_QUALITY, result.encoding.quality, None
    while low < high:
        middle = (low + high) // 2
        content = encoded(result, middle)
        if len(content) <= max_bytes:
            kept, low = (content, middle), middle + 1
        else:
            high = middle
    return kept or (content, high)


def with_fewer_colours(result: Result, most: int, content: bytes, fewest: int = 4) -> tuple[bytes, int | None]:
    """The file with as many colours as `most` bytes have room for; the smallest one where none fits.

    Args:
        result: in a format that can be lossless.
        most: maximum bytes.
        content: the file with all colours.
        fewest: colours.

    Returns:
        The file, and the number of its colours; None where it has all.
    """
    if result.form not in {"png", "gif", "tiff", "webp"}:
        return content, None
    if result.form == "webp":  # lossless, it is smaller for drawings
        result = replace(result, encoding=result.encoding.model_copy(update={"lossless": True}))
    smallest, used = min(content, encoded(result, result.encoding.quality), key=len), None
    if len(smallest) <= most:
        return smallest, None
    for count in (count for count in _FEWER_COLOURS if count >= fewest):
        found = encoded(_reduced(result, count), result.encoding.quality)
        if len(found) < len(smallest):
            smallest, used = found, count
        if len(smallest) <= most:
            break
    return smallest, used


def _reduced(result: Result, count: int) -> Result:
    if result.form == "gif":
        return replace(result, colours=min(count, result.colours))
    if len(result.frames) > 1:
        return replace(result, frames=palettes.reduced(result.frames, count))
    picture = result.frames[0]
    if picture.mode in {"LA", "RGBA"}:
        fewer = picture.convert("RGBA").quantize(count, Image.Quantize.FASTOCTREE)
    else:
        fewer = picture.convert("RGB").quantize(count, Image.Quantize.MEDIANCUT)
    return replace(result, frames=[fewer])
