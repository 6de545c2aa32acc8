"""The garbage collector, in a process that has to answer at once: it may look often, but never long."""

from __future__ import annotations

import gc
from typing import Final

THRESHOLDS: Final = (10_000, 2, 50)
"""Python's own first look, after 700 objects, comes with every call or two. A full look goes through all that open
calls hold: with 500 of them a third of a second. It is for cycles that have outlived two shorter looks, which are few;
at most 10,000 * 3 * 50 objects wait for one, nearly twenty times as many as by default."""


def calm() -> None:
    """Take what is loaded out of its sight, and make its long looks rare.

    For the end of the start: what is loaded stays for good, and is a hundred thousand objects, a tenth of a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
