"""Animations: the number of frames of a source, those of the result, and their timing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from PIL import Image

from offloop.errors import JobError, LimitExceeded
from offloop.jobs.images import Transformation
from offloop.kinds.context import Context
from offloop_workers.images.codecs.saving import Timing
from offloop_workers.raster import bounds
from offloop_workers.raster.frames import ANIMATED_FORMATS, count, first, is_animated, warn_of_cut, warn_of_others
from offloop_workers.raster.reading import Source, check_size

_DEFAULT_MS: Final = 100


def frames_of_result(source: Source, request: Transformation, form: str, context: Context) -> int:
    """The number of frames of the result; above 1 it is an animation. For a still, the source is at its page.

    Raises:
        JobError: an animation is requested that source or format do not allow, or the page does not exist.
        LimitExceeded: all frames together have too many pixels.
    """
    warn_of_cut(source, context)
    animated = is_animated(source)
    if request.animated and not (animated and form in ANIMATED_FORMATS):
        message = (
            f"animated=true, but the source, a {source.format.upper()}, has one frame only."
            if not animated
            else f"animated=true, but {form} cannot move: ask for gif, webp, avif or png."
        )
        raise JobError(message, code="not_animated")
    # By default, a GIF that becomes a PNG is a still; an animated PNG stays animated.
    by_default = form in ANIMATED_FORMATS and (form != "png" or source.format == "png")
    one_wanted = request.animated is False or (request.animated is None and request.page > 1)
    if not animated or one_wanted or not (request.animated or by_default):
        _seek_page(source, request, context)
        return 1
    if request.page > 1:
        context.warn(f"page={request.page} has no effect with animated=true: all frames were kept.")
    total = count(source)
    kept = min(total, request.max_frames)
    if kept < total:
        context.warn(f"The animation has {total:,} frames; the first {kept:,} were kept (max_frames).")
    width, height = source.picture.size
    if (pixels := width * height * kept) > (bound := bounds.animation_pixels(context)):
        most = bound // (width * height)
        message = (
            f"The animation has {kept:,} frames of {width:,} x {height:,}, {pixels:,} pixels together, more than the "
            f"{bound:,} that one job decodes: send max_frames={most} or less, or animated=false."
        )
        raise LimitExceeded(message)
    return kept


def frames(source: Source, kept: int, timing: Timing) -> Iterator[Image.Image]:
    """Each frame, composited, as a picture of its own; `timing` is filled during the iteration."""
    timing.plays = _plays(source)
    for number in range(kept):
        source.picture.seek(number + first(source))
        source.picture.load()
        timing.durations.append(_duration(source.picture))
        yield source.picture.copy()


def _seek_page(source: Source, request: Transformation, context: Context) -> None:
    if request.page > 1:
        total = count(source)
        if request.page > total:
            message = f"There is no page {request.page}: the source has {total}. Ask for 1 to {total}."
            raise JobError(message, code="no_such_page")
        source.picture.seek(request.page - 1)
        check_size(source.picture, bounds.picture_pixels(context))
    else:
        warn_of_others(source, context)


def _duration(picture: Image.Image) -> int:
    duration = picture.info.get("duration", _DEFAULT_MS)
    return min(65_535 * 10, max(0, round(duration))) if isinstance(duration, (int, float)) else _DEFAULT_MS


def _plays(source: Source) -> int:
    loop = source.picture.info.get("loop")
    if source.format == "gif":  # GIF counts repetitions, and plays once by default
        return 1 if loop is None else 0 if loop == 0 else int(loop) + 1
    return int(loop) if isinstance(loop, int) else 0
