"""SQL tools: query_records, query_postgres and query_mysql; each is listed where such a database is configured."""

from __future__ import annotations

from typing import ClassVar

from mcp_types import CallToolResult

from offloop_server.io.catalogue import Dialect
from offloop_server.io.connections import Connections
from offloop_server.io.results.answers import QueryAnswer
from offloop_server.io.results.reads import result
from offloop_server.io.sql.answers import QueryArguments
from offloop_server.io.sql.driver import Driver
from offloop_server.io.sql.queries import Queries
from offloop_server.toolkit.light_tool import LightTool
from offloop_server.toolkit.services import AnyTool, Caller, Services


class _Query(LightTool[QueryArguments]):
    """Query of one database product."""

    family = "sql"
    dialect: ClassVar[Dialect]
    arguments = QueryArguments
    answers = QueryAnswer

    def __init__(self, services: Services, queries: Queries) -> None:
        super().__init__(services)
        self._queries = queries

    async def do(self, value: QueryArguments, caller: Caller) -> CallToolResult:
        return result(await self._queries.answer(value, caller, self.dialect))


class QueryRecords(_Query):
    """Queries of SQLite connections."""

    name = "query_records"
    description = (
        "Read rows of a SQLite connection: one SELECT with parameters, or a table with where and order_by. Never "
        "writes. Stops at max_rows, max_bytes and timeout_seconds; save=true makes a file of up to 100000 rows."
    )
    dialect = "SQLite"


class QueryPostgres(_Query):
    """Queries of PostgreSQL connections."""

    name = "query_postgres"
    description = (
        "Read rows of a PostgreSQL connection: one SELECT with $1, $2, … parameters, or a table with where and "
        "order_by. Never writes. Stops at max_rows, max_bytes and timeout_seconds; save=true makes a file of up to "
        "100000 rows."
    )
    dialect = "PostgreSQL"


class QueryMySQL(_Query):
    """Queries of MySQL and MariaDB connections."""

    name = "query_mysql"
    description = (
        "Read rows of a MySQL or MariaDB connection: one SELECT with ? parameters, or a table with where and order_by. "
        "Never writes. Stops at max_rows, max_bytes and timeout_seconds; save=true makes a file of up to 100000 rows."
    )
    dialect = "MySQL"


_TOOLS: tuple[type[_Query], ...] = (QueryRecords, QueryPostgres, QueryMySQL)


def sql_tools(services: Services, connections: Connections[Driver], queries: Queries) -> list[AnyTool]:
    """The tools for the configured connections."""
    return [tool(services, queries) for tool in _TOOLS if connections.names(tool.dialect)]
