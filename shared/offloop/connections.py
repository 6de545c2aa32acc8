"""Open connections that wait for the next request to the same origin.

httpcore2's own pool looks at every connection whenever one is needed or given back; here that costs the same with one
connection as with five hundred. How many there may be at once is for the callers to limit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from ssl import SSLContext
from typing import Final, Protocol, Self, cast

import httpcore2

from offloop.errors import FetchFailed

_KEEP_SECONDS: Final = 15.0

Key = tuple[bytes, bytes, int]


class Connections:
    """One connection for each request in flight; the one used last is used next.

    Args:
        backend: dials.
        context: which certificates are trusted.
        keep: idle ones of all origins that are kept, at most.
    """

    def __init__(self, backend: httpcore2.AsyncNetworkBackend, context: SSLContext, keep: int) -> None:
        """None is open yet."""
        self._backend = backend
        self._context = context
        self._keep = keep
        self._idle: defaultdict[Key, list[httpcore2.AsyncHTTPConnection]] = defaultdict(list)
        self._open: set[httpcore2.AsyncHTTPConnection] = set()

    @property
    def idle(self) -> int:
        """How many wait."""
        return sum(map(len, self._idle.values()))

    @property
    def busy(self) -> int:
        """How many carry a request."""
        return len(self._open) - self.idle

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close them all."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close them all."""
        self._idle.clear()
        while self._open:
            await self._open.pop().aclose()

    async def handle_async_request(self, request: httpcore2.Request) -> httpcore2.Response:
        """Send one request.

        Raises:
            FetchFailed: the request cannot be sent at all.
        """
        origin = request.url.origin
        key = (origin.scheme, origin.host, origin.port)
        for _ in range(self._keep + 2):
            connection = await self._take(key, origin)
            try:
                response = await connection.handle_async_request(request)
            except httpcore2.ConnectionNotAvailable:
                await self._close(connection)  # it was closed by the other side, or is worn out
            except BaseException:
                await self._close(connection)
                raise
            else:
                body = _Body(cast("_Stream", response.stream), lambda: self._give_back(key, connection))  # noqa: B023 -- the loop ends here
                return httpcore2.Response(
                    response.status, headers=response.headers, content=body, extensions=response.extensions
                )
        message = "no connection stays open"
        raise FetchFailed(message)

    async def _take(self, key: Key, origin: httpcore2.Origin) -> httpcore2.AsyncHTTPConnection:
        while waiting := self._idle.get(key):
            connection = waiting.pop()
            if not waiting:
                del self._idle[key]
            if connection.is_available() and not connection.has_expired():
                return connection
            await self._close(connection)
        connection = httpcore2.AsyncHTTPConnection(
            origin, ssl_context=self._context, keepalive_expiry=_KEEP_SECONDS, network_backend=self._backend
        )
        self._open.add(connection)
        return connection

    async def _give_back(self, key: Key, connection: httpcore2.AsyncHTTPConnection) -> None:
        if connection not in self._open or not connection.is_idle():
            await self._close(connection)
            return
        self._idle[key].append(connection)
        # One is looked at for each that comes back, so that origins nobody asks any more do not keep theirs for ever.
        eldest = next(iter(self._idle))
        oldest = self._idle[eldest][0]
        if oldest is not connection and (self.idle > self._keep or oldest.has_expired()):
            self._idle[eldest].pop(0)
            if not self._idle[eldest]:
                del self._idle[eldest]
            await self._close(oldest)

    async def _close(self, connection: httpcore2.AsyncHTTPConnection) -> None:
        self._open.discard(connection)
        await connection.aclose()


class _Stream(Protocol):
    """The body of httpcore2's answers."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def aclose(self) -> None: ...


class _Body:
    """A body that gives its connection back when it is closed."""

    def __init__(self, stream: _Stream, give_back: Callable[[], Awaitable[None]]) -> None:
        self._stream = stream
        self._give_back = give_back
        self._closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            try:
                await self._stream.aclose()
            finally:
                await self._give_back()
