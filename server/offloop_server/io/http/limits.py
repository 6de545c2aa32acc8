"""Whose turn it is to ask the outside: one limit for all callers of this process, and one for each host."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from offloop.errors import Busy
from offloop_server.runtime.fair_limiter import FairLimiter


class Turns:
    """Requests in flight, bounded altogether and by host; principals take turns.

    Args:
        total: requests in flight at most.
        per_host: the same, to one host.
        patience: seconds after which somebody who waits is told to come again.
    """

    def __init__(self, total: int, per_host: int, patience: float) -> None:
        self._limiter = FairLimiter(total, per_host)
        self._patience = patience

    @property
    def in_flight(self) -> int:
        """How many requests have a turn."""
        return self._limiter.granted

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return self._limiter.waiting

    @asynccontextmanager
    async def __call__(self, principal: str, host: str) -> AsyncIterator[float]:
        """Wait for a turn of a principal's; answers the seconds waited.

        Raises:
            Busy: none came in time.
        """
        began = time.monotonic()
        try:
            await self._limiter.acquire(principal, host, seconds=self._patience)
        except TimeoutError:
            message = (
                f"{host} was not asked: for {self._patience:g} s all places were taken by other requests. Try again "
                "later, or ask for fewer URLs at once."
            )
            raise Busy(message, retry_after=self._patience) from None
        try:
            yield time.monotonic() - began
        finally:
            self._limiter.release(host)
