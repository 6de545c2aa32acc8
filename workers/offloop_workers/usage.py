"""How much of the disk a running job has taken; the kernel caps single files, not how many there are."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

LOOK_SECONDS: Final = 0.5
"""How often jobs that run longer than this are looked at."""

MOST_FILES: Final = 100_000
_BLOCK: Final = 512


def exceeds(folders: Iterable[str], most: int) -> bool:
    """Whether the files in some folders take more than `most` bytes of the disk, or are more than `MOST_FILES`."""
    taken = count = 0
    waiting = list(folders)
    while waiting:
        try:
            entries = os.scandir(waiting.pop())
        except OSError:
            continue  # not made yet, or gone already
        with entries:
            for entry in entries:
                count += 1
                try:
                    taken += entry.stat(follow_symlinks=False).st_blocks * _BLOCK
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                except OSError:
                    continue
                if taken > most or count > MOST_FILES:
                    return True
    return False
