"""Hashing: every digest asked for, in a single read."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import BinaryIO, Protocol, get_args

import xxhash
from blake3 import blake3

from offloop.job import Context, performs
from offloop.jobs.hashing import NOT_FOR_SECURITY, Algorithm, Digests, FileToHash, hash_file

# Large enough that every update releases the GIL for long, small enough to stay in a core's cache for the next digest.
_BLOCK = 1024 * 1024


class Digest(Protocol):
    """What all of them have in common."""

    def update(self, data: memoryview, /) -> object:
        """Take in more bytes."""

    def hexdigest(self) -> str:
        """The digest so far, in lower-case hexadecimal."""


class Crc32:
    """CRC-32 as zip, gzip and PNG use it."""

    def __init__(self) -> None:
        """Start at zero."""
        self._value = 0

    def update(self, data: memoryview, /) -> None:
        """Take in more bytes."""
        self._value = zlib.crc32(data, self._value)

    def hexdigest(self) -> str:
        """Eight hexadecimal digits."""
        return f"{self._value:08x}"


_OTHERS: Mapping[str, Callable[[], Digest]] = MappingProxyType(
    {"blake3": blake3, "crc32": Crc32, "xxh3_64": xxhash.xxh3_64, "xxh3_128": xxhash.xxh3_128}
)


def digest(algorithm: Algorithm) -> Digest:
    """A fresh digest of that name."""
    if algorithm in _OTHERS:
        return _OTHERS[algorithm]()
    return hashlib.new(algorithm, usedforsecurity=algorithm not in NOT_FOR_SECURITY)


@performs(hash_file)
def hash_bytes(request: FileToHash, context: Context) -> Digests:
    """Read the file once and feed each block to every digest; progress is in bytes."""
    digests = {algorithm: digest(algorithm) for algorithm in request.algorithms}  # a name given twice counts once
    with context.open(request.file) as file:
        size = _read(file, list(digests.values()), context)
    return Digests(digests={name: one.hexdigest() for name, one in digests.items()}, size=size)


def _read(file: BinaryIO, digests: list[Digest], context: Context) -> int:
    total = file.seek(0, os.SEEK_END)
    file.seek(0)
    block = memoryview(bytearray(_BLOCK))
    done = 0
    context.progress(0, total, "reading")
    while count := file.readinto(block):  # type: ignore[attr-defined]  # every file and BytesIO has it, BinaryIO says not
        part = block[:count]
        for one in digests:
            one.update(part)
        done += count
        context.progress(done, max(total, done), "reading")
    return done


def warm() -> None:
    """Compute every digest once, so that the libraries behind them are loaded and set up."""
    for algorithm in get_args(Algorithm):
        digest(algorithm).update(memoryview(b"warm"))
