"""Limit of concurrent reads of one source."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from offloop.errors import Busy
from offloop_server.io.deadline import Deadline


class Permits:
    """A number of permits; a read waits for one until its deadline.

    Args:
        count: concurrent reads.
    """

    def __init__(self, count: int) -> None:
        self._free = asyncio.Semaphore(count)

    @asynccontextmanager
    async def one(self, deadline: Deadline) -> AsyncIterator[None]:
        """Hold a permit while the block runs.

        Raises:
            Busy: none was free in time.
        """
        try:
            async with asyncio.timeout(deadline.left):
                await self._free.acquire()
        except TimeoutError:
            message = f"All connections to the source were busy for {deadline.seconds:g} s; nothing was read. Retry."
            raise Busy(message, retry_after=deadline.seconds) from None
        try:
            yield
        finally:
            self._free.release()
