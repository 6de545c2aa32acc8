"""Execution of a caller's query, from the arguments to the answer or the saved file."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from offloop_server.io.catalogue import Dialect
from offloop_server.io.results.answers import QueryAnswer
from offloop_server.io.results.reads import Reads
from offloop_server.io.sql.answers import QueryArguments
from offloop_server.io.sql.driver import Driver, Query
from offloop_server.io.sql.select import select

if TYPE_CHECKING:
    from offloop_server.io.connections import Connections
    from offloop_server.toolkit.services import Caller


class Queries:
    """Runs the queries of callers.

    Args:
        connections: the databases.
        reads: answers them.
    """

    def __init__(self, connections: Connections[Driver], reads: Reads) -> None:
        self._connections = connections
        self._reads = reads

    async def answer(self, arguments: QueryArguments, caller: Caller, dialect: Dialect | None = None) -> QueryAnswer:
        """Run a query and return its rows, or save them as an artifact.

        Raises:
            OffloopError: the query was refused or failed.
        """
        connection, driver = self._connections.get(arguments.connection, dialect)
        return await self._reads.answer(arguments, caller, connection, partial(driver.run, _query(driver, arguments)))


def _query(driver: Driver, arguments: QueryArguments) -> Query:
    if arguments.table is None:
        return Query(arguments.sql or "", arguments.parameters, arguments.explain)
    return select(
        driver,
        arguments.table,
        schema=arguments.schema_name,
        columns=arguments.columns,
        where=arguments.where,
        order_by=arguments.order_by,
        explain=arguments.explain,
    )
