"""The one way to open a connection to Redis: read timeouts, keepalive, retries, health checks.

arq's own `create_pool` cannot set a read timeout, so that a half-open connection would hang for ever; its `ArqRedis` is
handed a pool of ours instead. The values were proven against a Sentinel failover and a frozen server.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

from arq.connections import ArqRedis
from redis.asyncio import BlockingConnectionPool, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from offloop import logs
from offloop.errors import SettingsError, Unavailable
from offloop.wire import pack, unpack

log = logs.get(__name__)

NET_ERRORS: tuple[type[Exception], ...] = (
    RedisConnectionError,
    RedisTimeoutError,
    ReadOnlyError,
    OSError,
    asyncio.TimeoutError,
)
"""What a server that is away, restarting, frozen or failing over looks like from here."""


AWAY: tuple[type[Exception], ...] = (*NET_ERRORS, RedisError, Unavailable)
"""All of that, and what a server says while it loads, is full, or has lost a script."""


async def forever(step: Callable[[], Awaitable[None]]) -> NoReturn:
    """Run a step again and again; a server that is away only makes it wait, for up to 2 s between two tries."""
    delay = 0.05
    while True:
        if (task := asyncio.current_task()) and task.cancelling():
            raise asyncio.CancelledError  # a cancellation that arrives while redis-py connects is lost inside it
        try:
            await step()
            delay = 0.05
        except AWAY as error:
            log.warning("Redis does not answer, trying again", step=step.__name__, error=str(error), delay=delay)
            await asyncio.sleep(delay * random.uniform(0.5, 1.5))  # noqa: S311 -- spreads load, guards nothing
            delay = min(2.0, delay * 2)


def connect(url: str, *, retries: int = 4, connections: int = 64) -> ArqRedis:
    """Open a pool for commands that answer at once.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``.
        retries: how often a command is sent again after a broken connection. The backoff starts at 50 ms and is
            capped at 1 s, so that 4 mean at most about a second of waiting. Every script is safe to repeat.
        connections: most connections at once; a caller beyond them waits for a free one.

    Raises:
        SettingsError: the URL is not one of Redis.
    """
    return _open(
        url,
        BlockingConnectionPool,
        max_connections=connections,
        timeout=5,
        socket_timeout=5,
        health_check_interval=15,
        retry=Retry(ExponentialBackoff(cap=1, base=0.05), retries),
        retry_on_error=[RedisConnectionError, RedisTimeoutError, ReadOnlyError],
    )


def connect_blocking(url: str) -> ArqRedis:
    """Open a connection for commands that block: no read timeout and no retry, the caller's loop does both."""
    return _open(url, ConnectionPool, retry=Retry(ExponentialBackoff(), 0))


def _open(url: str, pool: type[ConnectionPool], **options: Any) -> ArqRedis:
    options["socket_connect_timeout"] = 2
    if not url.startswith("unix:"):
        options["socket_keepalive"] = True
    try:
        return ArqRedis(pool.from_url(url, **options), job_serializer=pack, job_deserializer=unpack)
    except ValueError as error:
        message = f"OFFLOOP_REDIS_URL: {error}"
        raise SettingsError(message) from None


def unavailable(error: BaseException) -> Unavailable:
    """The failure a caller sees when Redis does not answer."""
    what = "is busy or read-only" if isinstance(error, RedisError) and "READONLY" in str(error) else "does not answer"
    message = f"The job store (Redis) {what}; nothing was lost. Try again in a few seconds."
    return Unavailable(message)
