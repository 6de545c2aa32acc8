"""PostgreSQL driver: a read-only transaction for each query, a cursor with a cap on rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import asyncpg

from offloop import logs
from offloop.errors import BadInput, OffloopError
from offloop_server.io.catalogue import MAX_TABLES, Dialect, Shape, Table, no_table
from offloop_server.io.deadline import Deadline
from offloop_server.io.results.rows import Rows
from offloop_server.io.sql.driver import Query, locked, no_answer, no_rows, quoted, row_too_large, with_bytes
from offloop_server.io.sql.postgres import catalogue
from offloop_server.io.sql.postgres.pool import ConnectionPool
from offloop_server.io.sql.postgres.session import INVALID_STATE, MAX_FETCH, Session

_GRACE: Final = 0.5
"""Seconds that the server gets to stop a statement itself, with a better message."""
_BATCH_BYTES: Final = 256 << 10
_BATCH_ROWS: Final = 1000
_GROWTH: Final = 8
_MANY_BYTES: Final = 512 << 10
"""Batches above this size are rendered in a thread."""

_LOCKED: Final = ("55P03", "40P01")
_CANCELLED: Final = "57014"
_GONE: Final = ("08", "53", "57P", "58", "28", "3D")
"""SQLSTATE prefixes that do not concern the statement: connection, resources, shutdown, login, unknown database."""

log = logs.get(__name__)


class PostgreSQL:
    """One database.

    Args:
        name: of the connection, for the log.
        url: with the password, which is never logged.
    """

    dialect: Dialect = "PostgreSQL"

    def __init__(self, name: str, url: str) -> None:
        self._name = name
        self.pool = ConnectionPool(name, url)

    async def close(self) -> None:
        await self.pool.close()

    def placeholder(self, number: int) -> str:
        return f"${number}"

    def quoted(self, name: str) -> str:
        return quoted(name)

    async def tables(self, deadline: Deadline) -> list[Table]:
        async with self._reading(deadline) as session:
            return [Table(*row) for row in await session.fetch(catalogue.TABLES, MAX_TABLES)]

    async def shape(self, name: str, schema: str | None, deadline: Deadline) -> Shape:
        async with self._reading(deadline) as session:
            found = await catalogue.shape(session, name, schema)
        if found is None:
            raise no_table(name)
        return found

    async def run(self, query: Query, into: Rows, deadline: Deadline) -> None:
        parameters = with_bytes(query.parameters)
        if isinstance(parameters, dict):
            message = "PostgreSQL's parameters have numbers: write $1, $2, … in the statement and send a list."
            raise BadInput(message)
        async with self._reading(deadline) as session:
            statement = await session.prepare(f"EXPLAIN {query.sql}" if query.explain else query.sql)
            attributes = statement.get_attributes()
            if not attributes:  # a statement without columns writes, sets, locks or calls
                raise no_rows(self.dialect)
            into.begin([one.name for one in attributes], [_type_name(one.type) for one in attributes])
            await _fetch(session, await statement.cursor(*parameters), into)

    @asynccontextmanager
    async def _reading(self, deadline: Deadline) -> AsyncIterator[Session]:
        """A connection in a read-only transaction, until the deadline."""
        held: Session | None = None
        try:
            async with asyncio.timeout(deadline.left + _GRACE), AsyncExitStack() as borrowed:
                held = await self.pool.begin(borrowed, deadline)
                try:
                    yield held
                except INVALID_STATE as error:
                    if held.is_closed() or isinstance(error, asyncpg.InternalClientError):  # between two batches
                        raise asyncpg.ConnectionDoesNotExistError from None
                    raise
        except (asyncpg.PostgresError, *INVALID_STATE, OSError, ValueError) as error:
            raise self._explained(error, held, deadline) from None

    def _explained(self, error: Exception, session: Session | None, deadline: Deadline) -> OffloopError:
        """The error for the caller; it contains no address and no login."""
        if session is not None and session.meter.exceeded:
            return row_too_large(MAX_FETCH, "left(text, 1000)")
        state = getattr(error, "sqlstate", None) or ""
        late = isinstance(error, TimeoutError) and (session is not None or not deadline.left)
        if state == _CANCELLED or late:
            return deadline.exceeded()
        if state in _LOCKED:
            return locked(self.dialect)
        not_sent = session is None or isinstance(error, OSError) or state.startswith(_GONE)
        if not_sent or isinstance(error, asyncpg.PostgresConnectionError):
            log.warning("database does not answer", connection=self._name, error=type(error).__name__, state=state)
            return no_answer(self.dialect, state or type(error).__name__)
        return BadInput(f"PostgreSQL refuses the statement: {_reason(error, state)}")


async def _fetch(session: Session, cursor: Any, into: Rows) -> None:
    """Read in batches; the size of the rows decides how many are in the next batch."""
    count = 1
    while into.missing:
        session.meter.reset()
        limit = min(count, into.missing)
        rows = await cursor.fetch(limit)
        size = session.meter.received
        more = await asyncio.to_thread(into.add, rows) if size > _MANY_BYTES else into.add(rows)
        if not more or len(rows) < limit:
            return
        count = max(1, min(_BATCH_ROWS, count * _GROWTH, _BATCH_BYTES * len(rows) // max(1, size)))


def _reason(error: Exception, state: str) -> str:
    lines = str(getattr(error, "message", None) or error).splitlines() or ["it gives no reason"]
    first_line = lines[0][:300].rstrip(".")
    hints = [str(getattr(error, name, None) or "")[:200].rstrip(".") for name in ("detail", "hint")]
    text = ". ".join(filter(None, [first_line, *hints]))
    return f"{text} ({state})." if state else f"{text}."


def _type_name(kind: Any) -> str:
    return f"{kind.name.removesuffix('[]')}[]" if kind.kind == "array" else str(kind.name)
