"""Connection pool of one PostgreSQL database.

asyncpg's pool does not check whether an idle connection is still alive; this one opens each transaction with a short
timeout and replaces dead connections. After use a connection is rolled back and reset, or closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import anyio
import asyncpg

from offloop import logs
from offloop.errors import Unavailable
from offloop_server.io.deadline import Deadline
from offloop_server.io.sql.driver import all_busy
from offloop_server.io.sql.postgres import catalogue
from offloop_server.io.sql.postgres.session import INVALID_STATE, Session, connect

_POOL: Final = (2, 10)
"""Connections, at least and at most."""
_LOCK_SECONDS: Final = 2.0
_CLEANUP_SECONDS: Final = 5.0
"""Time limit of the reset of a connection; it is closed when the limit is exceeded."""
_LIVENESS_SECONDS: Final = 3.0
"""Time limit of a connection's first answer before another is tried: a vanished host closes no connection."""
_LOST: Final = (
    *(asyncpg.ConnectionDoesNotExistError, asyncpg.AdminShutdownError, asyncpg.CrashShutdownError),
    *(*INVALID_STATE, ConnectionResetError, BrokenPipeError),
)
"""Errors of a connection that the server closed while idle, before anything of the caller's was sent."""

_TOO_MIGHTY: Final = (
    "The connection {} is not used: its role is a superuser, or may reach files or programs on the database's host, "
    "and so could any query. The operator makes a role that may only read (CREATE ROLE reader LOGIN PASSWORD '…'; "
    "GRANT pg_read_all_data TO reader;) and sets OFFLOOP_SQL_{} to connect as that one."
)

log = logs.get(__name__)


class ConnectionPool:
    """Up to ten connections; the first use opens the pool and checks the role.

    Args:
        name: of the connection, for the log.
        url: with the password, which is never logged.
    """

    def __init__(self, name: str, url: str) -> None:
        self._name = name
        self._url = url
        self._opening = asyncio.Lock()
        self.opened: asyncpg.Pool | None = None

    async def close(self) -> None:
        """Close every connection within `_CLEANUP_SECONDS`."""
        pool, self.opened = self.opened, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(_CLEANUP_SECONDS):
                await pool.close()
        except (OSError, asyncpg.InterfaceError, asyncpg.PostgresError) as error:
            # Timed out, or closed by the server; the pool aborts the connections that it could not close.
            log.warning("database connections aborted", connection=self._name, error=type(error).__name__)

    async def begin(self, borrowed: AsyncExitStack, deadline: Deadline) -> Session:
        """Borrow a connection in a read-only transaction; `borrowed` returns it to the pool when it closes.

        Connections that died while idle are replaced: that costs time and fails no query.
        """
        pool = await self._open()
        dead, patient = 0, False
        while True:
            session = await borrowed.enter_async_context(self._borrowed(pool, deadline))
            try:
                # With little time left, waiting for this connection is better than trying others.
                async with asyncio.timeout(
                    None if patient or deadline.left < 2 * _LIVENESS_SECONDS else _LIVENESS_SECONDS
                ):
                    await _begin(session, deadline)
            except TimeoutError:
                patient = True
                _drop_idle(pool)  # probably dead too, and each would cost the same time
            except _LOST:
                dead += 1
                if dead > pool.get_max_size():
                    raise
            else:
                return session
            log.info("dead database connection replaced", connection=self._name)
            session.terminate()

    @asynccontextmanager
    async def _borrowed(self, pool: asyncpg.Pool, deadline: Deadline) -> AsyncIterator[Session]:
        """A connection of the pool; it is reset and returned, or closed, on every way out."""
        try:
            try:
                proxy = await pool.acquire(timeout=max(deadline.left, 0.001))
            except _LOST:  # while it was opened
                proxy = await pool.acquire(timeout=max(deadline.left, 0.001))
        except TimeoutError:
            if pool.get_size() < pool.get_max_size():  # waited for the server, not for other queries
                raise ConnectionError from None
            raise all_busy(deadline) from None
        session: Session = proxy._con  # noqa: SLF001 -- the proxy hides the attributes of our subclass
        try:
            session.meter.reset()
            session.notices.clear()
            yield session
        finally:
            # Shielded: a cancelled call must not leave a query running or a connection checked out.
            with anyio.CancelScope(shield=True):
                session.meter.reset()
                await self._release(pool, proxy, session)

    async def _release(self, pool: asyncpg.Pool, proxy: Any, session: Session) -> None:
        """Roll back, reset and return the connection; close it if that fails."""
        try:
            # Not asyncio.timeout: before Python 3.11.3 it ends as a cancellation in a task that is being cancelled.
            with anyio.fail_after(_CLEANUP_SECONDS):
                if not session.is_closed():
                    await session.execute("ROLLBACK")
                await pool.release(proxy)
        except (asyncpg.PostgresError, *INVALID_STATE, OSError) as error:
            log.warning("database connection aborted", connection=self._name, error=type(error).__name__)
            session.terminate()
            await pool.release(proxy)

    async def _open(self) -> asyncpg.Pool:
        async with self._opening:
            if self.opened is None:
                smallest, largest = _POOL
                pool = asyncpg.create_pool(
                    self._url,
                    min_size=smallest,
                    max_size=largest,
                    connect=connect,
                    connection_class=Session,
                    statement_cache_size=0,  # DISCARD ALL drops prepared statements without asyncpg's knowledge
                )
                try:
                    await pool
                except BaseException:
                    pool.terminate()
                    raise
                try:
                    await self._check_role(pool)
                except BaseException:
                    await _discard(pool)
                    raise
                self.opened = pool
            return self.opened

    async def _check_role(self, pool: asyncpg.Pool) -> None:
        """Refuse a role that reaches the host; warn of one that can write or does not isolate callers."""
        async with pool.acquire() as session:
            reaches, writes, shares = (flag == "t" for flag in await session.fetchrow(catalogue.RIGHTS))
        if reaches:  # no transaction keeps it from the host's files, and it can restore the rights it gives up
            log.warning("role of a database connection has too many rights", connection=self._name)
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


async def _discard(pool: asyncpg.Pool) -> None:
    """Close a pool whose connection may still be on its way back: asyncpg shields that from a cancellation."""
    try:
        with anyio.move_on_after(_CLEANUP_SECONDS, shield=True):
            await pool.close()
    except (OSError, asyncpg.InterfaceError, asyncpg.PostgresError) as error:
        log.warning("database connections aborted", error=type(error).__name__)
    finally:
        pool.terminate()


async def _begin(session: Session, deadline: Deadline) -> None:
    await session.execute(
        "BEGIN READ ONLY;"
        f"SET LOCAL statement_timeout = {max(1, int(deadline.left * 1000))};"
        f"SET LOCAL lock_timeout = {int(min(_LOCK_SECONDS, deadline.seconds) * 1000)};"
        # Whatever the role's settings: floats with all their digits, bytes in the form that is told from text, and NULL
        # in the arrays of parameters.
        "SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex'; SET LOCAL array_nulls = on;"
        f"SET LOCAL idle_in_transaction_session_timeout = {int((deadline.left + _CLEANUP_SECONDS) * 1000)};"
        # Takes a snapshot: afterwards the transaction cannot be changed to READ WRITE.
        "SELECT 1"
    )


def _drop_idle(pool: asyncpg.Pool) -> None:
    for holder in pool._holders:  # noqa: SLF001 -- pool.expire_connections would wait for an answer of dead ones
        if holder.is_idle():
            holder.terminate()
