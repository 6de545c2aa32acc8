"""SQLite sandbox: a connection that reads within limits and can do nothing else.

Defence in depth: the file is opened read-only, ``query_only`` refuses writes, SQLite's limits bound sizes and depths,
and an authorizer allows a short list of actions and functions. A function whose cost grows with the product of its
arguments does not call the progress handler that checks the deadline; such functions are wrapped in a check of that
product.
"""

from __future__ import annotations

import math
import re
import sqlite3
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

MAX_VALUE: Final = 8 << 20
"""Bytes of one value, and of one row."""
_MAX_WORK: Final = 1_000_000_000
"""Steps of one function call, about one second."""
_MAX_SQL: Final = 100_000
_MAX_VIRTUAL: Final = 200


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LIMITS: Final = {
    sqlite3.SQLITE_LIMIT_LENGTH: MAX_VALUE,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 200,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 100,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 250_000,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 100,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 100,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 1000,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
}

_FUNCTIONS: Final = _words("""
    -> ->> abs acos acosh asin asinh atan atan2 atanh avg bm25 ceil ceiling char coalesce concat concat_ws cos cosh
    count cume_dist current_date current_time current_timestamp date datetime degrees dense_rank exp first_value floor
    format glob group_concat hex highlight if ifnull iif instr json json_array json_array_length json_extract
    json_group_array json_group_object json_insert json_object json_patch json_quote json_remove json_replace json_set
    json_type json_valid julianday lag last_value lead length like likelihood likely ln log log10 log2 lower ltrim
    match max min mod nth_value ntile nullif octet_length percent_rank pi pow power printf quote radians random
    randomblob rank replace round row_number rtrim sign sin sinh snippet soundex sqlite_version sqrt strftime
    string_agg substr substring sum tan tanh time timediff total trim trunc typeof unicode unixepoch unlikely upper
    zeroblob
""")
_PRAGMAS: Final = _words("""
    application_id collation_list compile_options data_version encoding foreign_key_list function_list index_info
    index_list index_xinfo schema_version table_info table_list table_xinfo user_version
""")
_WITH_ARGUMENT: Final = frozenset(
    ("foreign_key_list", "index_info", "index_list", "index_xinfo", "table_info", "table_list", "table_xinfo")
)
"""Pragmas whose argument is a name; for the others it would be a new value."""
_READING: Final = frozenset((sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE))
_EPONYMOUS: Final = (
    *(f"{name}('[1]')" for name in ("json_each", "json_tree")),
    *(f"pragma_{name}('x')" for name in sorted(_WITH_ARGUMENT)),
    *(f"pragma_{name}" for name in sorted(_PRAGMAS - _WITH_ARGUMENT)),
)
"""Table-valued functions; the first use of each declares it, which the authorizer would deny."""


class Guarded(sqlite3.Connection):
    """A connection to SQLite with the state of its wrapped functions.

    Attributes:
        complaint: reason of a wrapped function's refusal, which SQLite does not pass on.
        plain: connection on which the wrapped functions run.
    """

    complaint: str | None = None
    plain: sqlite3.Connection | None = None

    def close(self) -> None:
        super().close()
        if self.plain is not None:
            self.plain.close()


def guard(connection: Guarded, memory_bytes: int) -> None:
    """Apply all restrictions to a connection.

    Args:
        connection: newly opened, read-only.
        memory_bytes: memory of all connections of this process together.
    """
    for limit, value in _LIMITS.items():
        connection.setlimit(limit, value)
    for pragma in (
        "query_only = 1",
        "trusted_schema = 0",
        "cell_size_check = 1",
        "mmap_size = 0",
        "temp_store = 2",  # in memory, bounded by the next line: a read must not fill the disk
        f"hard_heap_limit = {memory_bytes}",
    ):
        connection.execute(f"PRAGMA {pragma}").close()
    _declare(connection)
    # Not before: the first statement parses the schema, where real triggers have 200 kB.
    connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, _MAX_SQL)
    _bound(connection)
    connection.set_authorizer(_authorized)


def _authorized(action: int, first: str | None, second: str | None, _schema: str | None, _inner: str | None) -> int:
    if action in _READING:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION and second and second.lower() in _FUNCTIONS:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA and first and first.lower() in _PRAGMAS:
        return sqlite3.SQLITE_OK if second is None or first.lower() in _WITH_ARGUMENT else sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_DENY


def _declare(connection: sqlite3.Connection) -> None:
    """Use each virtual table once: the first use writes to the in-memory schema, which is denied later."""
    found = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage = 0 LIMIT ?", (_MAX_VIRTUAL,)
    ).fetchall()
    own = ['"' + str(name).replace('"', '""') + '"' for (name,) in found]
    for table in (*_EPONYMOUS, *own):
        with suppress(sqlite3.Error):  # this build of SQLite lacks the table or its module
            connection.execute(f"SELECT * FROM {table} LIMIT 0").close()  # noqa: S608 -- a constant, or quoted above


def _bound(connection: Guarded) -> None:
    """Wrap the functions that could run for hours within a single step."""
    connection.plain = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
    connection.plain.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE)
    for name, count, check in _COSTLY:
        # Weak reference: the connection and its functions would keep each other alive.
        call = partial(_checked, weakref.ref(connection), name, check)
        connection.create_function(name, count, call, deterministic=True)


def _checked(
    connection: weakref.ref[Guarded], name: str, check: Callable[[tuple[Any, ...]], None], *arguments: Any
) -> Any:
    guarded = connection()
    if guarded is None or guarded.plain is None:
        return None
    sql = f"SELECT {name}({', '.join('?' * len(arguments))})"
    try:
        check(arguments)
        return guarded.plain.execute(sql, arguments).fetchone()[0]
    except (sqlite3.Error, ValueError) as error:
        guarded.complaint = f"{name}: {error}"
        raise


def _product(arguments: tuple[Any, ...]) -> None:
    sizes = [len(value) if isinstance(value, (str, bytes)) else 1 for value in arguments[:2]]
    if math.prod(sizes) > _MAX_WORK:
        message = "its arguments are too long for each other"
        raise ValueError(message)


def _template(arguments: tuple[Any, ...]) -> None:
    if arguments and re.search(r"\*|\d{5}", str(arguments[0])):
        message = "a width has at most four digits, and no *"
        raise ValueError(message)


_COSTLY: Final[tuple[tuple[str, int, Callable[[tuple[Any, ...]], None]], ...]] = (
    ("instr", 2, _product),
    ("replace", 3, _product),
    ("trim", 2, _product),
    ("ltrim", 2, _product),
    ("rtrim", 2, _product),
    ("json_patch", 2, _product),
    ("printf", -1, _template),
    ("format", -1, _template),
)
