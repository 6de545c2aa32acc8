"""A connection to PostgreSQL as the tools want it: values as text where JSON has no type, answers of a bounded size."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

import asyncpg

from offloop_server.io.sql.rows import from_json

MAX_FETCH: Final = 4 << 20
"""Bytes of one answer of the server; a single row may not be larger, since it comes in one piece."""
CONNECT_SECONDS: Final = 10.0

_AS_TEXT: Final = (
    *("date", "time", "timetz", "timestamp", "timestamptz", "interval", "numeric", "money", "uuid", "xml"),
    *("inet", "cidr", "macaddr", "macaddr8", "bit", "varbit", "tsvector", "tsquery"),
    *("point", "line", "lseg", "box", "path", "polygon", "circle"),
)
"""The server knows best how to write them: no date is out of its range, and no decimal loses a digit."""


class Meter(asyncio.Protocol):
    """Counts what a server sends, in front of the protocol that reads it, and cuts the line when it is too much.

    The protocol would keep a message of any size in memory until it is complete, and one value may have a gigabyte.

    Args:
        transport: what the bytes come from.
        protocol: what reads them.
    """

    def __init__(self, transport: asyncio.Transport, protocol: asyncio.Protocol) -> None:
        self._transport = transport
        self._protocol = protocol
        self.received = 0
        self.exceeded = False
        transport.set_protocol(self)

    def reset(self) -> None:
        """Begin to count anew."""
        self.received = 0

    def data_received(self, data: bytes) -> None:
        """Count and pass on."""
        self.received += len(data)
        if self.received > MAX_FETCH:
            self.exceeded = True
            self._transport.abort()
        elif not self.exceeded:
            self._protocol.data_received(data)

    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()


class Session(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
    """A connection that forgets all that a query did to it before it is used again."""

    meter: Meter

    def get_reset_query(self) -> str:
        """What is sent between two uses: it also ends locks, temporary tables, listening and sequences' state."""
        return "DISCARD ALL"


async def connect(url: str, **options: Any) -> Session:
    """Open a connection, measured and with our ways to read values."""
    session: Session = await asyncpg.connect(url, timeout=CONNECT_SECONDS, **options)
    try:
        session.meter = Meter(session._transport, session._protocol)  # noqa: SLF001 -- there is no other way in between
        for name in _AS_TEXT:
            await session.set_type_codec(name, schema="pg_catalog", encoder=str, decoder=str, format="text")
        for name in ("json", "jsonb"):
            await session.set_type_codec(name, schema="pg_catalog", encoder=_to_json, decoder=from_json, format="text")
    except BaseException:
        session.terminate()
        raise
    return session


def _to_json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
