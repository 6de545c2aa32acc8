"""Whose turn it is to ask the outside: one limit for all callers of this process, and one for each host."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from offloop.errors import Busy


class Turns:
    """Requests in flight, bounded altogether and by host; who waits longest is next.

    A request waits for its host first and then for its place among all, so that those who queue for a slow host take
    no place from the others.

    Args:
        total: requests in flight at most.
        per_host: the same, to one host.
        patience: seconds after which somebody who waits is told to come again.
    """

    def __init__(self, total: int, per_host: int, patience: float) -> None:
        """Nobody is served yet."""
        self.in_flight = 0
        self.waiting = 0
        self._all = asyncio.Semaphore(total)
        self._hosts: dict[str, _Host] = {}
        self._per_host = per_host
        self._patience = patience

    @asynccontextmanager
    async def __call__(self, host: str) -> AsyncIterator[float]:
        """Wait for a turn; answers the seconds waited.

        Raises:
            Busy: none came in time.
        """
        began = time.monotonic()
        mine = self._hosts.setdefault(host, _Host(self._per_host))
        mine.users += 1
        try:
            await self._take(host, mine)
            try:
                yield time.monotonic() - began
            finally:
                self.in_flight -= 1
                self._all.release()
                mine.turns.release()
        finally:
            mine.users -= 1
            if not mine.users:
                del self._hosts[host]

    async def _take(self, host: str, mine: _Host) -> None:
        self.waiting += 1
        try:
            async with asyncio.timeout(self._patience):
                await mine.turns.acquire()
                try:
                    await self._all.acquire()
                except BaseException:
                    mine.turns.release()
                    raise
        except TimeoutError:
            message = (
                f"{host} was not asked: for {self._patience:g} s all places were taken by other requests. Try again "
                "later, or ask for fewer URLs at once."
            )
            raise Busy(message, retry_after=self._patience) from None
        finally:
            self.waiting -= 1
        self.in_flight += 1


class _Host:
    """The turns of one host, kept while anybody needs them."""

    def __init__(self, turns: int) -> None:
        self.turns = asyncio.Semaphore(turns)
        self.users = 0
