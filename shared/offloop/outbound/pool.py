"""Open connections that wait for the next request to the same origin.

httpx2's own pool looks at every connection whenever one is needed or given back; here that costs the same with one
connection as with five hundred. How many there may be at once is for the callers to limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import httpx2

from offloop.outbound.http1 import Connection
from offloop.outbound.http1_response import Answer

KEEP_SECONDS: Final = 15.0
"""How long one is kept that nobody uses."""

Origin = tuple[str, str, int | None]

Dial = Callable[[httpx2.URL, float | None, Callable[[], Connection]], Awaitable[Connection]]
"""From a URL, seconds to take at most, and what makes a connection, to one that leads to the URL's origin."""


class Connections:
    """One connection for each request in flight; the one used last is used next.

    Args:
        dial: opens one.
        keep: idle ones of all origins that are kept, at most.
    """

    def __init__(self, dial: Dial, keep: int) -> None:
        self._dial = dial
        self._keep = keep
        self._open: set[Connection] = set()
        self._idle: dict[Connection, Origin] = {}
        """Who has waited the longest is first."""
        self._waiting: dict[Origin, list[Connection]] = {}

    @property
    def idle(self) -> int:
        """How many wait."""
        return len(self._idle)

    @property
    def busy(self) -> int:
        """How many carry a request."""
        return len(self._open) - self.idle

    def close(self) -> None:
        """Close them all."""
        for connection in list(self._open):
            connection.close()

    async def ask(self, request: httpx2.Request) -> Answer:
        """Send one request; the answer is to be closed.

        Raises:
            httpx2.TransportError: no connection, or no answer.
        """
        url = request.url
        origin = (url.scheme, url.host, url.port)
        connection = self._take(origin)
        if connection is None:
            seconds = request.extensions.get("timeout", {}).get("connect")
            connection = await self._dial(url, seconds, partial(Connection, self._forget))
            self._open.add(connection)
        return await connection.ask(request, partial(self._give_back, origin))

    def _take(self, origin: Origin) -> Connection | None:
        while waiting := self._waiting.get(origin):
            connection = waiting[-1]
            self._withdraw(connection)
            if connection.usable and not _expired(connection):
                return connection
            connection.close()
        return None

    def _give_back(self, origin: Origin, connection: Connection) -> None:
        connection.rest()
        self._idle[connection] = origin
        self._waiting.setdefault(origin, []).append(connection)
        # One is looked at for each that comes back, so that origins nobody asks any more do not keep theirs for ever.
        oldest = next(iter(self._idle))
        if self.idle > self._keep or _expired(oldest):
            oldest.close()

    def _withdraw(self, connection: Connection) -> None:
        if origin := self._idle.pop(connection, None):
            self._waiting[origin].remove(connection)
            if not self._waiting[origin]:
                del self._waiting[origin]

    def _forget(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._withdraw(connection)


def _expired(connection: Connection) -> bool:
    return asyncio.get_running_loop().time() - connection.idle_since > KEEP_SECONDS
