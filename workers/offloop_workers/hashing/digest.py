"""Digest algorithms by name: one interface over several libraries."""

from __future__ import annotations

import hashlib
import hmac
import re
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, Final, Protocol, get_args

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


_REVERSED: Final = bytes(int(f"{number:08b}"[::-1], 2) for number in range(256))
_ONES: Final = 0xFFFFFFFF


class Cksum:
    """CRC of the program cksum (POSIX): that of `Crc32`, but with each byte's bits in the other order, and the length.

    The bytes are mirrored, so that zlib's table serves; a begin of all ones is its zero.
    """

    def __init__(self) -> None:
        self._value = _ONES
        self._length = 0

    def update(self, data: memoryview, /) -> None:
        """Hash more bytes."""
        self._value = zlib.crc32(bytes(data).translate(_REVERSED), self._value)
        self._length += len(data)

    def digest(self) -> bytes:
        """Four bytes, big-endian; the program prints the number in decimal."""
        length = self._length.to_bytes((self._length.bit_length() + 7) // 8, "little")
        value = zlib.crc32(length.translate(_REVERSED), self._value)
        return value.to_bytes(4, "little").translate(_REVERSED)


class _Sized:
    """An algorithm whose digests have a chosen length."""

    def __init__(self, algorithm: Any, length: int) -> None:
        self._algorithm = algorithm
        self._length = length
        self.update = algorithm.update

    def digest(self) -> bytes:
        """The digest of the bytes so far."""
        found: bytes = self._algorithm.digest(self._length)
        return found


class _UniversalNewlines:
    """The digest of a text with line feeds for all its line ends, as ``shasum -U`` computes it."""

    def __init__(self, algorithm: Digest) -> None:
        self._algorithm = algorithm
        self._carriage_return = False

    def update(self, data: memoryview, /) -> None:
        """Hash more bytes; a carriage return at the end may be half of a line end."""
        text = b"\r" + bytes(data) if self._carriage_return else bytes(data)
        self._carriage_return = text.endswith(b"\r")
        text = text[: len(text) - self._carriage_return]
        self._algorithm.update(memoryview(text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")))

    def digest(self) -> bytes:
        """The digest of the bytes so far."""
        if self._carriage_return:
            self._algorithm.update(memoryview(b"\n"))
            self._carriage_return = False
        return self._algorithm.digest()


UNIVERSAL: Final = "+newlines"
"""Suffix of an algorithm's name: of the text with line feeds for all its line ends."""

_OTHERS: Mapping[str, Callable[[], Digest]] = MappingProxyType({
    "blake3": blake3,
    "crc32": Crc32,
    "cksum": Cksum,
    "xxh32": xxhash.xxh32,
    "xxh64": xxhash.xxh64,
    "xxh3_64": xxhash.xxh3_64,
    "xxh3_128": xxhash.xxh3_128,
})  # fmt: skip
_MANIFESTS_ONLY: Final = frozenset(
    {"sha3_224", "sha3_384", "sha512_224", "sha512_256", "ripemd160", "sm3", "md5-sha1", "cksum", "xxh32", "xxh64"}
)
_OF_LENGTH: Final = re.compile(r"(blake2b|blake2s|blake3|shake_128|shake_256)_([0-9]{1,4})")
_WEAK: Final = NOT_FOR_SECURITY | {"cksum", "xxh32", "xxh64", "md5-sha1"}
_STRONG_BYTES: Final = 20


def digest(algorithm: str) -> Digest:
    """A new digest of that name: an `Algorithm`, or one that only manifests have.

    Raises:
        ValueError: this Python's libraries have no such algorithm.
    """
    if algorithm in _OTHERS:
        return _OTHERS[algorithm]()
    if algorithm.endswith(UNIVERSAL):
        return _UniversalNewlines(digest(algorithm.removesuffix(UNIVERSAL)))
    if found := _OF_LENGTH.fullmatch(algorithm):
        return _of_length(found[1], int(found[2]))
    return hashlib.new(algorithm, usedforsecurity=algorithm not in NOT_FOR_SECURITY)


def _of_length(family: str, bits: int) -> Digest:
    length, rest = divmod(bits, 8)
    if rest or not length:
        message = f"no digest has {bits} bits"
        raise ValueError(message)
    match family:
        case "blake2b":
            return hashlib.blake2b(digest_size=length)
        case "blake2s":
            return hashlib.blake2s(digest_size=length)
        case "blake3":
            return _Sized(blake3(), length)
    return _Sized(hashlib.new(family), length)


@cache
def size(algorithm: str) -> int:
    """Bytes of a digest.

    Raises:
        ValueError: there is no such algorithm.
    """
    return len(digest(algorithm).digest())


@cache
def known(algorithm: str) -> bool:
    """Whether manifests with digests of that algorithm can be checked."""
    if algorithm not in {*get_args(Algorithm), *_MANIFESTS_ONLY} and not _OF_LENGTH.fullmatch(algorithm):
        return False
    try:
        return size(algorithm) > 0
    except (ValueError, OverflowError):  # a library built without it, or a length that it does not have
        return False


def weak(algorithm: str) -> bool:
    """Whether a second file with the same digest can be made on purpose."""
    name = algorithm.removesuffix(UNIVERSAL)
    return name in _WEAK or size(name) < _STRONG_BYTES


def keyed(algorithm: str, key: bytes) -> Digest:
    """A new HMAC; not for the algorithms of `offloop.jobs.hashing.WITHOUT_HMAC`."""
    return hmac.new(key, digestmod=algorithm)


def warm() -> None:
    """Compute every digest once, so that the libraries are loaded."""
    for algorithm in get_args(Algorithm):
        digest(algorithm).update(memoryview(b"warm"))
    keyed("sha256", b"warm").update(memoryview(b"warm"))
