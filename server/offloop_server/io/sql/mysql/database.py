"""MySQL and MariaDB driver: a read-only transaction for each query, rows read as they arrive, up to a cap."""

from __future__ import annotations

import asyncio
import json
import re
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from pymysql.err import MySQLError

from offloop import logs
from offloop.errors import BadInput, OffloopError
from offloop_server.io.catalogue import MAX_TABLES, Dialect, Shape, Table, no_table
from offloop_server.io.deadline import Deadline
from offloop_server.io.results.rows import Rows
from offloop_server.io.sql.driver import Query, locked, no_answer, no_rows, quoted, row_too_large
from offloop_server.io.sql.mysql import catalogue
from offloop_server.io.sql.mysql.address import Address
from offloop_server.io.sql.mysql.binary import Field, row_of
from offloop_server.io.sql.mysql.pool import ConnectionPool
from offloop_server.io.sql.mysql.session import MAX_FETCH, AnswerTooLargeError, Session, Statement
from offloop_server.io.sql.parameters import with_bytes, wrong_count

_GRACE: Final = 0.5
"""Seconds that the server gets to stop a statement itself, with a better message."""
_END_SECONDS: Final = 0.5
"""Time limit of the wait for the end of rows that the server has limited itself."""
_BATCH_ROWS: Final = 1000
_MANY_CELLS: Final = 2000
_MANY_BYTES: Final = 64 << 10
"""Batches above these sizes are decoded in a thread."""

_STOPPED: Final = (1317, 1969, 3024, 1028, 1907)
"""Killed, two of time limits, and a sort that one of them ended."""
_LOCKED: Final = (1205, 1213, 3572)
_GONE: Final = (0, 1040, 1053, 1077, 1152, 1158, 1159, 1160, 1161, 1184, 1203, 1226, 1927, 4031)
"""Errors that do not concern the statement: connection, shutdown, too many connections."""
_OF_CLIENT: Final = range(2000, 3000)
_NOT_EXPLAINED: Final = (1064, 1149, 1295)
"""Errors of a statement that cannot be explained: syntax, and not supported in a prepared statement."""
_VIEW_NOT_EXPLAINED: Final = 1345
"""The user may read a view, but not see its plan."""
_NOT_READING: Final = (
    "Only statements that read are run, such as SELECT; writing is not possible here. For SHOW and DESCRIBE, use "
    "list_tables and describe_table."
)
_LOGIN: Final = re.compile(r"(?:user )?'[^']*'@'[^']*'")
_FILE: Final = re.compile(r"'?[^\s']*/[^\s']*#[^\s']*'?")
"""Path of a temporary table."""
PROTOCOL: Final = (struct.error, IndexError, AssertionError, AttributeError)
"""Errors of decoding what no server sends."""

log = logs.get(__name__)


