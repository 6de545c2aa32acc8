"""Simple SELECT statements built from names and values, for callers that do not write SQL."""

from __future__ import annotations

from typing import Any

from offloop.errors import BadInput
from offloop_server.io.sql.driver import Driver, Query

_MAX_FILTERS = 200
"""Values and conditions of one statement."""


def select(  # noqa: PLR0913 -- the parts of a SELECT; all but the first two by name
    driver: Driver,
    table: str,
    *,
    schema: str | None = None,
    columns: list[str] | None = None,
    where: dict[str, Any] | None = None,
    order_by: list[str] | None = None,
    explain: bool = False,
) -> Query:
    """Build the statement; every name is quoted and every value is a parameter.

    Args:
        driver: decides the form of placeholders and quoted names.
        table: name of the table.
        schema: schema of the table; the database's search path without it.
        columns: columns to read; all without it.
        where: column to required value, joined by AND; ``None`` means NULL, a list means any of its values.
        order_by: columns, with ``-`` in front for descending.
        explain: request the plan.

    Raises:
        BadInput: a name is not valid, or there are too many values.
    """
    parameters: list[Any] = []
    source = f"{driver.quoted(schema)}.{driver.quoted(table)}" if schema else driver.quoted(table)
    sql = f"SELECT {', '.join(_column(driver, table, name) for name in columns or ()) or '*'} FROM {source}"  # noqa: S608 -- names are quoted
    if where:
        conditions = (
            _condition(driver, _column(driver, table, name), value, parameters) for name, value in where.items()
        )
        sql += f" WHERE {' AND '.join(conditions)}"
    if order_by:
        sql += f" ORDER BY {', '.join(_sort_key(driver, table, entry) for entry in order_by)}"
    if len(parameters) > _MAX_FILTERS:
        message = f"where has {len(parameters)} values, more than {_MAX_FILTERS}: ask in several calls, or write SQL."
        raise BadInput(message)
    return Query(sql, parameters, explain)


def _column(driver: Driver, table: str, name: str) -> str:
    # Qualified: SQLite reads an unqualified "word" that is no column as a string.
    return f"{driver.quoted(table)}.{driver.quoted(name)}"


def _condition(driver: Driver, column: str, value: Any, parameters: list[Any]) -> str:
    """The condition on one column; its values are appended to `parameters`."""
    if value is None:
        return f"{column} IS NULL"
    first = len(parameters) + 1
    given = value if isinstance(value, list) else [value]
    parameters.extend(parameter for one in given if one is not None for parameter in driver.compared(one))
    holders = ", ".join(driver.placeholder(number) for number in range(first, len(parameters) + 1))
    found = f"{column} = {holders}" if len(parameters) == first else f"{column} IN ({holders})"
    if not holders:
        return f"{column} IS NULL" if given else "1 = 0"
    return f"({found} OR {column} IS NULL)" if None in given else found


def _sort_key(driver: Driver, table: str, entry: str) -> str:
    return f"{_column(driver, table, entry.removeprefix('-'))}{' DESC' if entry.startswith('-') else ''}"
