"""Queries of the information schema of MySQL and MariaDB: tables, columns, keys, and the rights of the user."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from offloop_server.io.catalogue import Column, Key, Shape, Table
from offloop_server.io.sql.mysql.binary import row_of
from offloop_server.io.sql.mysql.session import Session

MAX_ROWS: Final = 20_000
"""Rows of one query of the catalogue; a table has at most 4096 columns, and 64 indexes of 16."""

_MIGHTY: Final = frozenset({"FILE", "SUPER", "ALL PRIVILEGES"})
"""Global privileges that reach files of the server's host, or switch its guards off."""
_READING: Final = frozenset(
    {
        *("USAGE", "SELECT", "SHOW VIEW", "SHOW DATABASES", "SHOW_ROUTINE", "SHOW CREATE ROUTINE", "EXECUTE"),
        *("PROCESS", "BINLOG MONITOR", "REPLICATION CLIENT", "SLAVE MONITOR", "REFERENCES", "LOCK TABLES"),
    }
)
"""Privileges that change no data in a read-only transaction."""
_GRANT: Final = re.compile(r"GRANT (.+?) ON ((?:[A-Z]+ )*\S+) TO ")
_COLUMNS_OF_GRANT: Final = re.compile(r" \([^)]*\)")

_TABLE: Final = """
SELECT TABLE_SCHEMA, TABLE_NAME, CASE TABLE_TYPE WHEN 'BASE TABLE' THEN 'table' WHEN 'SYSTEM VERSIONED' THEN 'table'
WHEN 'SYSTEM VIEW' THEN 'view' ELSE lower(TABLE_TYPE) END, TABLE_ROWS FROM information_schema.TABLES
"""
TABLES: Final = f"""{_TABLE}
WHERE TABLE_SCHEMA NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys') AND TABLE_TYPE <> 'SEQUENCE'
ORDER BY 1, 2 LIMIT ?
"""
_SHAPE: Final = f"{_TABLE} WHERE TABLE_SCHEMA = coalesce(?, database()) AND TABLE_NAME = ?"
_COLUMNS: Final = """
SELECT COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE = 'YES', COLUMN_DEFAULT, COLUMN_KEY = 'PRI', EXTRA,
nullif(GENERATION_EXPRESSION, '') FROM information_schema.COLUMNS
WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION
"""
_INDEXES: Final = """
SELECT INDEX_NAME, NON_UNIQUE, COLUMN_NAME FROM information_schema.STATISTICS
WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY INDEX_NAME <> 'PRIMARY', INDEX_NAME, SEQ_IN_INDEX
"""
_REFERENCES: Final = """
SELECT CONSTRAINT_NAME, COLUMN_NAME, REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME
FROM information_schema.KEY_COLUMN_USAGE
WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND REFERENCED_TABLE_NAME IS NOT NULL
ORDER BY CONSTRAINT_NAME, ORDINAL_POSITION
"""


@dataclass(frozen=True, slots=True)
class Rights:
    """Rights beyond reading.

    Attributes:
        reaches_host: a query could read files of the server's host.
        writes: a statement could write, outside of a read-only transaction.
    """

    reaches_host: bool
    writes: bool


async def fetch(session: Session, sql: str, *parameters: Any) -> list[list[Any]]:
    """All rows of a query of ours."""
    fields = await session.execute(await session.prepare(sql), parameters)
    rows: list[list[Any]] = []
    while packets := await session.packets():
        rows += [row_of(fields, packet) for packet in packets]
    return rows


async def rights(session: Session) -> Rights:
    """The rights of the user and of its active roles."""
    return rights_in([grant for (grant,) in await fetch(session, "SHOW GRANTS")])


def rights_in(grants: Iterable[str]) -> Rights:
    """The rights that the lines of SHOW GRANTS give."""
    reaches_host = writes = False
    for match in filter(None, map(_GRANT.match, grants)):
        found = frozenset(_COLUMNS_OF_GRANT.sub("", match[1]).split(", "))
        reaches_host |= match[2] == "*.*" and bool(found & _MIGHTY)
        writes |= not found <= _READING
    return Rights(reaches_host, writes)


async def shape(session: Session, name: str, schema: str | None) -> Shape | None:
    """Describe a table; ``None`` if there is no readable table of that name."""
    found = await fetch(session, _SHAPE, schema, name)
    if not found:
        return None
    table = Table(*found[0])
    where = (table.schema, table.name)
    columns = [_column(row, quoted=session.is_mariadb) for row in await fetch(session, _COLUMNS, *where)]
    indexes = _indexes(await fetch(session, _INDEXES, *where))
    return Shape(table, columns, [*indexes, *_foreign(table.schema, await fetch(session, _REFERENCES, *where))])


def _column(row: Sequence[Any], *, quoted: bool) -> Column:
    """The column of a row of `_COLUMNS`; `quoted`: defaults are SQL, as MariaDB has them."""
    name, kind, nullable, default, primary, extra, generated = row
    if generated is not None:
        default = f"generated: {generated}"
    elif "auto_increment" in extra:
        default = "auto_increment"
    elif quoted:
        default = None if default == "NULL" else default
    elif default is not None and "DEFAULT_GENERATED" not in extra:
        default = "'" + default.replace("'", "''") + "'"  # MySQL shows literals without their quotes
    return Column(name, kind, bool(nullable), default, bool(primary))


def _indexes(rows: Sequence[Sequence[Any]]) -> list[Key]:
    keys: dict[str, Key] = {}
    for name, not_unique, column in rows:
        kind = "primary" if name == "PRIMARY" else "index" if not_unique else "unique"
        keys.setdefault(name, Key(kind, name, [])).columns.append(column or "<expression>")
    return list(keys.values())


def _foreign(schema: str, rows: Sequence[Sequence[Any]]) -> list[Key]:
    keys: dict[str, tuple[str, list[str], list[str]]] = {}
    for name, column, target_schema, target, referenced in rows:
        full = target if target_schema == schema else f"{target_schema}.{target}"
        _, columns, references = keys.setdefault(name, (full, [], []))
        columns.append(column)
        references.append(referenced)
    return [
        Key("foreign", name, columns, f"{target}({', '.join(references)})")
        for name, (target, columns, references) in keys.items()
    ]
