"""PostgreSQL databases: a small pool, a read-only transaction for each query, a cursor with a cap on rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import anyio
import asyncpg

from offloop import logs
from offloop.errors import BadInput, Busy, LimitExceeded, OffloopError, Unavailable
from offloop_server.io.sql import postgres_catalog as catalogue
from offloop_server.io.sql.driver import (
    MAX_TABLES,
    Deadline,
    Query,
    Shape,
    Sort,
    Table,
    locked,
    no_rows,
    no_table,
    with_bytes,
)
from offloop_server.io.sql.postgres_session import MAX_FETCH, Session, connect
from offloop_server.io.sql.rows import Rows

_POOL: Final = (2, 10)
_LOCK_SECONDS: Final = 2.0
_CLEANUP_SECONDS: Final = 5.0
"""How long a connection may take to become fit for use again; it is closed otherwise."""
_PATIENCE: Final = 3.0
"""Seconds that a connection gets for its first answer before others are tried: a vanished host closes nothing."""
_GRACE: Final = 0.5
"""Seconds that the server gets to stop a statement by itself, with a better message."""
_BATCH_BYTES: Final = 256 << 10
_BATCH_ROWS: Final = 1000
_GROWTH: Final = 8
_MANY_BYTES: Final = 512 << 10
"""From here on, rendering is for a thread."""

_LOCKED: Final = ("55P03", "40P01")
_CANCELLED: Final = "57014"
_GONE: Final = ("08", "53", "57P", "58", "28", "3D")
"""Beginnings of the codes that are not about the statement: no connection, no room, shut down, no login."""
_CONFUSED: Final = (asyncpg.InterfaceError, asyncpg.InternalClientError)
"""The second is for a connection whose last words have come, but not yet its end."""
_CUT: Final = (
    *(asyncpg.ConnectionDoesNotExistError, asyncpg.AdminShutdownError, asyncpg.CrashShutdownError),
    *(*_CONFUSED, ConnectionResetError, BrokenPipeError),
)
"""What a connection of the pool ends with that the server has closed, before anything of the caller's was sent."""

_TOO_MIGHTY: Final = (
    "The connection {} is not used: its role is a superuser, or may reach files or programs on the database's host, "
    "and so could any query. The operator makes a role that may only read (CREATE ROLE reader LOGIN PASSWORD '…'; "
    "GRANT pg_read_all_data TO reader;) and sets OFFLOOP_SQL_{} to connect as that one."
)

log = logs.get(__name__)


