"""Compressed data of one repeated byte, in any length, made without compressing all of it."""

from __future__ import annotations

import zlib
from functools import cache
from typing import Final

_BLOCK: Final = 1 << 22
_MODULUS: Final = 65_521


def repeated(byte: int, count: int) -> bytes:
    """A zlib stream that decompresses to that many equal bytes."""
    return b"\x78\xda" + deflated(byte, count) + _adler32(byte, count).to_bytes(4, "big")


def deflated(byte: int, count: int) -> bytes:
    """The same without head and checksum: copies of one compressed block, and the rest."""
    blocks, rest = divmod(count, _BLOCK)
    packer = zlib.compressobj(9, wbits=-15)
    return _block(byte) * blocks + packer.compress(bytes([byte]) * rest) + packer.flush()


@cache
def _block(byte: int) -> bytes:
    packer = zlib.compressobj(9, wbits=-15)
    return packer.compress(bytes([byte]) * _BLOCK) + packer.flush(zlib.Z_FULL_FLUSH)


def _adler32(byte: int, count: int) -> int:
    first = (1 + byte * count) % _MODULUS
    second = (count + byte * count * (count + 1) // 2) % _MODULUS
    return second << 16 | first
