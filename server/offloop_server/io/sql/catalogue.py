"""Catalogue of a SQL database, with sample rows through a SELECT."""

from __future__ import annotations

from offloop_server.io.catalogue import SAMPLE_BYTES, SAMPLE_CELL, Shape, Table
from offloop_server.io.deadline import Deadline
from offloop_server.io.results.rows import Rows
from offloop_server.io.sql.driver import Driver
from offloop_server.io.sql.select import select


class SqlCatalogue:
    """The catalogue of one database.

    Args:
        driver: its driver.
    """

    def __init__(self, driver: Driver) -> None:
        self.dialect = driver.dialect
        self._driver = driver

    async def tables(self, deadline: Deadline) -> list[Table]:
        return await self._driver.tables(deadline)

    async def shape(self, name: str, schema: str | None, deadline: Deadline) -> Shape:
        return await self._driver.shape(name, schema, deadline)

    async def sample(self, table: Table, count: int, deadline: Deadline) -> Rows:
        rows = Rows(count, SAMPLE_BYTES, SAMPLE_CELL)
        await self._driver.run(select(self._driver, table.name, schema=table.schema), rows, deadline)
        return rows
