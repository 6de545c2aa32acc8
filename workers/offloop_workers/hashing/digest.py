"""Digest algorithms by name: one interface over several libraries."""

from __future__ import annotations

import hashlib
import hmac
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol, get_args

import xxhash
from blake3 import blake3

from offloop.jobs.hashing import NOT_FOR_SECURITY, Algorithm


class Digest(Protocol):
    """The interface that all algorithms share."""

    def update(self, data: memoryview, /) -> object:
        """Hash more bytes."""

    def digest(self) -> bytes:
        """The digest of the bytes so far."""


class Crc32:
    """CRC-32 of zip, gzip and PNG."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: memoryview, /) -> None:
        """Hash more bytes."""
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        """Four bytes, big-endian, as the checksum is usually printed."""
        return self._value.to_bytes(4, "big")


_OTHERS: Mapping[str, Callable[[], Digest]] = MappingProxyType(
    {"blake3": blake3, "crc32": Crc32, "xxh3_64": xxhash.xxh3_64, "xxh3_128": xxhash.xxh3_128}
)


def digest(algorithm: str) -> Digest:
    """A new digest of that name."""
    if algorithm in _OTHERS:
        return _OTHERS[algorithm]()
    return hashlib.new(algorithm, usedforsecurity=algorithm not in NOT_FOR_SECURITY)


def keyed(algorithm: str, key: bytes) -> Digest:
    """A new HMAC; not for the algorithms of `offloop.jobs.hashing.WITHOUT_HMAC`."""
    return hmac.new(key, digestmod=algorithm)


def warm() -> None:
    """Compute every digest once, so that the libraries are loaded."""
    for algorithm in get_args(Algorithm):
        digest(algorithm).update(memoryview(b"warm"))
    keyed("sha256", b"warm").update(memoryview(b"warm"))
