"""Limits on outbound requests: one for all callers of this process, and one for each host."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from offloop.errors import Busy
from offloop_server.runtime.fair_limiter import FairLimiter


class RequestLimiter:
    """Bounds the requests in flight, in total and by host; permits rotate among principals.

    Args:
        total: requests in flight at most.
        per_host: the same, to one host.
        patience: longest wait for a permit, in seconds.
    """

    def __init__(self, total: int, per_host: int, patience: float) -> None:
        self._limiter = FairLimiter(total, per_host)
        self._patience = patience

    @asynccontextmanager
    async def permit(self, principal: str, host: str) -> AsyncIterator[float]:
        """Hold a permit while the block runs; yields the seconds waited for it.

        Raises:
            Busy: none came in time.
        """
        began = time.monotonic()
        try:
            await self._limiter.acquire(principal, host, seconds=self._patience)
        except TimeoutError:
            message = (
                f"{host} was not asked: for {self._patience:g} s the limit of concurrent requests was reached. Try "
                "again later, or ask for fewer URLs in one call."
            )
            raise Busy(message, retry_after=self._patience) from None
        try:
            yield time.monotonic() - began
        finally:
            self._limiter.release(host)
