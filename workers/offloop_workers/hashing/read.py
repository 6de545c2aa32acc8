"""One read of one file: every digest asked for, and whether the file stood still."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import BinaryIO, Final, Protocol

from offloop.jobs.hashing import MAX_GIB
from offloop_workers.hashing.digest import Digest

BLOCK: Final = 1024 * 1024
"""Large enough that a call costs nothing, small enough to stay in a core's cache for the next digest."""

MAX_BYTES: Final = MAX_GIB << 30


class Readable(Protocol):
    """A file, or bytes in memory."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Read into a buffer; 0 at the end."""


class ChangedError(Exception):
    """The file changed while it was read, so its digest belongs to no state it ever had."""


class TooLargeError(Exception):
    """The file has more than `MAX_BYTES`."""


def stamp(file: BinaryIO) -> tuple[int, int] | None:
    """Size and time of the last change; nothing for bytes in memory."""
    try:
        found = os.fstat(file.fileno())
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def read(file: BinaryIO, digests: Sequence[Digest], buffer: memoryview, tell: Callable[[int], object]) -> int:
    """Feed each block to every digest.

    Args:
        file: from its beginning.
        digests: what the blocks go to.
        buffer: room for one block.
        tell: called with the bytes of each block.

    Returns:
        The file's size in bytes.

    Raises:
        ChangedError: size or time differ after the read, or the size from what was read.
        TooLargeError: it has, or has become, larger than a job reads.
        OSError: the system cannot read it.
    """
    before = stamp(file)
    if before and before[0] > MAX_BYTES:
        raise TooLargeError
    size = 0
    while count := file.readinto(buffer):  # type: ignore[attr-defined]  # every file and BytesIO has it, BinaryIO says not
        part = buffer if count == len(buffer) else buffer[:count]
        for one in digests:
            one.update(part)
        size += count
        if before and size > before[0]:  # it may grow as fast as it is read
            raise ChangedError
        tell(count)
    if before and (stamp(file) != before or before[0] != size):
        raise ChangedError
    return size
