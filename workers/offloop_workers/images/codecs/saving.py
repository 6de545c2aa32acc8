"""Saving: the options of each format's encoder, and what encoders leave to their caller."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final

from PIL import Image

from offloop.jobs.images import Format
from offloop.jobs.transformation import Encoding
from offloop_workers.images.codecs import formats, gif, palettes
from offloop_workers.images.codecs.formats import TRAITS

_WEBP_CHUNK, _WEBP_FLAGS = 12, 20
_WEBP_ALPHA: Final = 0x10
_QUICK: Final = 4_000_000
"""Pixels that the hardest compression of a PNG takes little time for."""
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
        colours: maximum number of colours of a GIF.
        simplify: write a PNG in the mode that takes the least room for the same pixels.
    """

    frames: list[Image.Image]
    form: Format
    encoding: Encoding
    timing: Timing = field(default_factory=Timing)
    extras: dict[str, Any] = field(default_factory=dict)
    colours: int = gif.MOST_COLOURS
    simplify: bool = False


def encoded(result: Result, quality: int) -> bytes:
    """The file, with this quality where the format has one."""
    out = io.BytesIO()
    _save(result, out, quality)
    return out.getvalue()


def frames_of(content: bytes) -> int:
    """The number of frames in a file; the encoders of PNG and WebP join equal ones."""
    with Image.open(io.BytesIO(content)) as picture:
        return int(getattr(picture, "n_frames", 1))


def _save(result: Result, out: BinaryIO, quality: int) -> None:
    if result.form == "gif":
        gif.write(result.frames, result.timing.durations, result.timing.plays, out, result.colours)
        return
    first, *others = _simplified(result) if result.simplify and result.form == "png" else result.frames
    encoding, keeps = result.encoding, TRAITS[result.form].keeps
    lossless = {"lossless": True} if encoding.lossless else {}
    options: dict[str, dict[str, Any]] = {
        "jpeg": {"quality": quality, "progressive": encoding.progressive},
        "webp": {"quality": quality, "method": 4, **lossless},
        "avif": {"quality": 100 if encoding.lossless else quality, "speed": 7, "max_threads": 1, **_chroma(encoding)},
        "png": {"optimize": result.simplify and first.width * first.height < _QUICK},
        "tiff": {"compression": "tiff_adobe_deflate"},
        "ico": {"sizes": [*((size, size) for size in _ICONS if size < max(first.size)), first.size]},
    }
    if others:
        options[result.form] = options.get(result.form, {}) | _animation_options(result)
        options[result.form] |= {"save_all": True, "append_images": others}
    clean = {"exif": b"", "icc_profile": None} if "exif" in keeps else {}
    extras = {name: value for name, value in result.extras.items() if name in keeps}
    first.save(out, result.form.upper(), **options.get(result.form, {}), **{**clean, **extras})
    if others and result.form == "webp" and any(frame.mode == "RGBA" for frame in result.frames):
        _set_alpha_flag(out)


def _simplified(result: Result) -> list[Image.Image]:
    """The same pixels, in the mode that takes the least room and that the colour profile, if any, is for."""
    profiled = "icc_profile" in result.extras
    if len(result.frames) == 1:
        return [palettes.simplest(result.frames[0], grey=not profiled)]
    return (not profiled and palettes.shared_exactly(result.frames)) or result.frames


def _set_alpha_flag(out: BinaryIO) -> None:
    """Set the alpha flag of an animated WebP.

    The encoder leaves it out where every frame covers opaque pixels only, and decoders then fill the rest. It writes a
    still, without flags, where all frames are equal.
    """
    out.seek(_WEBP_CHUNK)
    extended = out.read(4) == b"VP8X"
    if extended:
        out.seek(_WEBP_FLAGS)
        flags = out.read(1)[0]
        out.seek(_WEBP_FLAGS)
        out.write(bytes([flags | _WEBP_ALPHA]))
    out.seek(0, io.SEEK_END)


def _chroma(encoding: Encoding) -> dict[str, str]:
    return {"subsampling": "4:4:4"} if encoding.lossless else {}


def _animation_options(result: Result) -> dict[str, Any]:
    timing = result.timing
    options: dict[str, Any] = {"duration": timing.durations}
    if result.form in {"webp", "png"}:
        options["loop"] = timing.plays
    if result.form == "webp" and not formats.is_photograph(result.frames[0]):
        options["allow_mixed"] = True  # frames of few colours are smaller without loss
    if result.form == "png":
        options |= {"disposal": 0, "blend": 0}  # only the changed part of each frame is written
    return options
