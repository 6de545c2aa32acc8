"""Multiplexer: one pipelined connection to Redis for the commands of all tasks; none waits for another's reply.

redis-py gives every command a connection of its own from a pool, and takes about 55 µs of CPU for it. A dispatcher
sends several small scripts a job, so here they share one connection: replies come in the order of the commands, so a
queue of futures is all the bookkeeping there is.

A caller that is cancelled takes nothing with it: its reply is dropped when it comes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final

import hiredis
from arq.connections import ArqRedis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.utils import str_if_bytes

from offloop.redis.codec import pack, unpack
from offloop.redis.raw_connection import RawConnection, broken

if TYPE_CHECKING:
    from redis.asyncio import ConnectionPool
    from redis.asyncio.connection import AbstractConnection
    from redis.asyncio.retry import Retry

_BLOCKING = "use a connection of connect_blocking()"
_SUBSCRIBING = "use a Subscriber, or redis.pubsub(), on a connection of its own"
_TRANSACTION = "use redis.pipeline(transaction=True), or a script"
_STATE = "it would change the connection for every task: set it in OFFLOOP_REDIS_URL"
_REFUSED: Final = {
    command: instead
    for instead, commands in {
        _BLOCKING: "BLPOP,BRPOP,BRPOPLPUSH,BLMOVE,BLMPOP,BZPOPMIN,BZPOPMAX,BZMPOP,WAIT,WAITAOF",
        _SUBSCRIBING: "SUBSCRIBE,PSUBSCRIBE,SSUBSCRIBE,UNSUBSCRIBE,PUNSUBSCRIBE,SUNSUBSCRIBE,MONITOR",
        _TRANSACTION: "MULTI,EXEC,DISCARD,WATCH,UNWATCH",
        _STATE: "SELECT,AUTH,HELLO,RESET,QUIT,CLIENT REPLY",
    }.items()
    for command in commands.split(",")
}
"""Commands that would stall or change the shared connection, and what to use instead."""

SILENT_SECONDS = 5.0
"""A server that does not answer a command for this long is taken for dead, and the connection with it."""


class MultiplexedRedis(ArqRedis):
    """arq's client, whose single commands go through a `Multiplexer`; pipelines and subscriptions are redis-py's own.

    Args:
        pool: where connections come from.
        retry: how often, and after which errors, a command is sent again.
    """

    def __init__(self, pool: ConnectionPool, retry: Retry) -> None:
        super().__init__(pool, job_serializer=pack, job_deserializer=unpack)
        self.multiplexer = Multiplexer(pool, retry)

    async def execute_command(self, *command: Any, **options: Any) -> Any:
        """Send one command and answer its reply, in the form redis-py gives it.

        Raises:
            RedisError: the server refuses it, or does not answer.
            ValueError: it would hold up, or change, the connection that all tasks share.
        """
        name, *rest = command
        _check(name, rest)
        # redis-py writes subcommands with their command, as in "SCRIPT LOAD".
        reply = await self.multiplexer.call((*name.split(), *rest) if " " in name else command)
        options.pop("keys", None)
        in_form = self.response_callbacks.get(name)
        return in_form(reply, **options) if in_form else reply

    async def aclose(self, close_connection_pool: bool | None = None) -> None:  # noqa: FBT001 -- redis-py's signature
        """Close the connections."""
        await self.multiplexer.aclose()
        await super().aclose(close_connection_pool)


def _check(name: str, rest: list[Any]) -> None:
    """Refuse a command that needs a connection of its own."""
    name = name.upper()
    instead = _REFUSED.get(name)
    if name in ("XREAD", "XREADGROUP"):
        options = takewhile(lambda part: part != "STREAMS", (str(str_if_bytes(part)).upper() for part in rest))
        instead = _BLOCKING if "BLOCK" in options else None
    if instead:
        message = f"{name} is refused on the connection that all tasks share: {instead}."
        raise ValueError(message)


class Multiplexer:
    """The shared connection; it is opened when it is first needed, and again after it broke."""

    def __init__(self, pool: ConnectionPool, retry: Retry) -> None:
        self._pool = pool
        self._retry = retry
        self._opening = asyncio.Lock()
        self._connection: AbstractConnection | None = None
        self._replies: _Replies | None = None

    async def call(self, command: tuple[Any, ...]) -> Any:
        """Send a command and wait for its reply; after a broken connection it is sent again.

        Raises:
            RedisError: the server refuses it, or does not answer however often it is asked.
        """
        return await self._retry.call_with_retry(partial(self._once, command), _pass_over)

    async def aclose(self) -> None:
        """Close the connection. Safe to call twice."""
        async with self._opening:
            await self._let_go()

    async def _once(self, command: tuple[Any, ...]) -> Any:
        replies = self._replies
        if replies is None or replies.over:
            replies = await self._open()
        try:
            return await replies.ask(command)
        except ReadOnlyError:
            replies.abort()  # a demoted primary: the next connection asks for the new one
            raise

    async def _open(self) -> _Replies:
        async with self._opening:
            if self._replies is None or self._replies.over:
                await self._let_go()
                connection = await self._pool.get_connection()
                self._connection, self._replies = connection, _Replies(connection)
            return self._replies

    async def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            await connection.disconnect()
            await self._pool.release(connection)


class _Replies(RawConnection):
    """Sends commands over the connection, and gives each its reply."""

    def __init__(self, connection: AbstractConnection) -> None:
        super().__init__(connection)
        self._asked: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._look: asyncio.TimerHandle | None = None
        self._held: list[bytes] | None = None
        self._loop = asyncio.get_running_loop()
        self._free: asyncio.Future[None] | None = None

    async def ask(self, command: tuple[Any, ...]) -> Any:
        while self._free:
            await asyncio.shield(self._free)
        if self.over:
            raise broken()
        packed = hiredis.pack_command(command)
        reply: asyncio.Future[Any] = self._loop.create_future()
        self._asked.append((self._loop.time(), reply))
        if self._look is None:  # one clock for all: a timer for each would cost as much as the rest
            self._look = self._loop.call_later(SILENT_SECONDS, self._look_for_silence)
        if self._held is None:  # in each loop iteration the first is sent now, the others together
            self._held = []
            self._loop.call_soon(self._flush)
            self._transport.write(packed)
        else:
            self._held.append(packed)
        return await reply

    def _flush(self) -> None:
        held, self._held = self._held, None
        if held:
            self._transport.write(b"".join(held))

    def _look_for_silence(self) -> None:
        self._look = None
        if not self._asked:
            return
        left = self._asked[0][0] + SILENT_SECONDS - self._loop.time()
        if left > 0:
            self._look = self._loop.call_later(left, self._look_for_silence)
            return
        self._end(RedisTimeoutError(f"no reply for {SILENT_SECONDS:g} s"))
        self.abort()

    def heard(self, reply: Any) -> None:
        _, asked = self._asked.popleft()
        if asked.done():
            return  # its caller was cancelled
        if isinstance(reply, Exception):
            asked.set_exception(reply)
        else:
            asked.set_result(reply)

    def pause_writing(self) -> None:
        self._free = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._free:
            self._free.set_result(None)
            self._free = None

    def ended(self, error: RedisConnectionError) -> None:
        self.resume_writing()
        if self._look:
            self._look.cancel()
        self._end(error)

    def _end(self, error: Exception) -> None:
        for _, asked in self._asked:
            if not asked.done():
                asked.set_exception(error)
        self._asked.clear()


async def _pass_over(_error: Exception) -> None:
    """What there is to do after an error is done where it is met."""
