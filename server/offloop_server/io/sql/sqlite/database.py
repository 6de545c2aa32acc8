"""SQLite driver: reads in threads, with a connection for each read; writers of the file are not blocked."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import anyio

from offloop.errors import Busy
from offloop_server.io.catalogue import MAX_TABLES, Column, Dialect, Key, Shape, Table, no_table
from offloop_server.io.deadline import Deadline
from offloop_server.io.exact_json import EXACT
from offloop_server.io.results.rows import Rows
from offloop_server.io.sql.driver import Query, quoted
from offloop_server.io.sql.sqlite.reader import Reader, fetch

ResultT = TypeVar("ResultT")

_LARGE: Final = re.compile(r"-?[1-9][0-9]{15,18}")
"""An integer that an answer gives as text."""
_INFINITE: Final = frozenset({"Infinity", "-Infinity"})
"""Floats that an answer gives as text."""
_INT64: Final = 2**63
_GRACE: Final = 3.0
"""Seconds within which a stopped read ends, unless SQLite is in a long step."""


class SQLiteThreads:
    """Thread pool shared by all SQLite databases of a front end.

    Args:
        count: number of threads.
        memory_mb: memory of all reads together, in MiB.
    """

    def __init__(self, count: int, memory_mb: int) -> None:
        self.memory = memory_mb << 20
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="sqlite")
        self._free = asyncio.Semaphore(count)
        self._reading: set[Reader] = set()

    async def run(self, reader: Reader, read: Callable[[sqlite3.Connection], ResultT], deadline: Deadline) -> ResultT:
        """Read in a thread; cancellation ends the read first.

        Raises:
            OffloopError: as `Reader.work`; also if all threads stayed busy, or the read did not end in time.
        """
        try:
            async with asyncio.timeout(deadline.left):
                await self._free.acquire()
        except TimeoutError:
            message = f"All SQLite readers were busy for {deadline.seconds:g} s; nothing was read. Try again."
            raise Busy(message, retry_after=deadline.seconds) from None
        try:
            future = asyncio.get_running_loop().run_in_executor(self._threads, reader.work, read)
        except BaseException:
            self._free.release()
            raise
        self._reading.add(reader)
        # A thread that does not end keeps its permit: the next read is refused instead of queued behind it.
        future.add_done_callback(lambda ended: self._ended(reader, ended))
        try:
            # Not shield(): after a cancellation, Python 3.14 reports the future's error to the loop.
            await asyncio.wait({future}, timeout=deadline.left + _GRACE)
            if not future.done():
                raise deadline.exceeded()
            return future.result()
        finally:
            if not future.done():
                reader.stop()
                with anyio.CancelScope(shield=True):
                    await asyncio.wait({future}, timeout=_GRACE)

    async def close(self) -> None:
        """End running reads and the threads, which would keep the process alive."""
        for reader in self._reading:
            reader.stop()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _ended(self, reader: Reader, future: asyncio.Future[Any]) -> None:
        self._free.release()
        self._reading.discard(reader)
        if not future.cancelled():
            future.exception()  # marks it as retrieved: a cancelled caller does not collect it


class SQLite:
    """One database file.

    Args:
        path: absolute path.
        threads: threads that read it.
    """

    dialect: Dialect = "SQLite"

    def __init__(self, path: str, threads: SQLiteThreads) -> None:
        self._path = path
        self._threads = threads

    async def close(self) -> None:
        """Do nothing: no connection is open between two reads."""

    def placeholder(self, number: int) -> str:  # noqa: ARG002 -- `?` counts by itself; of `?1` some Pythons 3.12 warn
        return "?"

    def quoted(self, name: str) -> str:
        return quoted(name)

    def compared(self, value: Any) -> list[Any]:
        # A column without a type converts neither, and may hold the number or its text; no column converts infinities.
        if not isinstance(value, str):
            return [value]
        if value in _INFINITE:
            return [value, float(value)]
        number = int(value) if _LARGE.fullmatch(value) else 0
        return [value, number] if abs(number) > EXACT and -_INT64 <= number < _INT64 else [value]

    async def tables(self, deadline: Deadline) -> list[Table]:
        return await self._read(_tables, deadline)

    async def shape(self, name: str, schema: str | None, deadline: Deadline) -> Shape:
        return await self._read(lambda connection: _shape(connection, name, schema), deadline)

    async def run(self, query: Query, into: Rows, deadline: Deadline) -> None:
        await self._read(lambda connection: fetch(connection, query, into), deadline)

    async def _read(self, read: Callable[[sqlite3.Connection], ResultT], deadline: Deadline) -> ResultT:
        return await self._threads.run(Reader(self._path, deadline, self._threads.memory), read, deadline)


def _tables(connection: sqlite3.Connection) -> list[Table]:
    """Tables and views, without SQLite's own tables and the shadow tables of virtual ones."""
    found = connection.execute(
        "SELECT name, type FROM pragma_table_list WHERE schema = 'main' AND type <> 'shadow' "
        "AND name NOT LIKE 'sqlite^_%' ESCAPE '^' ORDER BY name LIMIT ?",
        (MAX_TABLES,),
    )
    return [Table("main", name, kind) for name, kind in found]


def _shape(connection: sqlite3.Connection, name: str, schema: str | None) -> Shape:
    quoted(name)  # rejects a NUL, at which SQLite would truncate the name
    found = connection.execute(
        "SELECT name, type FROM pragma_table_list(?) WHERE schema = 'main' AND ? IN ('main', '')", (name, schema or "")
    ).fetchone()
    if found is None:
        raise no_table(name)
    table = Table("main", *found)
    described = connection.execute(
        'SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?) ORDER BY cid', (table.name,)
    ).fetchall()
    columns = [Column(n, kind, not (filled or pk), default, bool(pk)) for n, kind, filled, default, pk, _ in described]
    primary = [row[0] for row in sorted(described, key=lambda row: row[4]) if row[4]]
    keys = [Key("primary", "primary key", primary)] if primary else []
    return Shape(table, columns, [*keys, *_indexes(connection, table.name), *_foreign(connection, table.name)])


def _indexes(connection: sqlite3.Connection, table: str) -> list[Key]:
    rows = connection.execute('SELECT name, "unique", origin FROM pragma_index_list(?) ORDER BY seq DESC', (table,))
    return [
        Key(
            "unique" if unique else "index",
            index,
            [
                column or "<expression>"
                for (column,) in connection.execute("SELECT name FROM pragma_index_info(?) ORDER BY seqno", (index,))
            ],
        )
        for index, unique, origin in rows.fetchall()
        if origin != "pk"
    ]


def _foreign(connection: sqlite3.Connection, table: str) -> list[Key]:
    rows = connection.execute(
        'SELECT id, "table", "from", "to" FROM pragma_foreign_key_list(?) ORDER BY id, seq', (table,)
    )
    keys: dict[int, tuple[str, list[str], list[str]]] = {}
    for number, target, column, referenced in rows:
        _, columns, references = keys.setdefault(number, (target, [], []))
        columns.append(column)
        references.extend([referenced] if referenced else [])
    return [
        Key("foreign", f"foreign key {number + 1}", columns, f"{target}({', '.join(references)})")
        for number, (target, columns, references) in keys.items()
    ]


def path_of(url: str) -> str:
    """The path in ``sqlite:////absolute/path.db``: the text after ``sqlite:///``, unchanged."""
    return url.removeprefix("sqlite:///")
