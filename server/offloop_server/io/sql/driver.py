"""Database driver interface between the SQL tools and the databases; a new database product implements `Driver`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from offloop.errors import BadInput, Busy, LimitExceeded, Unavailable
from offloop_server.io.catalogue import Dialect, Shape, Table
from offloop_server.io.deadline import Deadline
from offloop_server.io.results.rows import Rows
from offloop_server.io.sql.parameters import Parameters


@dataclass(frozen=True, slots=True)
class Query:
    """One read-only statement.

    Attributes:
        sql: the statement, in the language of the database.
        parameters: values of its placeholders.
        explain: request the plan instead of the rows; the statement is not run.
    """

    sql: str
    parameters: Parameters = field(default_factory=list)
    explain: bool = False

    def __post_init__(self) -> None:
        """Reject a statement that a database would truncate.

        Raises:
            BadInput: the statement contains a NUL.
        """
        if "\0" in self.sql:
            message = "The statement has a NUL character in it: send it without, and such a value as a parameter."
            raise BadInput(message)


class Driver(Protocol):
    """One database. Every operation ends by its deadline or when cancelled, and writes nothing."""

    dialect: Dialect

    async def close(self) -> None:
        """Close every connection. Idempotent; needs no open connection."""

    def placeholder(self, number: int) -> str:
        """The placeholder of a parameter, ``$1`` or ``?``; numbers start at 1 and follow the order of the statement."""

    def quoted(self, name: str) -> str:
        """A quoted identifier; no content of `name` can end it.

        Raises:
            BadInput: the name is empty or contains a NUL.
        """

    def compared(self, value: Any) -> list[Any]:
        """The parameters with which a column is compared for one value of a caller, any of which may be equal."""

    async def tables(self, deadline: Deadline) -> list[Table]:
        """The readable tables, sorted by schema and name; at most `MAX_TABLES`.

        Raises:
            OffloopError: as for `run`.
        """

    async def shape(self, name: str, schema: str | None, deadline: Deadline) -> Shape:
        """The columns and keys of a table.

        Raises:
            BadInput: there is no such table.
            OffloopError: as for `run`.
        """

    async def run(self, query: Query, into: Rows, deadline: Deadline) -> None:
        """Run a statement and add its rows to `into` until the end or a cap.

        Raises:
            BadInput: the database refuses the statement or its parameters.
            LimitExceeded: time or memory ran out.
            Busy: all connections stayed in use.
            Unavailable: the database is locked or does not answer.
        """


def quoted(name: str, mark: str = '"') -> str:
    """A quoted SQL identifier; no content of `name` can end it.

    Args:
        name: name of a table, column or schema.
        mark: quotation mark of the dialect.

    Raises:
        BadInput: the name is empty or contains a NUL.
    """
    if not name or "\0" in name:
        message = f"{name!r} cannot be the name of a table or column: give the name as list_tables shows it."
        raise BadInput(message)
    return mark + name.replace(mark, mark * 2) + mark


def no_rows(dialect: Dialect) -> BadInput:
    """The error for a statement without rows, such as one that writes."""
    return BadInput(
        f"Only statements that read are run, and this one gives no rows. Send one {dialect} statement such as SELECT; "
        "writing is not possible here."
    )


def locked(dialect: Dialect) -> Unavailable:
    """The error for a read that waited too long for a lock."""
    return Unavailable(f"The {dialect} data is locked by a writer, and stayed so. Nothing was read; try again.")


def all_busy(deadline: Deadline) -> Busy:
    """The error for a query that waited for a connection until its deadline."""
    message = f"All connections to the database were busy for {deadline.seconds:g} s; nothing was read. Retry."
    return Busy(message, retry_after=deadline.seconds)


def no_answer(dialect: Dialect, reason: str) -> Unavailable:
    """The error for a database that cannot be reached; `reason` is a code or the name of an error."""
    return Unavailable(f"The {dialect} database does not answer ({reason}). Try again later.")


def row_too_large(limit: int, part: str) -> LimitExceeded:
    """The error for a row of more than `limit` bytes; `part` is an expression for a part of a value."""
    message = (
        f"A row is too large: one row may have {limit >> 20} MiB. Select fewer columns, or a part of a long one, such "
        f"as {part}."
    )
    return LimitExceeded(message)
