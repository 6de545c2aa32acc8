"""A connection that redis-py has made (TLS, AUTH, database, Sentinel), read by us in the turn in which data arrives."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, cast

import hiredis
from redis._parsers.base import BaseParser
from redis.exceptions import ConnectionError as RedisConnectionError

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection


class RawConnection(asyncio.Protocol):
    """What is said over one connection; redis-py only connects it, and closes it in the end.

    Attributes:
        over: the connection is broken, or about to be.
    """

    def __init__(self, connection: AbstractConnection) -> None:
        self.over = False
        self._reader = hiredis.Reader(replyError=BaseParser.parse_error)
        writer = cast("asyncio.StreamWriter", connection._writer)  # noqa: SLF001 -- redis is pinned, a test holds this
        self._transport = cast("asyncio.Transport", writer.transport)
        # redis-py's own protocol: it wants to hear of the end, for whoever closes the connection waits for that.
        self._former = cast("asyncio.Protocol", self._transport.get_protocol())
        self._transport.set_protocol(self)

    @abstractmethod
    def heard(self, reply: Any) -> None:
        """Take in one reply.

        Raises:
            IndexError: nobody asked for it; the connection is given up.
        """

    @abstractmethod
    def ended(self, error: RedisConnectionError) -> None:
        """Take in that nothing more will come; `error` is for those who wait."""

    def abort(self) -> None:
        """Give the connection up."""
        self.over = True
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Hear every reply that is whole."""
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:
                self.heard(reply)
        except (hiredis.ProtocolError, IndexError):
            self.abort()  # not Redis's protocol, or a reply that nobody asked for

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Tell everybody who is concerned."""
        self.over = True
        self.ended(broken())
        self._former.connection_lost(error)


def broken() -> RedisConnectionError:
    """What those are told who wait for a connection that is gone."""
    return RedisConnectionError("the connection to Redis broke")
