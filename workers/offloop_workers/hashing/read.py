"""Single pass over a file: every requested digest, and a check that the file did not change meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import BinaryIO, Final

from offloop.jobs.hashing import MAX_GIB
from offloop_workers.files.changes import stamp
from offloop_workers.hashing.digest import Digest

BLOCK: Final = 1024 * 1024
"""Bytes: large enough to hide the cost of a call, small enough to stay in a core's cache for the next digest."""

MAX_BYTES: Final = MAX_GIB << 30


class ChangedError(Exception):
    """The file changed while it was read, so the digest matches no state of it."""


class TooLargeError(Exception):
    """The file has more than `MAX_BYTES`."""


def read(file: BinaryIO, digests: Sequence[Digest], buffer: memoryview, report: Callable[[int], object]) -> int:
    """Feed each block to every digest.

    Args:
        file: open, at its beginning.
        digests: updated with each block.
        buffer: room for one block.
        report: called with the number of bytes of each block.

    Returns:
        The file's size in bytes.

    Raises:
        ChangedError: size or time of change differ after the read, or the size differs from the bytes read.
        TooLargeError: the file is larger than a job reads.
        OSError: the system cannot read it.
    """
    before = stamp(file)
    if before and before[0] > MAX_BYTES:
        raise TooLargeError
    size = 0
    while count := file.readinto(buffer):  # type: ignore[attr-defined]  # BinaryIO lacks it; every file and BytesIO has it
        part = buffer if count == len(buffer) else buffer[:count]
        for one in digests:
            one.update(part)
        size += count
        if before and size > before[0]:  # a file may grow as fast as it is read
            raise ChangedError
        report(count)
    if before and (stamp(file) != before or before[0] != size):
        raise ChangedError
    return size
