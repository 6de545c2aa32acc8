"""One read of a SQLite file in a thread: open, restrict, read until the deadline, close."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar
from urllib.parse import quote

from offloop import logs
from offloop.errors import BadInput, LimitExceeded, OffloopError, Unavailable
from offloop_server.io.catalogue import Dialect
from offloop_server.io.deadline import Deadline
from offloop_server.io.results.rows import MIXED, Rows
from offloop_server.io.sql.driver import Query, locked, no_rows
from offloop_server.io.sql.parameters import with_bytes
from offloop_server.io.sql.sqlite.guard import MAX_VALUE, Guarded, guard

ResultT = TypeVar("ResultT")

_BUSY_SECONDS: Final = 2.0
"""Time limit of the wait for a lock; a writer holds one for milliseconds."""
_STEPS: Final = 20_000
"""Instructions of SQLite's virtual machine, about a millisecond, between two checks of the deadline."""
_PRIMARY: Final = 0xFF
"""Mask of the primary error code."""
_TYPES: Final = {int: "integer", float: "real", str: "text", bytes: "blob"}

_BROKEN: Final = (
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,  # a writer left a journal that only a writer can roll back
)

log = logs.get(__name__)


class Reader:
    """A connection for one read. `work` runs in a thread; `stop` may be called from another.

    Args:
        path: path of the file.
        deadline: time limit of the read.
        memory_bytes: memory of all reads of this process together.
    """

    def __init__(self, path: str, deadline: Deadline, memory_bytes: int) -> None:
        self._path = path
        self._deadline = deadline
        self._memory = memory_bytes
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._connection: Guarded | None = None

    def stop(self) -> None:
        """End the read as soon as possible."""
        self._stopped.set()
        with self._lock:
            if self._connection is not None:
                self._connection.interrupt()

    def work(self, read: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        """Open, read, close.

        Raises:
            OffloopError: the database refused or failed, or time or memory ran out.
        """
        connection = None
        try:
            connection = self._connect()
            connection.set_progress_handler(self._over, _STEPS)
            guard(connection, self._memory)
            return read(connection)
        except (sqlite3.Error, sqlite3.Warning, MemoryError, OverflowError, ValueError) as error:
            raise self._explained(error, connection.complaint if connection else None) from None
        finally:
            with self._lock:  # so that `stop` cannot use a closed connection
                self._connection = None
            if connection is not None:
                connection.close()

    def _connect(self) -> Guarded:
        # Quoted: of an unquoted "a.db#x" SQLite would open the part before # and drop mode=ro.
        uri = f"file:///{quote(self._path.lstrip('/'), safe='/')}?mode=ro"
        connection = sqlite3.connect(
            uri,
            uri=True,
            timeout=min(_BUSY_SECONDS, self._deadline.left),
            isolation_level=None,
            check_same_thread=False,
            cached_statements=0,
            factory=Guarded,
        )
        connection.text_factory = _text
        self._connection = connection
        return connection

    def _over(self) -> bool:
        return self._stopped.is_set() or not self._deadline.left

    def _explained(self, error: Exception, complaint: str | None) -> OffloopError:
        """The error for the caller."""
        reason = complaint or str(error)[:300].rstrip(".")
        code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
        if self._over() or code == sqlite3.SQLITE_INTERRUPT:
            return self._deadline.exceeded()
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return locked("SQLite")
        if code in _BROKEN:
            log.warning("SQLite database cannot be read", path=self._path, error=reason)
            return Unavailable("The SQLite database cannot be read; the operator's log has the reason.")
        if code == sqlite3.SQLITE_TOOBIG:
            message = f"A value is too long ({reason}): one value or row may have {MAX_VALUE >> 20} MiB. Use substr()."
            return LimitExceeded(message)
        if isinstance(error, MemoryError):
            message = "The query needs more memory than queries may use: sort or group fewer rows, or narrower ones."
            return LimitExceeded(message)
        only = "Only reading is possible here" if "authoriz" in reason else "SQLite refuses"
        return BadInput(f"{only}: {reason}. Correct the statement and call again.")


def fetch(connection: sqlite3.Connection, query: Query, into: Rows) -> None:
    """Run one statement on a guarded connection.

    Raises:
        BadInput: the statement has no rows, or a parameter has the wrong type.
    """
    dialect: Dialect = "SQLite"
    sql = f"EXPLAIN QUERY PLAN {query.sql}" if query.explain else query.sql
    cursor = connection.execute(sql, with_bytes(query.parameters, unsigned=False))
    try:
        if cursor.description is None:
            raise no_rows(dialect)
        into.begin([column[0] for column in cursor.description], [None] * len(cursor.description))
        for row in cursor:  # one by one: SQLite's limits do not bound what Python holds, and a row may be large
            into.types = [_type(known, value) for known, value in zip(into.types, row, strict=True)]
            if not into.add([row]):
                return
    finally:
        cursor.close()


def _type(known: str | None, value: Any) -> str | None:
    """The type of a column so far: SQLite gives each value a type of its own."""
    kind = _TYPES.get(type(value))
    return known if kind in (None, known) else MIXED if known else kind


def _text(stored: bytes) -> str:
    # SQLite does not check that stored text is valid UTF-8; the rows say where it is none.
    return stored.decode("utf-8", "surrogateescape")
