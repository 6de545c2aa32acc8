"""Encoding: modes, options and file size of the output formats."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final

from PIL import Image, TiffImagePlugin

from offloop.errors import JobError
from offloop.jobs.images import Format
from offloop.jobs.transformation import Encoding
from offloop.kinds.context import Context
from offloop_workers.images.codecs.formats import TRAITS, Traits
from offloop_workers.raster import colours

_LOWEST_QUALITY: Final = 5
_FEWER_COLOURS: Final = (256, 128, 64, 32, 16, 8)
_COLOUR_ONLY: Final = frozenset({"avif", "webp", "gif", "ico"})
_WEBP_FLAGS: Final = 20
_WEBP_ALPHA: Final = 0x10
_ICONS: Final = (16, 24, 32, 48, 64, 128, 256)


@dataclass(slots=True)
class Timing:
    """Timing of an animation.

    Attributes:
        durations: milliseconds, one for each frame.
        plays: number of repetitions; 0 is endless.
    """

    durations: list[int] = field(default_factory=list)
    plays: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """Input of the encoder.

    Attributes:
        frames: one, or those of an animation, all of one size.
        form: the format.
        encoding: the requested options.
        timing: of an animation.
        extras: metadata to write, as Pillow's options for saving.
    """

    frames: list[Image.Image]
    form: Format
    encoding: Encoding
    timing: Timing = field(default_factory=Timing)
    extras: dict[str, Any] = field(default_factory=dict)


def fitted(picture: Image.Image, form: Format, background: str | None, context: Context) -> Image.Image:
    """The picture in a size and mode that the format supports, without metadata.

    Raises:
        JobError: ``too_large_for_format``.
    """
    traits = TRAITS[form]
    picture = _within_size(picture, form, traits, context)
    if background or not traits.transparent:
        picture = colours.flattened(picture, background or "#ffffff")
    picture = _in_mode(picture, form)
    if form == "tiff" and isinstance(picture, TiffImagePlugin.TiffImageFile):
        picture = picture.copy()  # an unchanged picture of this class would be written with all its tags
    picture.info = {}  # an encoder would write its entries: comments, resolution, profile
    return picture


def _within_size(picture: Image.Image, form: Format, traits: Traits, context: Context) -> Image.Image:
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


def _in_mode(picture: Image.Image, form: Format) -> Image.Image:
    if picture.mode == "LA" and form in _COLOUR_ONLY:
        picture = picture.convert("RGBA")
    elif picture.mode == "L" and form in _COLOUR_ONLY - {"gif"}:
        picture = picture.convert("RGB")
    if form == "gif" and picture.mode == "RGBA":  # GIF pixels are opaque or transparent
        picture = picture.copy()
        picture.putalpha(picture.getchannel("A").point(lambda value: 255 if value >= 128 else 0))  # noqa: PLR2004 -- half
    return picture


def write(result: Result, out: BinaryIO, max_bytes: int | None, context: Context) -> int | None:
    """Encode to a file, with reduced quality or colours where it would exceed `max_bytes`.

    Returns:
        The quality of the file; None for a lossless one.

    Raises:
        JobError: ``max_bytes``: it cannot be that small.
    """
    lossy = TRAITS[result.form].by_quality and not (result.encoding.lossless and result.form != "jpeg")
    quality = result.encoding.quality if lossy else None
    if max_bytes is None:
        _save(result, out, result.encoding.quality)
        return quality
    content = _encoded(result, result.encoding.quality)
    if len(content) > max_bytes and lossy:
        content, quality = _best_quality(result, max_bytes, content)
    elif len(content) > max_bytes and result.form in {"png", "gif", "tiff"} and len(result.frames) == 1:
        content = _fewer_colours(result, max_bytes, content, context)
    if len(content) > max_bytes:
        message = (
            f"The result cannot be made as small as max_bytes={max_bytes:,}: {result.form} of "
            f"{result.frames[0].width:,} x {result.frames[0].height:,} pixels needs at least {len(content):,} bytes. "
            "Ask for a smaller width or height, or for format 'webp' or 'avif'."
        )
        raise JobError(message, code="max_bytes")
    out.write(content)
    return quality


def _best_quality(result: Result, max_bytes: int, content: bytes) -> tuple[bytes, int]:
    """The highest quality that is small enough, by binary search; the lowest one where none is."""
    low, high, kept = _LOWEST_QUALITY, result.encoding.quality, None
    while low < high:
        middle = (low + high) // 2
        content = _encoded(result, middle)
        if len(content) <= max_bytes:
            kept, low = (content, middle), middle + 1
        else:
            high = middle
    return kept or (content, high)


def _fewer_colours(result: Result, max_bytes: int, content: bytes, context: Context) -> bytes:
    picture = result.frames[0]
    for count in _FEWER_COLOURS:
        if picture.mode in {"LA", "RGBA"}:
            fewer = picture.convert("RGBA").quantize(count, Image.Quantize.FASTOCTREE)
        else:
            fewer = picture.convert("RGB").quantize(count, Image.Quantize.MEDIANCUT)
        changed = Result([fewer], result.form, result.encoding, result.timing, result.extras)
        content = _encoded(changed, result.encoding.quality)
        if len(content) <= max_bytes:
            context.warn(f"{result.form} has no quality: it was reduced to {count} colours to fit max_bytes.")
            break
    return content


def _encoded(result: Result, quality: int) -> bytes:
    out = io.BytesIO()
    _save(result, out, quality)
    return out.getvalue()


def _save(result: Result, out: BinaryIO, quality: int) -> None:
    first, *others = result.frames
    encoding, keeps = result.encoding, TRAITS[result.form].keeps
    lossless = {"lossless": True} if encoding.lossless else {}
    options: dict[str, dict[str, Any]] = {
        "jpeg": {"quality": quality, "progressive": encoding.progressive},
        "webp": {"quality": quality, "method": 4, **lossless},
        "avif": {"quality": 100 if encoding.lossless else quality, "speed": 7, "max_threads": 1, **_chroma(encoding)},
        "tiff": {"compression": "tiff_adobe_deflate"},
        "ico": {"sizes": [*((size, size) for size in _ICONS if size < max(first.size)), first.size]},
        "gif": {"optimize": False},
    }
    if others:
        options[result.form] = options.get(result.form, {}) | _animation_options(result)
        options[result.form] |= {"save_all": True, "append_images": others}
    elif result.form == "gif" and first.mode != "P":
        first = _with_palette(first)
    clean = {"exif": b"", "icc_profile": None} if "exif" in keeps else {}
    extras = {name: value for name, value in result.extras.items() if name in keeps}
    first.save(out, result.form.upper(), **options.get(result.form, {}), **{**clean, **extras})
    if others and result.form == "webp" and any(frame.mode == "RGBA" for frame in result.frames):
        _set_alpha_flag(out)


def _set_alpha_flag(out: BinaryIO) -> None:
    """Set the alpha flag of an animated WebP.

    The encoder leaves it out where every frame covers opaque pixels only, and decoders then fill the rest.
    """
    out.seek(_WEBP_FLAGS)
    flags = out.read(1)[0]
    out.seek(_WEBP_FLAGS)
    out.write(bytes([flags | _WEBP_ALPHA]))
    out.seek(0, io.SEEK_END)


def _chroma(encoding: Encoding) -> dict[str, str]:
    return {"subsampling": "4:4:4"} if encoding.lossless else {}


def _with_palette(picture: Image.Image) -> Image.Image:
    """Quantise to an adaptive palette; Pillow's encoder would use a fixed one."""
    if picture.mode in {"LA", "RGBA"}:
        return picture.convert("RGBA")
    if picture.mode == "L":
        return picture
    return picture.quantize(256, Image.Quantize.MEDIANCUT)


def _animation_options(result: Result) -> dict[str, Any]:
    timing = result.timing
    options: dict[str, Any] = {"duration": timing.durations}
    if result.form == "gif":
        # GIF counts repetitions, and plays once by default.
        options |= {"disposal": 2} if any(frame.mode == "RGBA" for frame in result.frames) else {}
        options |= {} if timing.plays == 1 else {"loop": 0 if timing.plays == 0 else timing.plays - 1}
    elif result.form in {"webp", "png"}:
        options["loop"] = timing.plays
    if result.form == "png":
        options |= {"disposal": 1, "blend": 0}
    return options
