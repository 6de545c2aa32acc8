"""Bounded decompression: a body is unpacked in small pieces, so that kilobytes cannot become gigabytes in memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from offloop.errors import FetchFailed

ACCEPTED: Final = "gzip, deflate"
"""The value of ``Accept-Encoding``: encodings that can be unpacked up to a bound."""
_NO_CODINGS: Final = frozenset({"", "identity", "none", "null", "binary", "7bit", "8bit", "utf-8", "utf8"})
"""Values that servers send although nothing is packed."""
PIECE: Final = 64 << 10
_MAX_EMPTY: Final = 100
"""Maximum of packed members without content: they cost time, and the bound on bytes does not count them."""
_GZIP: Final = 16 + zlib.MAX_WBITS
_BARE: Final = -zlib.MAX_WBITS
_HEADER: Final = 2
"""Bytes of a deflate body that tell whether it has a header."""


class Decompressor:
    """Unpacks one body.

    Args:
        encoding: the value of ``Content-Encoding``.

    Raises:
        FetchFailed: it is one that was not asked for, or several.
    """

    def __init__(self, encoding: str) -> None:
        named = [one.strip().lower().removeprefix("x-") for one in encoding.split(",")]
        self._encoding = ", ".join(one for one in named if one not in _NO_CODINGS) or "identity"
        if self._encoding not in ("identity", "gzip", "deflate"):
            message = f"its body is packed as {encoding[:40]!r}, and only {ACCEPTED} were asked for"
            raise FetchFailed(message, code="bad_answer", retryable=False)
        self._unpacker: zlib._Decompress | None = None
        self._begun = b""
        self._empty = 0
        self._filled = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Unpack some bytes of the body; yields pieces of at most 64 KiB.

        Raises:
            FetchFailed: they are not packed as the server said.
        """
        if self._encoding == "identity":
            yield data
            return
        try:
            yield from self._unpacked(data)
        except zlib.error:
            message = f"its body is not packed as {self._encoding}, as it said"
            raise FetchFailed(message, code="bad_answer", retryable=False) from None

    def end(self) -> None:
        """End the body.

        Raises:
            FetchFailed: it ended in the middle of its packed content.
        """
        if self._begun or (self._unpacker and not self._unpacker.eof):
            message = "its packed body ended early"
            raise FetchFailed(message, code="bad_answer")

    def _unpacked(self, data: bytes) -> Iterator[bytes]:
        if self._unpacker is None:
            data = self._begun + data
            if len(data) < _HEADER:  # too short to tell which form it has
                self._begun = data
                return
            self._begun = b""
            self._unpacker = self._new(data)
        while True:
            if self._unpacker.eof:
                # gzip may hold several members in a row; padding, and bytes after a deflate stream, are ignored.
                if not data.strip(b"\0") or self._encoding == "deflate":
                    return
                self._unpacker = self._new(data)
            piece = self._unpacker.decompress(data, PIECE)
            if piece:
                self._filled = True
                yield piece
            if self._unpacker.eof:
                self._count()
            data = self._unpacker.unused_data if self._unpacker.eof else self._unpacker.unconsumed_tail
            # After a full piece the decompressor may hold more output, even if it has consumed all input.
            if not data and len(piece) < PIECE:
                return

    def _new(self, data: bytes) -> zlib._Decompress:
        return zlib.decompressobj(_GZIP if self._encoding == "gzip" else _window(data))

    def _count(self) -> None:
        """Count a member that has ended.

        Raises:
            FetchFailed: too many were without content.
        """
        self._empty += not self._filled
        self._filled = False
        if self._empty > _MAX_EMPTY:
            message = "its body is packed in too many parts without content"
            raise FetchFailed(message, code="bad_answer", retryable=False)


def _window(data: bytes) -> int:
    """Window bits of a deflate body, which servers send with a header, as they should, or bare."""
    header = data[:_HEADER]
    with_header = header[0] & 0x0F == 8 and int.from_bytes(header) % 31 == 0  # noqa: PLR2004 -- RFC 1950
    return zlib.MAX_WBITS if with_header else _BARE
