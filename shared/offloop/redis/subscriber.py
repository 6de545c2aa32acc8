"""Subscriber: one channel, whose messages are handled in the callback of their data.

redis-py wakes a task for each message, which waits for the next one under a timeout; that takes longer than handling
most messages. Here each message is one function call.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NoReturn

import hiredis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from offloop.redis.raw_connection import RawConnection

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

    from offloop.redis import RedisClient

SILENT_SECONDS: Final = 5.0
"""Silence after which the server is pinged; it has as long to answer."""


class Subscriber:
    """Subscription to one channel.

    Args:
        redis: source of connections.
        name: name of the channel.
        handle: called with each message.
        ready: called when the subscription begins, the first time and after every break.
    """

    def __init__(
        self, redis: RedisClient, name: str, handle: Callable[[bytes], object], ready: Callable[[], object]
    ) -> None:
        self._pool = redis.connection_pool
        self._name = name
        self._handle = handle
        self._ready = ready
        self._messages: _Messages | None = None

    async def listen(self) -> NoReturn:
        """Subscribe, and handle the messages.

        Raises:
            RedisError: the server is away or refuses; or the connection breaks or is dead.
        """
        connection = await self._pool.get_connection()
        try:
            self._messages = _Messages(connection, self._handle, self._ready)
            self._messages.send("SUBSCRIBE", self._name)
            while True:
                await self._messages.check_alive()
        finally:
            self._messages = None
            await connection.disconnect()
            await self._pool.release(connection)

    async def flush(self) -> None:
        """Wait until all messages published before now are handled; returns immediately without a subscription.

        Raises:
            RedisConnectionError: the connection breaks.
        """
        if self._messages and not self._messages.over:
            await self._messages.ping()


class _Messages(RawConnection):
    """Messages and replies of the connection."""

    def __init__(
        self, connection: AbstractConnection, handle: Callable[[bytes], object], ready: Callable[[], object]
    ) -> None:
        super().__init__(connection)
        self._loop = asyncio.get_running_loop()
        self._handle = handle
        self._ready = ready
        self._pings: deque[asyncio.Future[None]] = deque()
        self._last = self._loop.time()
        self._end: asyncio.Future[None] = self._loop.create_future()

    def send(self, *command: Any) -> None:
        self._transport.write(hiredis.pack_command(command))

    async def ping(self) -> None:
        answered: asyncio.Future[None] = self._loop.create_future()
        self._pings.append(answered)
        self.send("PING")
        await answered

    async def check_alive(self) -> None:
        """Wait `SILENT_SECONDS`, then ping the server unless it has sent something meanwhile.

        Raises:
            RedisConnectionError: the connection broke.
            RedisTimeoutError: the ping was not answered: the connection is dead.
        """
        await asyncio.wait([self._end], timeout=SILENT_SECONDS)
        if self._end.done():
            self._end.result()
        if self._loop.time() - self._last < SILENT_SECONDS:
            return
        try:
            async with asyncio.timeout(SILENT_SECONDS):
                await self.ping()
        except TimeoutError:
            self.abort()
            silent = "a subscription has gone silent"
            raise RedisTimeoutError(silent) from None

    def on_reply(self, reply: Any) -> None:
        self._last = self._loop.time()
        if isinstance(reply, Exception):
            self._finish(reply)
            return
        match reply[0]:
            case b"message":
                self._handle(reply[2])
            case b"subscribe":
                self._ready()
            case b"pong":
                answered = self._pings.popleft()
                if not answered.done():
                    answered.set_result(None)

    def on_end(self, error: RedisConnectionError) -> None:
        for answered in self._pings:
            if not answered.done():
                answered.set_exception(error)
        self._finish(error)

    def _finish(self, error: Exception) -> None:
        if not self._end.done():
            self._end.set_exception(error)
            self._end.exception()  # retrieved: its listener may be gone
