"""Changes of a file while it is read."""

from __future__ import annotations

import os
from typing import BinaryIO


def stamp(file: BinaryIO) -> tuple[int, int] | None:
    """Size and time of the last change; None for bytes in memory."""
    try:
        found = os.fstat(file.fileno())
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
