"""Frames: how many there are, which are wanted, and each of them whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from PIL import Image

from offloop.errors import JobError, LimitExceeded
from offloop.jobs.images import Transformation
from offloop.kinds.context import Context
from offloop_workers.images import bounds
from offloop_workers.images.reading import Source, check_size

MOVING: Final = frozenset({"gif", "webp", "avif", "png"})
"""Formats that animations are read from and written to."""
_USUAL_MS: Final = 100


@dataclass(slots=True)
class Animation:
    """What a run of frames has beside its pixels.

    Attributes:
        durations: milliseconds, one for each frame.
        plays: how often it is played; 0 for ever.
    """

    durations: list[int] = field(default_factory=list)
    plays: int = 0


def count(source: Source) -> int:
    """Frames or pages; 1 for a phone's JPEG, whose other pictures are depth maps and previews."""
    return 1 if source.format in {"jpeg", "ico"} else int(getattr(source.picture, "n_frames", 1))


def moves(source: Source) -> bool:
    """Whether it is an animation, not a document of pages or a collection."""
    return source.format in MOVING and bool(getattr(source.picture, "is_animated", False))


def wanted(source: Source, request: Transformation, form: str, context: Context) -> int:
    """How many frames the result has; above 1 it is an animation.

    Raises:
        JobError: an animation was asked for that source or result cannot be.
        LimitExceeded: all frames together have too many pixels.
    """
    moving = moves(source)
    if request.animated and not (moving and form in MOVING):
        message = (
            f"animated=true, but the source, a {source.format.upper()}, has one frame only."
            if not moving
            else f"animated=true, but {form} cannot move: ask for gif, webp, avif or png."
        )
        raise JobError(message, code="not_animated")
    # A GIF that becomes a PNG is rather meant as a picture; a PNG that moves may go on moving.
    natural = form in MOVING and (form != "png" or source.format == "png")
    if not moving or request.animated is False or not (request.animated or natural):
        _select(source, request, context)
        return 1
    total = count(source)
    kept = min(total, request.max_frames)
    if kept < total:
        context.warn(f"The animation has {total:,} frames; the first {kept:,} were kept (max_frames).")
    width, height = source.picture.size
    if (pixels := width * height * kept) > (bound := bounds.moving(context)):
        most = bound // (width * height)
        message = (
            f"The animation has {kept:,} frames of {width:,} x {height:,}, {pixels:,} pixels together, more than the "
            f"{bound:,} that one job decodes: send max_frames={most} or less, or animated=false."
        )
        raise LimitExceeded(message)
    return kept


def frames(source: Source, kept: int, film: Animation) -> Iterator[Image.Image]:
    """Each frame whole, as a picture of its own; fills `film` while it goes."""
    film.plays = _plays(source)
    for number in range(kept):
        source.picture.seek(number)
        source.picture.load()
        film.durations.append(_duration(source.picture))
        yield source.picture.copy()


def _select(source: Source, request: Transformation, context: Context) -> None:
    if request.page > 1:
        total = count(source)
        if request.page > total:
            message = f"There is no page {request.page}: the source has {total}. Ask for 1 to {total}."
            raise JobError(message, code="no_such_page")
        source.picture.seek(request.page - 1)
        check_size(source.picture, bounds.still(context))
    elif source.format not in {"jpeg", "ico", "heif"} and getattr(source.picture, "is_animated", False):
        total = count(source)
        context.warn(f"The source has {total} frames or pages; the first was used.")


def _duration(picture: Image.Image) -> int:
    told = picture.info.get("duration", _USUAL_MS)
    return min(65_535 * 10, max(0, round(told))) if isinstance(told, (int, float)) else _USUAL_MS


def _plays(source: Source) -> int:
    loop = source.picture.info.get("loop")
    if source.format == "gif":  # it counts repetitions; without the word it plays once
        return 1 if loop is None else 0 if loop == 0 else int(loop) + 1
    return int(loop) if isinstance(loop, int) else 0
