"""Transforming: one picture in, one picture out."""

from __future__ import annotations

import io
from typing import Final

from PIL import Image

from offloop.errors import LimitExceeded
from offloop.jobs.images import FORMATS, Format, Picture, Transformation, transform_image
from offloop.kinds.context import Context
from offloop.kinds.kind import performs
from offloop_workers.images import animation, bounds, encoding, formats, metadata, reading
from offloop_workers.images.pipeline import FramePipeline

_STEPS: Final = 100


@performs(transform_image)
def transform(request: Transformation, context: Context) -> Picture:
    """Open, shrink while decoding where the format can, process each frame, encode.

    Raises:
        LimitExceeded: source or result have too many pixels or frames.
        JobError: the file is not an accepted picture, is damaged, or cannot become what was asked for.
    """
    with reading.opened(request.image, context) as source:
        context.progress(0, _STEPS, "decoding")
        form = formats.chosen(request.format, source.format, context)
        with reading.decoding():
            kept = animation.wanted(source, request, form or "webp", context)
            room = FramePipeline(source, request, context)
            film = animation.Animation()
            frames = _processed(room, source, kept, film, context)
        form = form or ("webp" if kept > 1 else formats.suited(frames[0]))
        frames = [encoding.fitted(frame, form, request.background, context) for frame in frames]
        extras = _extras(room, request, form, context)
        source_bytes = source.bytes
    context.progress(_STEPS * 0.8, _STEPS, "encoding")
    result = encoding.Result(frames, form, request, film, extras)
    with context.create(formats.file_name(request.name, request.image, form), formats.MIME_TYPES[form]) as out:
        quality = encoding.write(result, out, request.max_bytes, context)
        size = out.seek(0, io.SEEK_END)
    context.progress(_STEPS, _STEPS, "done")
    return Picture(
        width=frames[0].width,
        height=frames[0].height,
        format=form,
        size=size,
        frames=len(frames),
        quality=quality,
        source_width=room.upright[0],
        source_height=room.upright[1],
        source_format=source.format,
        source_size=source_bytes,
    )


def _processed(
    room: FramePipeline, source: reading.Source, kept: int, film: animation.Animation, context: Context
) -> list[Image.Image]:
    if kept == 1:
        return [room.develop_still()]
    made: list[Image.Image] = []
    for number, frame in enumerate(animation.frames(source, kept, film), start=1):
        made.append(room.process(frame))
        pixels = made[0].width * made[0].height
        if pixels * kept > (most := bounds.moving_result(context)):
            message = (
                f"The result would have {kept:,} frames of {made[0].width:,} x {made[0].height:,}, {pixels * kept:,} "
                f"pixels together, more than the {most:,} that one job makes: ask for a smaller width, or "
                f"max_frames={most // pixels}."
            )
            raise LimitExceeded(message)
        context.progress(_STEPS * 0.8 * number / kept, _STEPS, f"frame {number} of {kept}")
    return made


def _extras(room: FramePipeline, request: Transformation, form: Format, context: Context) -> dict[str, object]:
    extras = metadata.kept(room.exif, room.info, request, context)
    if "icc" in request.keep_metadata and room.kept_profile:
        extras["icc_profile"] = room.kept_profile
    if lost := sorted(set(extras) - formats.TRAITS[form].keeps):
        context.warn(f"{form} has no room for {', '.join(lost)}; it was left out.")
    return extras


def warm() -> None:
    """Load the decoders and encoders, and use one of each once."""
    Image.init()
    for form in FORMATS:
        out = io.BytesIO()
        picture = Image.new("RGB", (16, 16), "#345678")
        picture.save(out, form.upper())
        if out.seek(0) == 0:
            reading.open_picture(out).load()
