"""PostgreSQL session: values as text where JSON has no type, and a bound on the bytes of one answer."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

import asyncpg

from offloop_server.io.results.rows import add_renderer, from_json, rendered, rendered_object

MAX_FETCH: Final = 4 << 20
"""Bytes of one answer of the server; also the limit of one row, which arrives in one message."""
CONNECT_SECONDS: Final = 10.0

_AS_TEXT: Final = (
    *("date", "time", "timetz", "timestamp", "timestamptz", "interval", "numeric", "money", "uuid", "xml"),
    *("inet", "cidr", "macaddr", "macaddr8", "bit", "varbit", "tsvector", "tsquery"),
    *("point", "line", "lseg", "box", "path", "polygon", "circle"),
)
"""Types read in the server's text form: no date is out of range, and no decimal loses a digit."""

INVALID_STATE: Final = (asyncpg.InterfaceError, asyncpg.InternalClientError)
"""Errors of asyncpg itself; the second when a connection's last message has been read, but not yet its end of file."""


class Meter(asyncio.Protocol):
    """Counts the bytes a server sends before asyncpg's protocol reads them, and aborts the connection above a limit.

    asyncpg buffers a message of any size until it is complete, and one value may have a gigabyte.

    Args:
        transport: source of the bytes.
        protocol: asyncpg's protocol, which reads them.
    """

    def __init__(self, transport: asyncio.Transport, protocol: asyncio.Protocol) -> None:
        self._transport = transport
        self._protocol = protocol
        self.received = 0
        self.exceeded = False
        transport.set_protocol(self)

    def reset(self) -> None:
        """Set the counter to 0."""
        self.received = 0

    def data_received(self, data: bytes) -> None:
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
    """A connection that is reset completely before its next use."""

    meter: Meter

    def get_reset_query(self) -> str:
        """Statement sent between two uses: also ends locks, temporary tables, LISTEN and sequence state."""
        return "DISCARD ALL"


async def connect(url: str, **options: Any) -> Session:
    """Open a connection with a `Meter` and our codecs."""
    session: Session = await asyncpg.connect(url, timeout=CONNECT_SECONDS, **options)
    try:
        session.meter = Meter(session._transport, session._protocol)  # noqa: SLF001 -- asyncpg has no hook between transport and protocol
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


def _range(value: asyncpg.Range, _depth: int) -> str:
    if value.isempty:
        return "empty"
    low, high = ("" if end is None else str(rendered(end)) for end in (value.lower, value.upper))
    return f"{'[' if value.lower_inc else '('}{low},{high}{']' if value.upper_inc else ')'}"


add_renderer(asyncpg.Range, _range)
add_renderer(asyncpg.Record, rendered_object)
