"""Catalogue of a source: its tables or collections, and their columns and keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from offloop.errors import BadInput
from offloop_server.io.deadline import Deadline
from offloop_server.io.results.rows import Rows

Dialect = Literal["SQLite", "PostgreSQL", "MySQL", "MongoDB", "Redis"]
"""The product, as named in messages."""

MAX_TABLES = 1000
"""Maximum tables of one listing."""
SAMPLE_BYTES = 32_768
SAMPLE_CELL = 1024


@dataclass(frozen=True, slots=True)
class Table:
    """A table or view.

    Attributes:
        schema: schema of the table.
        name: name of the table.
        kind: ``table``, ``view``, ``materialized view``, ``partitioned table``, ``foreign table``, ``virtual``, or of
            MongoDB ``collection``, ``view`` or ``timeseries``.
        rows: estimated number of rows; ``None`` if unknown.
    """

    schema: str
    name: str
    kind: str
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column as it was declared."""

    name: str
    type: str
    nullable: bool
    default: str | None
    primary_key: bool


@dataclass(frozen=True, slots=True)
class Key:
    """A ``primary``, ``unique`` or ``foreign`` key, or another ``index``.

    Attributes:
        kind: one of the four.
        name: name in the database.
        columns: in order; an expression of an index is ``"<expression>"``.
        references: ``table(column, …)`` of a foreign key.
    """

    kind: str
    name: str
    columns: list[str]
    references: str | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """A table with its columns and keys.

    Attributes:
        warnings: sentences about what is missing here.
    """

    table: Table
    columns: list[Column]
    keys: list[Key]
    warnings: tuple[str, ...] = ()


class Catalogue(Protocol):
    """The catalogue of one source. Every operation ends by its deadline or when cancelled, and writes nothing."""

    dialect: Dialect

    async def tables(self, deadline: Deadline) -> list[Table]:
        """The readable tables, sorted by schema and name; at most `MAX_TABLES`.

        Raises:
            OffloopError: the source refused or failed.
        """

    async def shape(self, name: str, schema: str | None, deadline: Deadline) -> Shape:
        """The columns and keys of a table.

        Raises:
            BadInput: there is no such table.
            OffloopError: as for `tables`.
        """

    async def sample(self, table: Table, count: int, deadline: Deadline) -> Rows:
        """Some rows of a table, at most `count`, with `SAMPLE_BYTES` and `SAMPLE_CELL` as caps.

        Raises:
            OffloopError: as for `tables`.
        """


def no_table(name: str) -> BadInput:
    """The error for an unknown table."""
    return BadInput(f"There is no table {name[:100]!r} that may be read; list_tables shows the tables there are.")
