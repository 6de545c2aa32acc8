"""The seam between the tools and the databases: a third sort of database is one more module with such a class."""

from __future__ import annotations

import base64
import binascii
import time
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from offloop.errors import BadInput, LimitExceeded, Unavailable
from offloop_server.io.sql.rows import Rows

Sort = Literal["SQLite", "PostgreSQL"]
Parameters = list[Any] | dict[str, Any]

MAX_TABLES = 1000
"""Tables that one listing shows."""


class Deadline:
    """A point in time.

    Args:
        seconds: from now.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds until then; 0 once it is over."""
        return max(0.0, self._end - time.monotonic())

    def exceeded(self) -> LimitExceeded:
        """The refusal of a query that took too long."""
        message = (
            f"The query was stopped: it did not end within {self.seconds:g} s. "
            "Filter on indexed columns, read fewer rows, or look at its plan with explain=true."
        )
        return LimitExceeded(message)


@dataclass(frozen=True, slots=True)
class Query:
    """One statement that reads.

    Attributes:
        sql: the statement, in the language of the database.
        parameters: values of its placeholders.
        explain: ask for the plan instead of the rows; the statement is then not run.
    """

    sql: str
    parameters: Parameters = field(default_factory=list)
    explain: bool = False

    def __post_init__(self) -> None:
        """Refuse what no database can read to its end.

        Raises:
            BadInput: there is a NUL in the statement.
        """
        if "\0" in self.sql:
            message = "The statement has a NUL character in it: send it without, and such a value as a parameter."
            raise BadInput(message)


@dataclass(frozen=True, slots=True)
class Table:
    """A table or view.

    Attributes:
        schema: where it is.
        name: how it is called.
        kind: ``table``, ``view``, ``materialized view``, ``partitioned table``, ``foreign table`` or ``virtual``.
        rows: about how many it has; ``None`` where nobody counted.
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
    """What holds a table together: a ``primary``, ``unique`` or ``foreign`` key, or another ``index``.

    Attributes:
        kind: which of them.
        name: as the database calls it.
        columns: in order; an expression of an index is ``"<expression>"``.
        references: ``table(column, …)`` of a foreign key.
    """

    kind: str
    name: str
    columns: list[str]
    references: str | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """A table and what it is made of."""

    table: Table
    columns: list[Column]
    keys: list[Key]


class Driver(Protocol):
    """One database. Whatever it does ends by itself: in time, when cancelled, and without a write."""

    sort: Sort

    async def close(self) -> None:
        """Let go of every connection; may be called when none was ever opened, and again."""

    def placeholder(self, number: int) -> str:
        """How the statement refers to its parameter of that number, counted from 1."""

    async def tables(self, deadline: Deadline) -> list[Table]:
        """The tables that may be read, by schema and name; at most `MAX_TABLES`.

        Raises:
            OffloopError: as for `run`.
        """

    async def shape(self, name: str, schema: str | None, deadline: Deadline) -> Shape:
        """What a table is made of.

        Raises:
            BadInput: there is no such table.
            OffloopError: as for `run`.
        """

    async def run(self, query: Query, into: Rows, deadline: Deadline) -> None:
        """Run a statement and add its rows until it ends or they are enough.

        Raises:
            BadInput: the database refuses the statement or its parameters.
            LimitExceeded: it took too long, or too much memory.
            Busy: all connections were in use all the time.
            Unavailable: the database is locked or does not answer.
        """


def quoted(name: str) -> str:
    """An identifier that is nothing but a name, whatever is in it.

    Raises:
        BadInput: no database has such a name.
    """
    if not name or "\0" in name:
        message = f"{name!r} cannot be the name of a table or column: give the name as list_tables shows it."
        raise BadInput(message)
    return '"' + name.replace('"', '""') + '"'


def no_table(name: str) -> BadInput:
    """The refusal of a table that is not there."""
    return BadInput(f"There is no table {name[:100]!r} that may be read; list_tables shows the tables there are.")


def no_rows(sort: Sort) -> BadInput:
    """The refusal of a statement that gives no rows, such as one that writes."""
    return BadInput(
        f"Only statements that read are run, and this one gives no rows. Send one {sort} statement such as SELECT; "
        "writing is not possible here."
    )


def locked(sort: Sort) -> Unavailable:
    """The refusal of a read that somebody's lock kept waiting."""
    return Unavailable(f"The {sort} data is locked by somebody who writes, and stayed so. Nothing was read; try again.")


def with_bytes(parameters: Parameters) -> Parameters:
    """The parameters with ``{"base64": …}`` turned into bytes: JSON has no other way to carry them.

    Raises:
        BadInput: one does not decode.
    """
    if isinstance(parameters, dict):
        return {name: _bytes(value) for name, value in parameters.items()}
    return [_bytes(value) for value in parameters]


def _bytes(value: Any) -> Any:
    if not (isinstance(value, dict) and set(value) == {"base64"} and isinstance(value["base64"], str)):
        return value
    try:
        return base64.b64decode(value["base64"], validate=True)
    except binascii.Error:
        message = "A parameter {base64: …} does not decode: encode the bytes again."
        raise BadInput(message) from None
