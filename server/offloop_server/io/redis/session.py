"""Connection to a Redis that is read: the bytes of a reply are counted before it is complete."""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection

MAX_REPLY: Final = 8 << 20
"""Bytes of one reply; the connection is closed when there are more."""


class ReplyTooLarge(Exception):  # noqa: N818 -- named like the errors of offloop.errors
    """A reply has more bytes than its limit."""


class Meter:
    """Counts the bytes of one reply.

    Attributes:
        received: bytes so far.
        limit: bytes at most.
    """

    def __init__(self) -> None:
        self.received = 0
        self.limit = MAX_REPLY

    def reset(self, limit: int) -> None:
        """Begin with the next reply."""
        self.received, self.limit = 0, limit

    def add(self, count: int) -> None:
        """Count bytes.

        Raises:
            ReplyTooLarge: there are more than the limit.
        """
        self.received += count
        if self.received > self.limit:
            raise ReplyTooLarge


class _MeteredReader:
    """A stream's reading side that counts what it reads."""

    def __init__(self, inner: asyncio.StreamReader, meter: Meter) -> None:
        self._inner = inner
        self._meter = meter

    async def read(self, count: int) -> bytes:
        data = await self._inner.read(count)
        self._meter.add(len(data))
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _Metered:
    """Part of a connection class of redis-py; a test holds that its attributes are still these."""

    meter: Meter
    _reader: Any

    async def _connect(self) -> None:
        await super()._connect()  # type: ignore[misc]
        self.meter = Meter()
        self._reader = _MeteredReader(self._reader, self.meter)


class MeteredTCP(_Metered, Connection):
    """A connection without TLS."""


class MeteredTLS(_Metered, SSLConnection):
    """A connection with TLS."""


class MeteredSocket(_Metered, UnixDomainSocketConnection):
    """A connection to a Unix socket."""


METERED: Final[dict[type, type[Any]]] = {
    Connection: MeteredTCP,
    SSLConnection: MeteredTLS,
    UnixDomainSocketConnection: MeteredSocket,
}
"""The counting variant of each connection class of redis-py."""


class Session:
    """One borrowed connection.

    Args:
        connection: connected.

    Attributes:
        meter: of the last reply.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @property
    def meter(self) -> Meter:
        """Counter of the last reply."""
        return cast("Meter", self._connection.meter)

    async def call(self, *command: bytes | str | int, limit: int = MAX_REPLY) -> Any:
        """Send a command and return its reply.

        Raises:
            redis.ResponseError: the server refuses it.
            ReplyTooLarge: the reply has more bytes than `limit`.
        """
        self.meter.reset(limit)
        await self._connection.send_command(*command)
        return await self._connection.read_response()
