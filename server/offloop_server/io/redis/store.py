"""One Redis as a source: connections of its own, a time limit, and errors in words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
from redis.asyncio.connection import Connection, ConnectionPool, parse_url
from redis.exceptions import NoPermissionError, RedisError, ResponseError

from offloop import logs
from offloop.connections import key_store
from offloop.errors import BadInput, LimitExceeded, OffloopError, Unavailable
from offloop_server.io.catalogue import Dialect
from offloop_server.io.deadline import Deadline
from offloop_server.io.permits import Permits
from offloop_server.io.redis.commands import prepared
from offloop_server.io.redis.guard import Keyspace
from offloop_server.io.redis.session import METERED, ReplyTooLarge, Session
from offloop_server.io.results.rows import Rows

_CONNECTIONS: Final = 10
_CONNECT_SECONDS: Final = 5
_ADVICE: Final = "Read fewer elements, or give SCAN a MATCH."
_GONE: Final = ("LOADING", "MASTERDOWN", "CLUSTERDOWN", "BUSY", "TRYAGAIN", "NOAUTH", "WRONGPASS")
"""First words of refusals that do not concern the command."""

log = logs.get(__name__)


class RedisStore:
    """One database of a Redis.

    Args:
        name: of the connection, for the log.
        url: with the password, which is never logged, and the allowed prefixes.
    """

    dialect: Dialect = "Redis"

    def __init__(self, name: str, url: str) -> None:
        store = key_store(url)
        self._name = name
        self.keyspace = Keyspace(store.prefixes)
        self._permits = Permits(_CONNECTIONS)
        self._pool = _pool(store.url)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.disconnect()

    async def run(self, command: str, arguments: list[bytes], into: Rows, deadline: Deadline) -> None:
        """Send a command that reads and add its reply to `into`, until the end or a cap.

        Raises:
            BadInput: the command is not available, a key may not be read, or the server refuses.
            LimitExceeded: time ran out, or a value is too large.
            Busy: all connections stayed in use.
            Unavailable: the server does not answer.
        """
        read = prepared(command, arguments, self.keyspace)
        async with self._reading(deadline) as session:
            await read(session, into)

    @asynccontextmanager
    async def _reading(self, deadline: Deadline) -> AsyncIterator[Session]:
        """A connection until the deadline; it is kept only if the last reply was read to its end."""
        async with self._permits.one(deadline):
            connected = False
            try:
                async with asyncio.timeout(deadline.left):
                    connection = await self._pool.get_connection()
                    connected = True
                    try:
                        yield Session(connection)
                    except (ResponseError, BadInput):
                        raise
                    except BaseException:
                        with anyio.CancelScope(shield=True):
                            await connection.disconnect(nowait=True)
                        raise
                    finally:
                        with anyio.CancelScope(shield=True):
                            await self._pool.release(connection)
            except (RedisError, OSError, ReplyTooLarge) as error:
                raise self._explained(error, deadline, connected=connected) from None

    def _explained(self, error: Exception, deadline: Deadline, *, connected: bool) -> OffloopError:
        """The error for the caller; it contains no address and no login."""
        if isinstance(error, ReplyTooLarge):
            message = (
                "A value is too large: one reply may have 8 MiB. Read a part with GETRANGE, or fewer elements; "
                "STRLEN and HSTRLEN tell sizes."
            )
            return LimitExceeded(message)
        if isinstance(error, TimeoutError) and not deadline.left:
            return deadline.exceeded(_ADVICE)
        text = str(error)
        if isinstance(error, NoPermissionError):
            return BadInput("The connection's user may not send this command, or read this key. Send another.")
        # Only refusals of the server concern the command; texts of the library, as of a timeout, contain the address.
        gone = not isinstance(error, ResponseError) or not connected
        if gone or text.startswith(_GONE):
            cause = type(error.__context__ or error).__name__  # such as a wrong password, on the second attempt
            log.warning("source does not answer", connection=self._name, error=type(error).__name__, cause=cause)
            return Unavailable(f"The Redis does not answer ({type(error).__name__}). Try again later.")
        if text.startswith(("MOVED", "ASK", "CROSSSLOT")):
            return Unavailable("The Redis is a node of a cluster, which cannot be read here.", retryable=False)
        return BadInput(f"Redis refuses the command: {text[:300].rstrip('.')}.")


def _pool(url: str) -> ConnectionPool:
    options: dict[str, Any] = dict(parse_url(url))
    kind = options.pop("connection_class", Connection)
    options.setdefault("socket_connect_timeout", _CONNECT_SECONDS)
    if url.startswith("rediss:"):
        options.setdefault("ssl_check_hostname", True)  # redis-py's own default would take any valid certificate
    if not url.startswith("unix:"):
        options.setdefault("socket_keepalive", True)
    return ConnectionPool(connection_class=METERED[kind], max_connections=_CONNECTIONS, **options)
