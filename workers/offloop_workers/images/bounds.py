"""Bounds: how many pixels one job of this attempt may read or make, where an operator has lowered them or not."""

from __future__ import annotations

from offloop.jobs.images import MAX_MOVING_PIXELS, MAX_MOVING_RESULT, MAX_PIXELS
from offloop.kinds.context import Context


def still(context: Context) -> int:
    """Pixels of one picture."""
    return min(MAX_PIXELS, context.limits.pixels or MAX_PIXELS)


def moving(context: Context) -> int:
    """Pixels of all frames of a source together."""
    return min(MAX_MOVING_PIXELS, context.limits.pixels or MAX_MOVING_PIXELS)


def moving_result(context: Context) -> int:
    """Pixels of all frames of a result together; they are held at once."""
    return min(MAX_MOVING_RESULT, context.limits.pixels or MAX_MOVING_RESULT)
