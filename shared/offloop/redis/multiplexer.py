"""Multiplexer: one pipelined connection to Redis for the commands of all tasks; none waits for another's reply.

redis-py gives every command a connection of its own from a pool, and takes about 55 µs of CPU for it. A dispatcher
sends several small scripts a job, so here they share one connection. Replies come in the order of the commands, so a
queue of futures is the only bookkeeping.

A cancelled caller disturbs no other: its reply is dropped when it arrives.
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
        _SUBSCRIBING: "SUBSCRIBE,PSUBSCRIBE,SSUBSCRIBE,UNSUBSCRIBE,PUNSUBSCRIBE,SUNSUBSCRIBE,MONITOR,SYNC,PSYNC",
        _TRANSACTION: "MULTI,EXEC,DISCARD,WATCH,UNWATCH",
        _STATE: "SELECT,AUTH,HELLO,RESET,QUIT,CLIENT REPLY,CLIENT TRACKING",
    }.items()
    for command in commands.split(",")
}
"""Commands that would stall or change the shared connection, and what to use instead."""

_SCRIPTS: Final = frozenset({"EVALSHA", "EVAL"})
"""Commands that are never refused, and whose replies have no form of redis-py's: almost all that are sent."""

SILENT_SECONDS = 5.0
"""Longest wait for a reply; the connection counts as dead after it."""


class MultiplexedRedis(ArqRedis):
    """arq's client, whose single commands go through a `Multiplexer`; pipelines and subscriptions are redis-py's own.

    Args:
        pool: source of connections.
        retry: how often, and after which errors, a command is sent again.
    """

    def __init__(self, pool: ConnectionPool, retry: Retry) -> None:
        super().__init__(pool, job_serializer=pack, job_deserializer=unpack)
        self.multiplexer = Multiplexer(pool, retry)

    async def execute_command(self, *command: Any, **options: Any) -> Any:
        """Send one command and return its reply, in redis-py's form.

        Raises:
            RedisError: the server refuses it, or does not answer.
            ValueError: it would hold up, or change, the connection that all tasks share.
        """
        if command[0] in _SCRIPTS:
            return await self.multiplexer.call(command)
        name = str_if_bytes(command[0])
        if " " in name:  # redis-py writes subcommands with their command, as in "SCRIPT LOAD"
            command = (*name.split(), *command[1:])
        _check(command)
        reply = await self.multiplexer.call(command)
        options.pop("keys", None)
        in_form = self.response_callbacks.get(name)
        return in_form(reply, **options) if in_form else reply

    async def aclose(self, close_connection_pool: bool | None = None) -> None:  # noqa: FBT001 -- redis-py's signature
        """Close the connections."""
        await self.multiplexer.aclose()
        await super().aclose(close_connection_pool)


def _check(command: tuple[Any, ...]) -> None:
    """Refuse a command that needs a connection of its own."""
    name = str_if_bytes(command[0]).upper()
    if name == "CLIENT" and len(command) > 1:
        name += f" {str_if_bytes(command[1])}".upper()
    instead = _REFUSED.get(name)
    if name in ("XREAD", "XREADGROUP"):
        options = takewhile(lambda part: part != "STREAMS", (str(str_if_bytes(part)).upper() for part in command[1:]))
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
            RedisError: the server refuses it, or does not answer however often it is sent.
        """
        return await self._retry.call_with_retry(partial(self._once, command), _ignore)

    async def aclose(self) -> None:
        """Close the connection. Safe to call twice."""
        async with self._opening:
            await self._disconnect()

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
                await self._disconnect()
                connection = await self._pool.get_connection()
                self._connection, self._replies = connection, _Replies(connection)
            return self._replies

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            await connection.disconnect()
            await self._pool.release(connection)


class _Replies(RawConnection):
    """Sends commands over the connection, and gives each its reply."""

    def __init__(self, connection: AbstractConnection) -> None:
        super().__init__(connection)
        self._pending: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._silence_timer: asyncio.TimerHandle | None = None
        self._buffered: list[bytes] | None = None
        self._loop = asyncio.get_running_loop()
        self._resumed: asyncio.Future[None] | None = None

    async def ask(self, command: tuple[Any, ...]) -> Any:
        while self._resumed:
            await asyncio.shield(self._resumed)
        if self.over:
            raise broken()
        packed = hiredis.pack_command(command)
        reply: asyncio.Future[Any] = self._loop.create_future()
        self._pending.append((self._loop.time(), reply))
        if self._silence_timer is None:  # one clock for all: a timer for each would cost as much as the rest
            self._silence_timer = self._loop.call_later(SILENT_SECONDS, self._check_silence)
        if self._buffered is None:  # in each loop iteration the first is sent now, the others together
            self._buffered = []
            self._loop.call_soon(self._flush)
            self._transport.write(packed)
        else:
            self._buffered.append(packed)
        return await reply

    def _flush(self) -> None:
        buffered, self._buffered = self._buffered, None
        if buffered:
            self._transport.write(b"".join(buffered))

    def _check_silence(self) -> None:
        self._silence_timer = None
        if not self._pending:
            return
        left = self._pending[0][0] + SILENT_SECONDS - self._loop.time()
        if left > 0:
            self._silence_timer = self._loop.call_later(left, self._check_silence)
            return
        self._end(RedisTimeoutError(f"no reply for {SILENT_SECONDS:g} s"))
        self.abort()

    def on_reply(self, reply: Any) -> None:
        _, waiting = self._pending.popleft()
        if waiting.done():
            return  # its caller was cancelled
        if isinstance(reply, Exception):
            waiting.set_exception(reply)
        else:
            waiting.set_result(reply)

    def pause_writing(self) -> None:
        self._resumed = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._resumed:
            self._resumed.set_result(None)
            self._resumed = None

    def on_end(self, error: RedisConnectionError) -> None:
        self.resume_writing()
        if self._silence_timer:
            self._silence_timer.cancel()
        self._end(error)

    def _end(self, error: Exception) -> None:
        for _, waiting in self._pending:
            if not waiting.done():
                waiting.set_exception(error)
        self._pending.clear()


async def _ignore(_error: Exception) -> None:
    """Nothing to clean up: `_Replies` handles its own errors."""
