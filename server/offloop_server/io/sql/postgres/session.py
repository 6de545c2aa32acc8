"""PostgreSQL session: values as text, messages of the server, and a bound on the bytes of one answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any, Final

import asyncpg
from asyncpg.protocol.protocol import BUILTIN_TYPE_OID_MAP

from offloop_server.io.sql.postgres.arrays import Decode
from offloop_server.io.sql.postgres.types import LOOKUP, Type, Types

MAX_FETCH: Final = 4 << 20
"""Bytes of one answer of the server; also the limit of one row, which arrives in one message."""
CONNECT_SECONDS: Final = 10.0

MAX_NOTICES: Final = 20
MAX_NOTICE: Final = 300
"""Characters of one notice."""
_TEXT: Final = 25
"""Number of the type text."""
_NAMED: Final = SimpleNamespace(name="none")
"""Stands for the statement of an introspection: one with a name has not replaced the statement being prepared."""

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
    """A connection whose values travel as text, and which is reset completely before its next use.

    Attributes:
        meter: counts the bytes of an answer.
        notices: messages of the server beside an answer, such as those of RAISE NOTICE; the first `MAX_NOTICES`.
    """

    meter: Meter
    notices: list[str]

    def get_reset_query(self) -> str:
        """Statement sent between two uses: also ends locks, temporary tables, LISTEN and sequence state."""
        return "DISCARD ALL"

    async def typed(self, oids: Iterable[int], types: Types) -> list[Type]:
        """The types of these numbers."""
        oids = list(oids)
        missing = types.missing(oids)
        return types.known(oids, [tuple(row) for row in await self.fetch(LOOKUP, missing)] if missing else ())

    async def read(self, types: Types, sql: str, *values: Any) -> list[list[Any]]:
        """The rows of a query of our own."""
        statement = await self.prepare(sql)
        columns = await self.typed([one.type.oid for one in statement.get_attributes()], types)
        wanted = await self.typed([one.oid for one in statement.get_parameters()], types)
        given = [kind.text(value) for kind, value in zip(wanted, values, strict=True)]
        decoders = [column.decode for column in columns]
        return [list(row) for row in decoded(decoders, await statement.fetch(*given))]

    async def _introspect_types(self, typeoids: Iterable[int], _timeout: float | None) -> tuple[list[Any], Any]:
        """Take the values of further types as text, too; asyncpg would load their parts to read the binary form."""
        self.take_text(typeoids)
        return [], _NAMED

    def take_text(self, oids: Iterable[int]) -> None:
        """Have the values of these types sent as text, in both directions."""
        settings = self._protocol.get_settings()
        for oid in oids:
            settings.set_builtin_type_codec(oid, f"type {oid}", "pg_catalog", "scalar", _TEXT, "text")

    def _process_log_message(self, fields: dict[str, Any], _last_query: str) -> None:
        if len(self.notices) < MAX_NOTICES:
            text = " ".join(str(fields.get("M", "")).split())
            self.notices.append(f"{fields.get('S', 'NOTICE')}: {text[:MAX_NOTICE]}{'…' * (len(text) > MAX_NOTICE)}")
        elif len(self.notices) == MAX_NOTICES:
            self.notices.append("There were more messages.")


def decoded(decoders: Sequence[Decode | None], rows: Iterable[Iterable[str | None]]) -> Iterable[Sequence[Any]]:
    """The values of rows, decoded column by column, which takes less time than row by row."""
    columns = (
        texts if decode is None else [None if text is None else decode(text) for text in texts]
        for decode, texts in zip(decoders, zip(*rows, strict=True), strict=False)  # no rows, no columns
    )
    return zip(*columns, strict=True)


async def connect(url: str, **options: Any) -> Session:
    """Open a connection with a `Meter`."""
    session: Session = await asyncpg.connect(url, timeout=CONNECT_SECONDS, **options)
    session.notices = []
    session.meter = Meter(session._transport, session._protocol)  # noqa: SLF001 -- asyncpg has no hook between transport and protocol
    session.take_text(BUILTIN_TYPE_OID_MAP)
    return session
