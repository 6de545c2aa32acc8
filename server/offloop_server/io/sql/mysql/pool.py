"""Connection pool of one MySQL or MariaDB database.

A connection is reset after use, or closed. Where a statement may still run on the server, it is killed there first:
a server notices a closed connection only when it writes to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import anyio
from pymysql.err import MySQLError

from offloop import logs
from offloop.errors import Unavailable
from offloop_server.io.deadline import Deadline
from offloop_server.io.sql.driver import all_busy
from offloop_server.io.sql.mysql import catalogue
from offloop_server.io.sql.mysql.address import Address
from offloop_server.io.sql.mysql.session import MAX_FETCH, AnswerTooLargeError, Session, connect

MAX_CONNECTIONS: Final = 10
_LOCK_SECONDS: Final = 2
_CLEANUP_SECONDS: Final = 5.0
"""Time limit of the reset of a connection, and of killing its statement."""
_LIVENESS_SECONDS: Final = 3.0
"""Time limit of an idle connection's first answer before another is tried: a vanished host closes no connection."""
_IDLE_SECONDS: Final = 300.0
"""Age at which an idle connection is closed."""

_TOO_MIGHTY: Final = (
    "The connection {} is not used: its user has the privilege FILE or SUPER, and so any query could read files of the "
    "database's host. The operator makes a user that may only read (CREATE USER reader IDENTIFIED BY '…'; GRANT SELECT "
    "ON shop.* TO reader;) and sets OFFLOOP_SQL_{} to connect as that one."
)

log = logs.get(__name__)


class ConnectionPool:
    """Up to ten connections; the first one checks the rights of the user.

    Args:
        name: of the connection, for the log.
        address: server and login.
    """

    def __init__(self, name: str, address: Address) -> None:
        self._name = name
        self._address = address
        self._permits = asyncio.Semaphore(MAX_CONNECTIONS)
        self._killing = asyncio.Lock()
        self._checking = asyncio.Lock()
        self._checked = False
        self._closed = False
        self.idle: dict[Session, asyncio.TimerHandle] = {}
        """Connections without a caller, the last used one at the end, and the timers that close them."""

    async def close(self) -> None:
        """Close the idle connections; one in use is closed when its caller returns it."""
        self._closed = True
        self._drop_idle()

    async def begin(self, borrowed: AsyncExitStack, deadline: Deadline, max_rows: int) -> Session:
        """Borrow a connection in a read-only transaction; `borrowed` returns it to the pool when it closes.

        Connections that died while idle are replaced: that costs time and fails no query.

        Args:
            borrowed: owner of the connection.
            deadline: time limit of the caller.
            max_rows: rows after which the server ends a SELECT.

        Raises:
            Busy: all connections stayed in use.
            Unavailable: the user may do too much.
            MySQLError: the server does not answer or refuses the login.
        """
        self._closed = False
        await borrowed.enter_async_context(self._permit(deadline))
        while True:
            was_idle = bool(self.idle)
            session = self._take() if was_idle else await self._connect()
            borrowed.push_async_callback(self._return, session)
            # With little time left, waiting for this connection is better than trying others.
            patient = not was_idle or deadline.left < 2 * _LIVENESS_SECONDS
            try:
                async with asyncio.timeout(None if patient else _LIVENESS_SECONDS):
                    await _begin(session, deadline, max_rows)
            except TimeoutError:
                self._drop_idle()  # probably dead too, and each would cost the same time
            except (MySQLError, OSError):
                if not was_idle:
                    raise
            else:
                return session
            session.abandon()
            log.info("dead database connection replaced", connection=self._name)

    @asynccontextmanager
    async def _permit(self, deadline: Deadline) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(deadline.left):
                await self._permits.acquire()
        except TimeoutError:
            raise all_busy(deadline) from None
        try:
            yield
        finally:
            self._permits.release()

    def _take(self) -> Session:
        session, timer = self.idle.popitem()
        timer.cancel()
        return session

    async def _connect(self) -> Session:
        session = await connect(self._address)
        try:
            await self._check_user(session)
        except BaseException:
            session.abandon()
            raise
        return session

    async def _return(self, session: Session) -> None:
        """Keep the connection for the next caller, or close it and end what still runs on it."""
        # Shielded: a cancelled call must not leave a statement running.
        with anyio.CancelScope(shield=True):
            if session.busy:
                session.close()
                await self._kill(session)
            elif not session.closed and await self._reset(session):
                if self._closed:
                    session.quit()
                else:
                    timer = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self._expire, session)
                    self.idle[session] = timer

    async def _reset(self, session: Session) -> bool:
        try:
            # Not asyncio.timeout: before Python 3.11.3 it ends as a cancellation in a task that is being cancelled.
            with anyio.fail_after(_CLEANUP_SECONDS):
                await session.reset()
        except (MySQLError, OSError, AnswerTooLargeError) as error:
            log.warning("database connection aborted", connection=self._name, error=type(error).__name__)
            session.abandon()
            return False
        return True

    async def _kill(self, session: Session) -> None:
        """End the statement of a connection, over another one: at most one more than the pool has."""
        killer: Session | None = None
        try:
            with anyio.fail_after(_CLEANUP_SECONDS):
                async with self._killing:
                    killer = await connect(self._address)
                    await killer.command(f"KILL {session.thread_id()}")
        except (MySQLError, OSError, AnswerTooLargeError) as error:
            # It may have ended by itself. If it has not, it ends by the limits of its session.
            log.info("database connection not killed", connection=self._name, error=type(error).__name__)
        finally:
            if killer is not None:
                killer.quit()

    async def _check_user(self, session: Session) -> None:
        """Refuse a user that reaches the host; warn of one that can write."""
        async with self._checking:
            if self._checked:
                return
            async with asyncio.timeout(_CLEANUP_SECONDS):
                rights = await catalogue.rights(session)
            if rights.reaches_host:
                log.warning("user of a database connection has too many rights", connection=self._name)
                raise Unavailable(_TOO_MIGHTY.format(self._name, self._name.upper()), retryable=False)
            if rights.writes:
                log.warning(
                    "the user of a database connection may write; queries run in read-only transactions, but give it "
                    "a user that may only read",
                    connection=self._name,
                )
            self._checked = True

    def _expire(self, session: Session) -> None:
        if self.idle.pop(session, None) is not None:
            session.quit()

    def _drop_idle(self) -> None:
        while self.idle:
            self._take().quit()


async def _begin(session: Session, deadline: Deadline, max_rows: int) -> None:
    lock_seconds = max(1, min(_LOCK_SECONDS, int(deadline.seconds)))
    # A little later than the deadline: a function that the server stops, such as SLEEP, ends with a value.
    milliseconds = int(deadline.left * 1000) + 20
    limit = (
        f"max_statement_time = {milliseconds / 1000}" if session.is_mariadb else f"max_execution_time = {milliseconds}"
    )
    await session.command(
        f"SET NAMES utf8mb4, {limit}, sql_select_limit = {max_rows}, lock_wait_timeout = {lock_seconds}, "
        # The server ends a session that asks for nothing; here, one of a front end that hangs in a transaction.
        f"innodb_lock_wait_timeout = {lock_seconds}, wait_timeout = {int(deadline.left + _CLEANUP_SECONDS) + 1}, "
        # GROUP_CONCAT cuts its result here, with a warning that no client reads; by default MySQL's after 1 KiB.
        f"group_concat_max_len = {2 * MAX_FETCH}"
    )
    await session.command("START TRANSACTION READ ONLY")
