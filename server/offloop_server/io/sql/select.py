"""A simple SELECT from names and values, where a caller would rather not write SQL."""

from __future__ import annotations

from typing import Any

from offloop.errors import BadInput
from offloop_server.io.sql.driver import Driver, Query, quoted

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
    """The statement, in which every name is quoted and every value is a parameter.

    Args:
        driver: whose placeholders to use.
        table: which table.
        schema: where the table is; the database's own search order without it.
        columns: which columns; all without it.
        where: what each column must be equal to, all of them; ``None`` asks for NULL, a list for any of its values.
        order_by: columns, with ``-`` in front for descending.
        explain: ask for the plan.

    Raises:
        BadInput: a name cannot be one, or there are too many values.
    """
    parameters: list[Any] = []

    def name(column: str) -> str:
        # With the table in front: SQLite takes a lone "word" that is no column for a text.
        return f"{quoted(table)}.{quoted(column)}"

    def condition(column: str, value: Any) -> str:
        if value is None:
            return f"{name(column)} IS NULL"
        values = value if isinstance(value, list) else [value]
        first = len(parameters) + 1
        parameters.extend(values)
        holders = ", ".join(driver.placeholder(first + number) for number in range(len(values)))
        return f"{name(column)} IN ({holders})" if isinstance(value, list) else f"{name(column)} = {holders}"

    source = f"{quoted(schema)}.{quoted(table)}" if schema else quoted(table)
    sql = f"SELECT {', '.join(map(name, columns)) if columns else '*'} FROM {source}"  # noqa: S608 -- names are quoted
    if conditions := [condition(column, value) for column, value in (where or {}).items()]:
        sql += f" WHERE {' AND '.join(conditions)}"
    if order_by:
        orders = [f"{name(column.removeprefix('-'))}{' DESC' if column.startswith('-') else ''}" for column in order_by]
        sql += f" ORDER BY {', '.join(orders)}"
    if len(parameters) > _MAX_FILTERS:
        message = f"where has {len(parameters)} values, more than {_MAX_FILTERS}: ask in several calls, or write SQL."
        raise BadInput(message)
    return Query(sql, parameters, explain)
