"""Decoding of bodies in threads, in small pieces, so that foreign bytes do not block the event loop."""

from __future__ import annotations

import asyncio
from typing import Final

from offloop.charsets.text import Text, decoded
from offloop.outbound.fetch import OutboundResponse
from offloop_server.runtime.fair_limiter import FairLimiter

_THREADS: Final = 2
_SMALL: Final = 4 << 10
"""Bytes that are decoded on the loop, whatever they are."""
_SMALL_ASCII: Final = 64 << 10


class Decoders:
    """Two threads at most decode at a time; principals take turns."""

    def __init__(self) -> None:
        self._limiter = FairLimiter(_THREADS)

    async def decode(self, response: OutboundResponse, *, principal: str) -> Text:
        """Decode a body by its marks, its type, what it declares, and its content."""
        body, declared = response.body, (response.mime_type, response.charset)
        if len(body) <= _SMALL or (len(body) <= _SMALL_ASCII and body.isascii()):
            return decoded(body, *declared)
        await self._limiter.acquire(principal)
        try:
            return await asyncio.to_thread(decoded, body, *declared)
        finally:
            self._limiter.release()
