"""PostgreSQL driver: a read-only transaction for each query, a cursor with a cap on rows."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final

import asyncpg

from offloop import logs
from offloop.errors import BadInput, OffloopError
from offloop_server.io.catalogue import MAX_TABLES, Dialect, Shape, Table, no_table
from offloop_server.io.deadline import Deadline
from offloop_server.io.results.rows import Rows
from offloop_server.io.sql.driver import Query, locked, no_answer, no_rows, quoted, row_too_large
from offloop_server.io.sql.parameters import check_text, unfit, wrong_count
from offloop_server.io.sql.postgres import catalogue
from offloop_server.io.sql.postgres.arrays import Decode
from offloop_server.io.sql.postgres.pool import ConnectionPool
from offloop_server.io.sql.postgres.session import INVALID_STATE, MAX_FETCH, Session, decoded
from offloop_server.io.sql.postgres.types import Type, Types, Unfit

_GRACE: Final = 0.5
"""Seconds that the server gets to stop a statement itself, with a better message."""
_BATCH_BYTES: Final = 256 << 10
_BATCH_ROWS: Final = 1000
_GROWTH: Final = 8
_MANY_BYTES: Final = 512 << 10
"""Batches above this size are rendered in a thread."""

_OF_PARAMETER: Final = re.compile(r"portal.{0,100} parameter \$(\d{1,5})")
"""Part of an error's context, where the server could not read a parameter."""
_LOCKED: Final = ("55P03", "40P01")
_NO_OPERATOR: Final = "42883"
_NO_RECORD: Final = "input of anonymous composite types"
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
        self._types = Types()

    async def close(self) -> None:
        await self.pool.close()

    def placeholder(self, number: int) -> str:
        return f"${number}"

    def quoted(self, name: str) -> str:
        return quoted(name)

    def compared(self, value: Any) -> list[Any]:
        return [value]

    async def tables(self, deadline: Deadline) -> list[Table]:
        async with self._reading(deadline) as session:
            return [Table(*row) for row in await session.read(self._types, catalogue.TABLES, MAX_TABLES)]

    async def shape(self, name: str, schema: str | None, deadline: Deadline) -> Shape:
        async with self._reading(deadline) as session:
            found = await catalogue.shape(session, self._types, name, schema)
        if found is None:
            raise no_table(name)
        return found

    async def run(self, query: Query, into: Rows, deadline: Deadline) -> None:
        if isinstance(query.parameters, dict):
            message = "PostgreSQL's parameters have numbers: write $1, $2, … in the statement and send a list."
            raise BadInput(message)
        async with self._reading(deadline) as session:
            statement = await session.prepare(f"EXPLAIN {query.sql}" if query.explain else query.sql)
            attributes = statement.get_attributes()
            if not attributes:  # a statement without columns writes, sets, locks or calls
                raise no_rows(self.dialect)
            wanted = await session.typed([one.oid for one in statement.get_parameters()], self._types)
            values = _texts(wanted, query.parameters)
            columns = await session.typed([one.type.oid for one in attributes], self._types)
            into.begin([one.name for one in attributes], [one.name for one in columns])
            try:
                await _fetch(session, await statement.cursor(*values), columns, into)
            except asyncpg.DataError as error:
                raise _explained_value(error, wanted, query.parameters) from None
            finally:
                into.notes += session.notices

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


async def _fetch(session: Session, cursor: Any, columns: Sequence[Type], into: Rows) -> None:
    """Read in batches; the size of the rows decides how many are in the next batch."""
    decoders = [column.decode for column in columns]
    count = 1
    while into.missing:
        session.meter.reset()
        limit = min(count, into.missing)
        rows = await cursor.fetch(limit)
        size = session.meter.received
        add = partial(_add, rows, decoders, into)
        more = await asyncio.to_thread(add) if size > _MANY_BYTES else add()
        if not more or len(rows) < limit:
            return
        count = max(1, min(_BATCH_ROWS, count * _GROWTH, _BATCH_BYTES * len(rows) // max(1, size)))


def _add(rows: Sequence[Any], decoders: Sequence[Decode | None], into: Rows) -> bool:
    return into.add(decoded(decoders, rows), ready=True)


def _texts(wanted: Sequence[Type], given: Sequence[Any]) -> list[str | None]:
    """The parameters as the server reads them.

    Raises:
        BadInput: there are too few or too many, or one has a form that its type does not have.
    """
    if len(given) != len(wanted):
        raise wrong_count(len(wanted), len(given), "$1, $2, …")
    texts: list[str | None] = []
    for number, (kind, value) in enumerate(zip(wanted, given, strict=True), 1):
        try:
            texts.append(kind.text(value))
            check_text(number, texts[-1])
        except Unfit as error:
            raise unfit(number, value, _form(kind), str(error)) from None
    return texts


def _explained_value(error: asyncpg.DataError, wanted: Sequence[Type], given: Sequence[Any]) -> BadInput:
    """The error with the number of the parameter that the server could not read, if it was one."""
    found = _OF_PARAMETER.search(getattr(error, "context", None) or "")
    if found is None or int(found[1]) > len(wanted):
        return BadInput(f"PostgreSQL refuses the statement: {_reason(error, error.sqlstate)}")
    number = int(found[1])
    return unfit(number, given[number - 1], _form(wanted[number - 1]), _reason(error, ""))


def _form(kind: Type) -> str:
    hint = ", and in where one more list around it, since a list there means any of its values" if kind.element else ""
    return f"{kind.name}, such as {kind.example()}{hint}"


def _reason(error: Exception, state: str) -> str:
    lines = str(getattr(error, "message", None) or error).splitlines() or ["it gives no reason"]
    first_line = lines[0][:300].rstrip(".")
    hints = [str(getattr(error, name, None) or "")[:200].rstrip(".") for name in ("detail", "hint")]
    if state == _NO_OPERATOR and " = unknown" in first_line:
        hints = ["The type has no =; compare texts instead: column::text = $1"]
    if first_line.startswith(_NO_RECORD):
        hints = ["Name the type of the row in the statement: column = $1::its_type"]
    text = ". ".join(filter(None, [first_line, *hints]))
    return f"{text} ({state})." if state else f"{text}."