class PostgreSQL:
    """One database. The pool is opened by the first query.

    Args:
        name: the connection's, for the log.
        url: with the password, which is shown nowhere.
    """

    sort: Sort = "PostgreSQL"

    def __init__(self, name: str, url: str) -> None:
        self._name = name
        self._url = url
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        """Close every connection, in bounded time."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(_CLEANUP_SECONDS):
                await pool.close()
        except (OSError, asyncpg.InterfaceError, asyncpg.PostgresError) as error:
            # Too slow, or ended by the server; the pool cuts what it could not close.
            log.warning("connections to a database were cut", connection=self._name, error=type(error).__name__)

    def placeholder(self, number: int) -> str:
        """Such as ``$1``."""
        return f"${number}"

    async def tables(self, deadline: Deadline) -> list[Table]:
        """The tables that the role may read."""
        async with self._reading(deadline) as session:
            return [Table(*row) for row in await session.fetch(catalogue.TABLES, MAX_TABLES)]

    async def shape(self, name: str, schema: str | None, deadline: Deadline) -> Shape:
        """What a table is made of."""
        async with self._reading(deadline) as session:
            found = await catalogue.shape(session, name, schema)
        if found is None:
            raise no_table(name)
        return found

    async def run(self, query: Query, into: Rows, deadline: Deadline) -> None:
        """Run a statement."""
        parameters = with_bytes(query.parameters)
        if isinstance(parameters, dict):
            message = "PostgreSQL's parameters have numbers: write $1, $2, … in the statement and send a list."
            raise BadInput(message)
        async with self._reading(deadline) as session:
            statement = await session.prepare(f"EXPLAIN {query.sql}" if query.explain else query.sql)
            attributes = statement.get_attributes()
            if not attributes:  # it would write, set, lock or call: what reads has columns
                raise no_rows(self.sort)
            into.begin([one.name for one in attributes], [_type_name(one.type) for one in attributes])
            await _fetch(session, await statement.cursor(*parameters), into)

    @asynccontextmanager
    async def _reading(self, deadline: Deadline) -> AsyncIterator[Session]:
        """A connection in a transaction that cannot write, for as long as the deadline allows."""
        held: Session | None = None
        try:
            async with asyncio.timeout(deadline.left + _GRACE), AsyncExitStack() as borrowed:
                held = await self._begun(borrowed, deadline)
                try:
                    yield held
                except _CONFUSED as error:
                    if held.is_closed() or isinstance(error, asyncpg.InternalClientError):  # between two batches
                        raise asyncpg.ConnectionDoesNotExistError from None
                    raise
        except (asyncpg.PostgresError, *_CONFUSED, OSError, ValueError) as error:
            raise self._explained(error, held, deadline) from None

    async def _begun(self, borrowed: AsyncExitStack, deadline: Deadline) -> Session:
        """A connection in its transaction; those that died idle are replaced, which takes time and fails nobody."""
        pool = await self._opened()
        dead, patient = 0, False
        while True:
            session = await borrowed.enter_async_context(self._borrowed(pool, deadline))
            try:
                # Who has little time left does better to wait than to try others.
                async with asyncio.timeout(None if patient or deadline.left < 2 * _PATIENCE else _PATIENCE):
                    await self._begin(session, deadline)
            except TimeoutError:
                patient = True
                _drop_idle(pool)  # they are likely to be the same, and each would take as long
            except _CUT:
                dead += 1
                if dead > pool.get_max_size():
                    raise
            else:
                return session
            log.info("a connection to a database had been lost", connection=self._name)
            session.terminate()

    async def _begin(self, session: Session, deadline: Deadline) -> None:
        await session.execute(
            "BEGIN READ ONLY;"
            f"SET LOCAL statement_timeout = {max(1, int(deadline.left * 1000))};"
            f"SET LOCAL lock_timeout = {int(min(_LOCK_SECONDS, deadline.seconds) * 1000)};"
            f"SET LOCAL idle_in_transaction_session_timeout = {int((deadline.left + _CLEANUP_SECONDS) * 1000)};"
            # A snapshot: once there is one, the transaction cannot be turned into one that writes.
            "SELECT 1"
        )

    @asynccontextmanager
    async def _borrowed(self, pool: asyncpg.Pool, deadline: Deadline) -> AsyncIterator[Session]:
        """A connection of the pool, which is given back, or closed, whatever happens."""
        try:
            try:
                proxy = await pool.acquire(timeout=max(deadline.left, 0.001))
            except _CUT:  # while it was made
                proxy = await pool.acquire(timeout=max(deadline.left, 0.001))
        except TimeoutError:
            if pool.get_size() < pool.get_max_size():  # it waited for the server, not for other queries
                raise ConnectionError from None
            message = f"All connections to the database were busy for {deadline.seconds:g} s; nothing was read. Retry."
            raise Busy(message, retry_after=deadline.seconds) from None
        session: Session = proxy._con  # noqa: SLF001 -- the proxy hides our own attributes
        try:
            session.meter.reset()
            yield session
        finally:
            # Shielded: who is cancelled must not leave a query running, nor a connection checked out.
            with anyio.CancelScope(shield=True):
                session.meter.reset()
                await self._give_back(pool, proxy, session)

    async def _give_back(self, pool: asyncpg.Pool, proxy: Any, session: Session) -> None:
        """Undo whatever the transaction did, even a notification, and forget it; else close the connection."""
        try:
            # Not asyncio's timeout: in a task that is being cancelled it ends as a cancellation before Python 3.11.3.
            with anyio.fail_after(_CLEANUP_SECONDS):
                if not session.is_closed():
                    await session.execute("ROLLBACK")
                await pool.release(proxy)
        except (asyncpg.PostgresError, *_CONFUSED, OSError) as error:
            log.warning("a connection to a database was cut", connection=self._name, error=type(error).__name__)
            session.terminate()
            await pool.release(proxy)

    async def _opened(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                smallest, largest = _POOL
                pool = asyncpg.create_pool(
                    self._url,
                    min_size=smallest,
                    max_size=largest,
                    connect=connect,
                    connection_class=Session,
                    statement_cache_size=0,  # DISCARD ALL forgets prepared statements, and asyncpg would not know
                )
                try:
                    await pool
                    await self._look_at_role(pool)
                except BaseException:
                    pool.terminate()
                    raise
                self._pool = pool
            return self._pool

    async def _look_at_role(self, pool: asyncpg.Pool) -> None:
        """Refuse a role that reaches the host; warn of one that could write, or does not keep callers apart."""
        async with pool.acquire() as session:
            reaches, writes, shares = await session.fetchrow(catalogue.RIGHTS)
        if reaches:  # no transaction keeps it from files and programs there, and it can take back what it is denied
            log.warning("the role of a database connection may do too much", connection=self._name)
            raise Unavailable(_TOO_MIGHTY.format(self._name, self._name.upper()), retryable=False)
        if writes:
            log.warning(
                "the role of a database connection may write; queries run in read-only transactions, but give it a "
                "role that may only read",
                connection=self._name,
            )
        if shares:
            log.warning(
                "callers of a database connection can see or end each other's statements while they run; where not "
                "all are the same principal, see Databases in docs/operations.md",
                connection=self._name,
            )

    def _explained(self, error: Exception, session: Session | None, deadline: Deadline) -> OffloopError:
        """The failure in words for the caller; nothing of the address or the login is among them."""
        if session is not None and session.meter.exceeded:
            message = (
                f"A row is too large: one row may have {MAX_FETCH >> 20} MiB. Select fewer columns, or a part of a "
                "long one, such as left(text, 1000)."
            )
            return LimitExceeded(message)
        state = getattr(error, "sqlstate", None) or ""
        late = isinstance(error, TimeoutError) and (session is not None or not deadline.left)
        if state == _CANCELLED or late:
            return deadline.exceeded()
        if state in _LOCKED:
            return locked(self.sort)
        unsaid = session is None or isinstance(error, OSError) or state.startswith(_GONE)
        if unsaid or isinstance(error, asyncpg.PostgresConnectionError):
            log.warning("a database does not answer", connection=self._name, error=type(error).__name__, state=state)
            message = f"The PostgreSQL database does not answer ({state or type(error).__name__}). Try again later."
            return Unavailable(message)
        return BadInput(f"PostgreSQL refuses the statement: {_said(error, state)}")


def _drop_idle(pool: asyncpg.Pool) -> None:
    for holder in pool._holders:  # noqa: SLF001 -- expiring them would wait for answers of those that give none
        if holder.is_idle():
            holder.terminate()


async def _fetch(session: Session, cursor: Any, into: Rows) -> None:
    """Read in batches whose size follows that of the rows, so that none is large."""
    count = 1
    while into.missing:
        session.meter.reset()
        asked = min(count, into.missing)
        rows = await cursor.fetch(asked)
        size = session.meter.received
        more = await asyncio.to_thread(into.add, rows) if size > _MANY_BYTES else into.add(rows)
        if not more or len(rows) < asked:
            return
        count = max(1, min(_BATCH_ROWS, count * _GROWTH, _BATCH_BYTES * len(rows) // max(1, size)))


def _said(error: Exception, state: str) -> str:
    said = str(getattr(error, "message", None) or error).splitlines()[0][:300].rstrip(".")
    hints = [str(getattr(error, name, None) or "")[:200].rstrip(".") for name in ("detail", "hint")]
    words = ". ".join(filter(None, [said, *hints]))
    return f"{words} ({state})." if state else f"{words}."


def _type_name(kind: Any) -> str:
    return f"{kind.name.removesuffix('[]')}[]" if kind.kind == "array" else str(kind.name)
