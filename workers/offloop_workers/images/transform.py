"""Transformation of one picture (transform_image): decode, process each frame, encode."""

from __future__ import annotations

import io
from typing import Final

from PIL import Image

from offloop.errors import LimitExceeded
from offloop.jobs.images import FORMATS, Picture, Transformation, transform_image
from offloop.kinds.context import Context
from offloop.kinds.kind import performs
from offloop_workers.images import animation, outcome
from offloop_workers.images.codecs import formats
from offloop_workers.images.codecs.saving import Timing
from offloop_workers.images.frames.pipeline import FramePipeline
from offloop_workers.raster import bounds, depth, reading

_STEPS: Final = 100


@performs(transform_image)
def transform(request: Transformation, context: Context) -> Picture:
    """Transform one picture.

    Raises:
        LimitExceeded: source or result have too many pixels or frames.
        JobError: the file is not an accepted picture, is damaged, or the request does not apply to it.
    """
    with reading.opened(request.image, context) as source:
        context.progress(0, _STEPS, "decoding")
        form = formats.chosen(request.format, source.format, context)
        with reading.decoding():
            kept = animation.frames_of_result(source, request, form or "webp", context)
            depth.warn_of_lost_bits(source.bits, context)
            pipeline = FramePipeline(source, request, context)
            timing = Timing()
            frames = _processed(pipeline, source, kept, timing, context)
        forms = [form] if form else formats.suited(frames[0], source.format, moving=kept > 1, lossless=request.lossless)
        context.progress(_STEPS * 0.8, _STEPS, "encoding")
        made = outcome.smallest(forms, frames, timing, pipeline, context)
    with context.create(
        formats.file_name(request.name, request.image, made.form), formats.MIME_TYPES[made.form]
    ) as out:
        out.write(made.content)
    context.progress(_STEPS, _STEPS, "done")
    return Picture(
        width=made.size[0],
        height=made.size[1],
        format=made.form,
        size=len(made.content),
        frames=made.frames,
        quality=made.quality,
        source_width=pipeline.upright[0],
        source_height=pipeline.upright[1],
        source_format=source.format,
        source_size=source.bytes,
    )


def _processed(
    pipeline: FramePipeline, source: reading.Source, kept: int, timing: Timing, context: Context
) -> list[Image.Image]:
    if kept == 1:
        return [pipeline.process_still()]
    result: list[Image.Image] = []
    for number, frame in enumerate(animation.frames(source, kept, timing), start=1):
        result.append(pipeline.process(frame))
        width, height = result[0].size
        pixels = width * height
        if pixels * kept > (most := bounds.animation_result_pixels(context)):
            message = (
                f"The result would have {kept:,} frames of {width:,} x {height:,}, {pixels * kept:,} "
                f"pixels together, more than the {most:,} that one job makes: ask for a smaller width, or "
                f"max_frames={most // pixels}."
            )
            raise LimitExceeded(message)
        context.progress(_STEPS * 0.8 * number / kept, _STEPS, f"frame {number} of {kept}")
    return result


def warm() -> None:
    """Load and use every decoder and encoder once."""
    Image.init()
    for form in FORMATS:
        out = io.BytesIO()
        picture = Image.new("RGB", (16, 16), "#345678")
        picture.save(out, form.upper())
        if out.seek(0) == 0:
            reading.open_picture(out).load()
