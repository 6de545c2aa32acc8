"""Description of a picture (describe_image): file, camera, colours, fingerprints."""

from __future__ import annotations

import hashlib
from typing import Any

from PIL import Image
from PIL.ExifTags import Base

from offloop.jobs.images import Description, ImageToDescribe, PaletteColour, describe_image
from offloop.kinds.context import Context
from offloop.kinds.kind import performs
from offloop_workers.images import animation, fingerprints
from offloop_workers.images.codecs import formats, metadata
from offloop_workers.images.codecs.saving import Timing
from offloop_workers.raster import bounds, colours, orientation, reading
from offloop_workers.raster import frames as frames_of
from offloop_workers.raster.upright import upright

_SAMPLE = (512, 512)
_PALETTE_SAMPLE = (128, 128)


@performs(describe_image)
def describe(request: ImageToDescribe, context: Context) -> Description:
    """Read the header, count the frames, and analyse a thumbnail of the first.

    Raises:
        LimitExceeded: it has too many pixels.
        JobError: it is not an accepted picture, or damaged.
    """
    with context.open(request.image) as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    with reading.opened(request.image, context) as source, reading.decoding():
        frames_of.warn_of_cut(source, context)
        picture = source.picture
        exif = orientation.exif_of(picture, context)
        found = orientation.of(picture, exif, context)
        stated = found.value if Base.Orientation in exif else None  # the decoder of TIFF removes the tag
        info, mode, alpha = dict(picture.info), picture.mode, picture.has_transparency_data
        width, height = found.upright_size
        small = upright(source, found, _SAMPLE, context)
        frames, animated = frames_of.count(source), frames_of.is_animated(source)
        profile = info.get("icc_profile")
        return Description(
            format=source.format,
            mime_type=formats.MIME_TYPES[source.format],
            width=width,
            height=height,
            mode=mode,
            size=source.bytes,
            sha256=sha256,
            frames=frames,
            animated=animated,
            duration_ms=_duration(source, frames, context) if animated else None,
            has_alpha=alpha,
            progressive=bool(info.get("progressive") or info.get("interlace")),
            dpi=metadata.dpi_of(info),
            colour_profile=colours.profile_name(profile) if profile else None,
            exif=metadata.camera(exif, stated),
            has_gps=metadata.has_gps(exif),
            gps=metadata.location(exif) if request.gps else None,
            **_appearance(small, request.colours),
        )


def _appearance(small: Image.Image, colour_count: int) -> dict[str, Any]:
    """The fields of a description that depend on the pixels."""
    found = fingerprints.fingerprint(small)
    return {
        "palette": palette(small, colour_count),
        "average_colour": average(small),
        "blank": _blank(small),
        "entropy": round(fingerprints.on_white(small).convert("L").entropy(), 3),
        "blurhash": fingerprints.blurhash(small),
        "dhash": f"{found.dhash:016x}",
        "phash": f"{found.phash:016x}",
    }


def palette(picture: Image.Image, count: int) -> list[PaletteColour]:
    """The dominant colours of the picture and their shares; transparent pixels do not count."""
    small = picture.copy()
    small.thumbnail(_PALETTE_SAMPLE, Image.Resampling.BOX)
    visible = small.getchannel("A").point(lambda value: 255 if value >= 128 else 0) if "A" in small.mode else None  # noqa: PLR2004 -- half
    few = small.convert("RGB").quantize(count, Image.Quantize.MEDIANCUT)
    histogram = few.histogram(visible)
    table = few.getpalette() or []
    total = sum(histogram) or 1
    found = [
        PaletteColour(colour="#" + bytes(table[3 * index : 3 * index + 3]).hex(), share=round(number / total, 4))
        for index, number in enumerate(histogram)
        if number and 3 * index + 3 <= len(table)
    ]
    return sorted(found, key=lambda colour: -colour.share)


def average(picture: Image.Image) -> str:
    """The average colour."""
    return "#" + fingerprints.on_white(picture).convert("RGB").resize((1, 1), Image.Resampling.BOX).tobytes().hex()


def _blank(picture: Image.Image) -> bool:
    return all(low == high for low, high in picture.convert("RGBA").getextrema())  # type: ignore[misc]


def _duration(source: reading.Source, frames: int, context: Context) -> int | None:
    """The duration of one play in milliseconds, which takes reading every frame; None where they are too many."""
    width, height = source.picture.size
    if width * height * frames > bounds.animation_pixels(context):
        context.warn(f"The animation is too large to be played through ({frames:,} frames); its duration is not known.")
        return None
    timing = Timing()
    for _ in animation.frames(source, frames, timing):
        pass
    return sum(timing.durations)