class MySQL:
    """One database.

    Args:
        name: of the connection, for the log.
        url: with the password, which is never logged.
    """

    dialect: Dialect = "MySQL"

    def __init__(self, name: str, url: str) -> None:
        self._name = name
        self.pool = ConnectionPool(name, Address.of(url))

    async def close(self) -> None:
        await self.pool.close()

    def placeholder(self, number: int) -> str:  # noqa: ARG002 -- `?` counts by itself
        return "?"

    def quoted(self, name: str) -> str:
        return quoted(name, "`")

    def compared(self, value: Any) -> list[Any]:
        # Beside a column of text, a number would be compared as a double: 7 equals '007', and large ones are rounded.
        # The text of a number is right beside columns of numbers, too.
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return [json.dumps(value)]
        return [value]

    async def tables(self, deadline: Deadline) -> list[Table]:
        async with self._reading(deadline, catalogue.MAX_ROWS) as session:
            return [Table(*row) for row in await catalogue.fetch(session, catalogue.TABLES, MAX_TABLES)]

    async def shape(self, name: str, schema: str | None, deadline: Deadline) -> Shape:
        quoted(name)  # rejects names that no table has
        async with self._reading(deadline, catalogue.MAX_ROWS) as session:
            found = await catalogue.shape(session, name, schema)
        if found is None:
            raise no_table(name)
        return found

    async def run(self, query: Query, into: Rows, deadline: Deadline) -> None:
        parameters = with_bytes(query.parameters)
        if isinstance(parameters, dict):
            message = "MySQL's parameters are numbered by their order: write ? in the statement and send a list."
            raise BadInput(message)
        async with self._reading(deadline, into.missing) as session:
            statement = await self._prepared(session, query)
            if len(parameters) != statement.parameters:
                raise wrong_count(statement.parameters, len(parameters), "?")
            fields = await session.execute(statement, parameters)
            into.begin([one.name for one in fields], [one.type for one in fields])
            await _fetch(session, fields, into)
            if not (deadline.left or into.truncated_by):  # SLEEP and BENCHMARK end with a value when they are stopped
                raise deadline.exceeded()
            into.notes += await session.warnings()

    async def _prepared(self, session: Session, query: Query) -> Statement:
        """The statement, or its plan; the server says whether it reads.

        Raises:
            BadInput: it gives no rows, or is none of the statements that read: SELECT, VALUES, TABLE, WITH.
        """
        statement = await session.prepare(query.sql)
        if not statement.columns:
            raise no_rows(self.dialect)
        try:
            # Some statements give rows and write, such as OPTIMIZE TABLE, and none of them has a plan.
            await session.prepare(f"EXPLAIN FORMAT=JSON {query.sql}")
        except MySQLError as error:
            if error.args[0] in _NOT_EXPLAINED:
                raise BadInput(_NOT_READING) from None
            if error.args[0] != _VIEW_NOT_EXPLAINED:
                raise
        return await session.prepare(f"EXPLAIN {query.sql}") if query.explain else statement

    @asynccontextmanager
    async def _reading(self, deadline: Deadline, max_rows: int) -> AsyncIterator[Session]:
        """A connection in a read-only transaction, until the deadline."""
        held: Session | None = None
        try:
            async with asyncio.timeout(deadline.left + _GRACE), AsyncExitStack() as borrowed:
                held = await self.pool.begin(borrowed, deadline, max_rows)
                yield held
        except (MySQLError, AnswerTooLargeError, OSError, ValueError, *PROTOCOL) as error:
            raise self._explained(error, held, deadline) from None

    def _explained(self, error: Exception, session: Session | None, deadline: Deadline) -> OffloopError:
        """The error for the caller; it contains no address and no login."""
        if isinstance(error, AnswerTooLargeError) and session is not None:
            return row_too_large(MAX_FETCH, "left(text, 1000)")
        number = error.args[0] if isinstance(error, MySQLError) and error.args else None
        if number in _STOPPED or (isinstance(error, TimeoutError) and (session is not None or not deadline.left)):
            return deadline.exceeded()
        if number in _LOCKED:
            return locked(self.dialect)
        of_statement = isinstance(error, MySQLError) and number not in _GONE and number not in _OF_CLIENT
        if session is None or not (of_statement or isinstance(error, UnicodeEncodeError)):
            names = [type(one).__name__ for one in (error, error.__cause__) if one is not None]
            log.warning("database does not answer", connection=self._name, error=" of ".join(names), number=number)
            return no_answer(self.dialect, str(number or type(error).__name__))
        return BadInput(f"MySQL refuses the statement: {_reason(error)}")


async def _fetch(session: Session, fields: Sequence[Field], into: Rows) -> None:
    """Add rows until the end or a cap."""
    while packets := await session.packets():
        for begin in range(0, len(packets), _BATCH_ROWS):
            batch = packets[begin : begin + _BATCH_ROWS]
            many = len(batch) * len(fields) > _MANY_CELLS or sum(map(len, batch)) > _MANY_BYTES
            if not (await asyncio.to_thread(_add, fields, batch, into) if many else _add(fields, batch, into)):
                await _end(session)
                return


def _add(fields: Sequence[Field], packets: Sequence[bytes], into: Rows) -> bool:
    return into.add([row_of(fields, packet) for packet in packets])


async def _end(session: Session) -> None:
    """Wait a moment for the end of the rows, which is near where the server limits their number."""
    try:
        async with asyncio.timeout(_END_SECONDS):
            await session.packets()
    except TimeoutError:
        pass


def _reason(error: Exception) -> str:
    number, *texts = error.args if isinstance(error, MySQLError) else (None, "the statement has half a character in it")
    lines = str(texts[0]).splitlines() if texts else []
    text = _LOGIN.sub("the user", lines[0] if lines else "it gives no reason")
    text = _FILE.sub("a temporary table", text)[:300].rstrip(".")
    return f"{text} ({number})." if number else f"{text}."
