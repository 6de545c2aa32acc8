"""Pixel limits of a job: the built-in ones, or lower ones set by the operator."""

from __future__ import annotations

from offloop.jobs.images import MAX_MOVING_PIXELS, MAX_MOVING_RESULT, MAX_PIXELS
from offloop.kinds.context import Context


def picture_pixels(context: Context) -> int:
    """Maximum pixels of one picture."""
    return min(MAX_PIXELS, context.limits.pixels or MAX_PIXELS)


def animation_pixels(context: Context) -> int:
    """Maximum pixels of all frames of a source together."""
    return min(MAX_MOVING_PIXELS, context.limits.pixels or MAX_MOVING_PIXELS)


def animation_result_pixels(context: Context) -> int:
    """Maximum pixels of all frames of a result together, which are in memory at the same time."""
    return min(MAX_MOVING_RESULT, context.limits.pixels or MAX_MOVING_RESULT)
