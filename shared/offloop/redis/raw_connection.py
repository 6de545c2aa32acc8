"""Raw connection: opened by redis-py (TLS, AUTH, database, Sentinel), and read here in the callback of its data."""

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
    """Replies of one connection, which redis-py opens and closes.

    Attributes:
        over: the connection is broken, or about to be.
    """

    def __init__(self, connection: AbstractConnection) -> None:
        self.over = False
        self._reader = hiredis.Reader(replyError=BaseParser.parse_error)
        writer = cast("asyncio.StreamWriter", connection._writer)  # noqa: SLF001 -- redis is pinned, a test holds this
        self._transport = cast("asyncio.Transport", writer.transport)
        # redis-py's own protocol must be notified of the end: closing the connection waits for that.
        self._former = cast("asyncio.Protocol", self._transport.get_protocol())
        self._transport.set_protocol(self)

    @abstractmethod
    def on_reply(self, reply: Any) -> None:
        """Handle one reply.

        Raises:
            IndexError: no command awaits it; the connection is aborted.
        """

    @abstractmethod
    def on_end(self, error: RedisConnectionError) -> None:
        """Handle the end of the connection; `error` is for the commands that await a reply."""

    def abort(self) -> None:
        """Abort the connection."""
        self.over = True
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Handle every reply that is complete."""
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:
                self.on_reply(reply)
        except (hiredis.ProtocolError, IndexError):
            self.abort()  # not Redis's protocol, or a reply to no command

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Fail the commands that await a reply, and notify redis-py's own protocol."""
        self.over = True
        self.on_end(broken())
        self._former.connection_lost(error)


def broken() -> RedisConnectionError:
    """The error of commands whose connection broke."""
    return RedisConnectionError("the connection to Redis broke")
