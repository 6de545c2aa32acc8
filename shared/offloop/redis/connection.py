"""Connections to Redis: read timeouts, keepalive, retries, health checks.

arq's own `create_pool` cannot set a read timeout, so that a half-open connection would hang for ever; its `ArqRedis` is
given a pool of ours instead. The values were proven against a Sentinel failover and a frozen server.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, unquote

from arq.connections import ArqRedis
from redis.asyncio import BlockingConnectionPool, ConnectionPool
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError
from redis.exceptions import TimeoutError as RedisTimeoutError

from offloop import logs
from offloop.errors import SettingsError
from offloop.redis.codec import pack, unpack
from offloop.redis.multiplexer import MultiplexedRedis

log = logs.get(__name__)

_RETRIED: tuple[type[Exception], ...] = (RedisConnectionError, RedisTimeoutError, ReadOnlyError)
_SENTINEL = re.compile(
    r"redis(?P<tls>s?)\+sentinel://"
    r"((?P<username>[^:@/]*)(:(?P<password>[^@/]*))?@)?"
    r"(?P<nodes>[^,:/?]+:\d+(,[^,:/?]+:\d+)*)/(?P<service>[^/?]+)(/(?P<db>\d+))?(\?(?P<options>.*))?"
)


BLOCK_SECONDS = 5
"""Most time a command may block."""


def connect(url: str, *, retries: int = 4, connections: int = 64) -> ArqRedis:
    """Open a pool for commands that do not block.

    Args:
        url: ``redis://``, ``rediss://`` (TLS; certificate and host name are checked), ``unix://``, or for Sentinel
            ``redis+sentinel://[user:password@]host:port,host:port/service[/db]`` (``rediss+sentinel://`` with TLS).
            redis-py's own options may follow as ``?name=value``, such as ``ssl_ca_certs``.
        retries: how often a command is sent again after a broken connection. The backoff starts at 50 ms and is
            capped at 1 s, so that 4 mean at most about a second of waiting. Every script is safe to repeat.
        connections: size of the pool; when all are in use, a caller waits for a free one.

    Raises:
        SettingsError: the URL is not one of Redis.
    """
    # OSError: a refused connection is not yet one of redis-py's own errors where it is retried.
    retry = Retry(ExponentialBackoff(cap=1, base=0.05), retries, (*_RETRIED, OSError))  # type: ignore[arg-type]
    options = {"socket_timeout": 5, "health_check_interval": 15, "retry": retry, "retry_on_error": list(_RETRIED)}
    if "+sentinel:" in url:
        return MultiplexedRedis(_sentinel_pool(url, options), retry)
    return MultiplexedRedis(
        _pool(url, BlockingConnectionPool, max_connections=connections, timeout=5, **options), retry
    )


def connect_blocking(url: str) -> ArqRedis:
    """Open connections for commands that block and for subscriptions (`offloop.redis.subscriber`).

    A command may block for up to `BLOCK_SECONDS`. Nothing is retried here: the caller's loop does that. A connection
    that stays silent for longer counts as dead, even if it was not closed (after the restart of a router, say).
    """
    options = {"socket_timeout": BLOCK_SECONDS + 3, "retry": Retry(ExponentialBackoff(), 0)}
    pool = _sentinel_pool(url, options) if "+sentinel:" in url else _pool(url, ConnectionPool, **options)
    return ArqRedis(pool, job_serializer=pack, job_deserializer=unpack)


def _pool(url: str, kind: type[ConnectionPool], **options: Any) -> ConnectionPool:
    options["socket_connect_timeout"] = 2
    if not url.startswith("unix:"):
        options["socket_keepalive"] = True
    if url.startswith("rediss:"):
        options["ssl_check_hostname"] = True  # redis-py's own default would take any valid certificate
    try:
        return kind.from_url(url, **options)
    except ValueError as error:
        message = f"OFFLOOP_REDIS_URL: {error}"
        raise SettingsError(message) from None


def _sentinel_pool(url: str, options: dict[str, Any]) -> ConnectionPool:
    """A pool that asks the sentinels for the primary whenever it connects."""
    found = _SENTINEL.fullmatch(url)
    if found is None:
        message = "OFFLOOP_REDIS_URL: write Sentinel as redis+sentinel://host:port,host:port/service[/db]"
        raise SettingsError(message)
    tls = bool(found["tls"])
    login = {name: unquote(found[name]) for name in ("username", "password") if found[name]}
    network: dict[str, Any] = {"socket_connect_timeout": 2, "socket_keepalive": True}
    if tls:
        network["ssl"] = network["ssl_check_hostname"] = True
    network |= dict(parse_qsl(found["options"] or ""))
    sentinels = [(host, int(port)) for host, _, port in (node.rpartition(":") for node in found["nodes"].split(","))]
    manager = Sentinel(sentinels, sentinel_kwargs={**network, "socket_timeout": 2})  # type: ignore[no-untyped-call]
    options = {"db": int(found["db"] or 0), **login, **network, **options}
    return _SentinelPool(found["service"], manager, **options)  # type: ignore[no-untyped-call]


class _SentinelPool(SentinelConnectionPool):
    """redis-py closes the connections to the primary, and leaves those to the sentinels open."""

    async def disconnect(self, inuse_connections: bool = True) -> None:  # noqa: FBT001, FBT002 -- redis-py's signature
        """Close all connections, or (after a failover) only the idle ones to the former primary."""
        await super().disconnect(inuse_connections)
        if inuse_connections:
            for sentinel in self.sentinel_manager.sentinels:
                await sentinel.aclose(close_connection_pool=True)
