"""The garbage collector, in a process that has to answer at once: it may look often, but never long."""

from __future__ import annotations

import gc
from typing import Final

THRESHOLDS: Final = (700, 3, 500)
"""A full look goes through all that open calls hold: with 500 of them a third of a second. It is for cycles that have
outlived two shorter looks, which are few, and comes a tenth as often as by default. The second look is shorter instead,
a few thousand objects. At most 700 * 4 * 500 objects wait for a full one. A first look at more objects costs a little
less of the processor, and holds single calls up for longer (`./run bench --only fetch`)."""


def calm() -> None:
    """Take what is loaded out of its sight, and make its long looks rare.

    For the end of the start: what is loaded stays for good, and is a hundred thousand objects, a tenth of a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
