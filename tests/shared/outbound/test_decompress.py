"""Bounded decompression of bodies, well packed and badly."""

from __future__ import annotations

import gzip
import zlib

import pytest

from offloop.errors import FetchFailed
from offloop.outbound.decompress import PIECE, Decompressor


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 1 << 20])
@pytest.mark.parametrize("step", [1 << 20, 1000])
def test_a_body_is_unpacked_in_small_pieces(size: int, step: int) -> None:
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    bare = zlib.compressobj(wbits=-15)
    whole = zlib.compressobj(wbits=31)
    gzipped = whole.compress(content) + whole.flush()
    for encoding, packed, expected in (
        ("gzip", gzipped, content),
        ("gzip", gzipped + gzipped, content * 2),
        ("gzip", gzipped + bytes(512), content),
        ("deflate", zlib.compress(content), content),
        ("deflate", bare.compress(content) + bare.flush(), content),
        ("", content, content),
    ):
        decompressor = Decompressor(encoding)
        fed = [packed[start : start + step] for start in range(0, len(packed), step)]
        pieces = [piece for part in fed for piece in decompressor.feed(part)]
        decompressor.end()
        assert b"".join(pieces) == expected
        assert all(len(piece) <= PIECE for piece in pieces) or not encoding


def test_packed_parts_without_content_are_not_unpacked_for_ever() -> None:
    """Each takes time and adds nothing that the limit would count."""
    decompressor = Decompressor("gzip")
    with pytest.raises(FetchFailed, match="parts without content"):
        list(decompressor.feed(gzip.compress(b"") * 1000))
    decompressor = Decompressor("gzip")
    full = gzip.compress(bytes(PIECE), compresslevel=1)
    assert sum(map(len, decompressor.feed(full * 200))) == 200 * PIECE


def test_a_damaged_or_truncated_body_is_an_error() -> None:
    decompressor = Decompressor("gzip")
    with pytest.raises(FetchFailed, match="not packed as gzip"):
        list(decompressor.feed(b"hello, this is plain"))
    decompressor = Decompressor("deflate")
    assert list(decompressor.feed(zlib.compress(bytes(1000))[:5])) is not None
    with pytest.raises(FetchFailed, match="ended early"):
        decompressor.end()
