"""Disk usage of a running job; the kernel caps the size of a file, not the number of files."""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterable, Iterator
from typing import Final

from offloop_workers.sandbox import kernel

CHECK_SECONDS: Final = 0.5
"""Interval of the checks; a shorter job is not measured."""

MAX_FILES: Final = 100_000
_BLOCK: Final = 512


def exceeds(folders: Iterable[str], leader: int, most: int) -> bool:
    """Whether a job takes more than `most` bytes of the disk, or has more than `MAX_FILES` files.

    Args:
        folders: all files in them count.
        leader: files that are open in this process or its descendants, and have been deleted, count too.
        most: bytes.
    """
    taken = 0
    for count, size in enumerate(itertools.chain(_named(folders), _nameless(leader)), 1):
        taken += size
        if taken > most or count > MAX_FILES:
            return True
    return False


def _named(folders: Iterable[str]) -> Iterator[int]:
    """Bytes of each entry of folders, at any depth."""
    waiting = list(folders)
    while waiting:
        try:
            entries = os.scandir(waiting.pop())
        except OSError:
            continue  # not made yet, or gone already
        with entries:
            for entry in entries:
                try:
                    size = entry.stat(follow_symlinks=False).st_blocks * _BLOCK
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                except OSError:
                    size = 0
                yield size


def _nameless(leader: int) -> Iterator[int]:
    """Bytes of each file that is open and has no name (any more), or never left memory."""
    seen: set[tuple[int, int]] = set()
    for pid in kernel.family(leader):
        try:
            entries = os.scandir(f"/proc/{pid}/fd")
        except OSError:
            continue  # it has ended, or this system has none of it
        with entries:
            for entry in entries:
                try:
                    found = entry.stat()
                except OSError:
                    continue  # closed already
                if found.st_nlink == 0 and stat.S_ISREG(found.st_mode) and (found.st_dev, found.st_ino) not in seen:
                    seen.add((found.st_dev, found.st_ino))
                    yield found.st_blocks * _BLOCK
