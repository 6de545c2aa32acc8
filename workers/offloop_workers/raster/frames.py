"""Frames and pages of a picture."""

from __future__ import annotations

from typing import Final

from offloop_workers.raster.reading import Source
from offloop_workers.raster.warned import Warned

ANIMATED_FORMATS: Final = frozenset({"gif", "webp", "avif", "png"})
"""Formats that animations are read from and written to."""


def first(source: Source) -> int:
    """The first frame of the animation: 1 where an animated PNG has a still for viewers that show no animation."""
    return 1 if getattr(source.picture, "default_image", False) else 0


def count(source: Source) -> int:
    """The number of frames or pages; 1 for JPEG, where a phone's further pictures are depth maps and previews."""
    return 1 if source.format in {"jpeg", "ico"} else int(getattr(source.picture, "n_frames", 1)) - first(source)


def is_animated(source: Source) -> bool:
    """Whether the source is an animation, not a document of pages or a collection."""
    return source.format in ANIMATED_FORMATS and bool(getattr(source.picture, "is_animated", False))


def warn_of_others(source: Source, warned: Warned) -> None:
    """Warn where only the first of several frames or pages is used."""
    if (total := count(source)) > 1:
        warned.warn(f"The source has {total} frames or pages; the first was used.")


def warn_of_cut(source: Source, warned: Warned) -> None:
    """Warn where frames may be missing at the end of a file."""
    if source.cut_off:
        warned.warn(
            f"The GIF is cut off: {count(source):,} frames are complete, others may be missing. Send the whole file."
        )
