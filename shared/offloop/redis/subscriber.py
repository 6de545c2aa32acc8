"""Subscriber: one channel, whose messages are handled in the callback of their data.

redis-py wakes a task for each message, which waits for the next one under a timeout; that takes longer than handling
most messages. Here a message is a call.
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
"""After so long a silence the server is asked whether it is there; it has as long to answer."""


class Subscriber:
    """Listens to one channel.

    Args:
        redis: where connections come from.
        name: of the channel.
        hear: is called with each message.
        ready: is called when the subscription begins, the first time and after every break.
    """

    def __init__(
        self, redis: RedisClient, name: str, hear: Callable[[bytes], object], ready: Callable[[], object]
    ) -> None:
        self._pool = redis.connection_pool
        self._name = name
        self._hear = hear
        self._ready = ready
        self._messages: _Messages | None = None

    async def listen(self) -> NoReturn:
        """Subscribe, and hear what comes.

        Raises:
            RedisError: the server is away, or refuses, or the connection breaks or is dead.
        """
        connection = await self._pool.get_connection()
        try:
            self._messages = _Messages(connection, self._hear, self._ready)
            self._messages.say("SUBSCRIBE", self._name)
            while True:
                await self._messages.still_there()
        finally:
            self._messages = None
            await connection.disconnect()
            await self._pool.release(connection)

    async def hear_all(self) -> None:
        """Return when all messages published before now are handled; immediately where there is no subscription.

        Raises:
            RedisConnectionError: the connection breaks.
        """
        if self._messages and not self._messages.over:
            await self._messages.ask()


class _Messages(RawConnection):
    """What comes over the connection."""

    def __init__(
        self, connection: AbstractConnection, hear: Callable[[bytes], object], ready: Callable[[], object]
    ) -> None:
        super().__init__(connection)
        self._loop = asyncio.get_running_loop()
        self._hear = hear
        self._ready = ready
        self._asked: deque[asyncio.Future[None]] = deque()
        self._last = self._loop.time()
        self._end: asyncio.Future[None] = self._loop.create_future()

    def say(self, *command: Any) -> None:
        self._transport.write(hiredis.pack_command(command))

    async def ask(self) -> None:
        answered: asyncio.Future[None] = self._loop.create_future()
        self._asked.append(answered)
        self.say("PING")
        await answered

    async def still_there(self) -> None:
        """Return after a while in which the server has answered.

        Raises:
            RedisConnectionError: the connection broke.
            RedisTimeoutError: it is silent even when it is asked, so it is dead.
        """
        await asyncio.wait([self._end], timeout=SILENT_SECONDS)
        if self._end.done():
            self._end.result()
        if self._loop.time() - self._last < SILENT_SECONDS:
            return
        try:
            async with asyncio.timeout(SILENT_SECONDS):
                await self.ask()
        except TimeoutError:
            self.abort()
            silent = "a subscription has gone silent"
            raise RedisTimeoutError(silent) from None

    def heard(self, reply: Any) -> None:
        self._last = self._loop.time()
        if isinstance(reply, Exception):
            self._finish(reply)
            return
        match reply[0]:
            case b"message":
                self._hear(reply[2])
            case b"subscribe":
                self._ready()
            case b"pong":
                answered = self._asked.popleft()
                if not answered.done():
                    answered.set_result(None)

    def ended(self, error: RedisConnectionError) -> None:
        for answered in self._asked:
            if not answered.done():
                answered.set_exception(error)
        self._finish(error)

    def _finish(self, error: Exception) -> None:
        if not self._end.done():
            self._end.set_exception(error)
            self._end.exception()  # retrieved: its listener may be gone
