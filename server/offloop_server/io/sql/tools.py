"""SQL tools: list_tables, describe_table, query_records, query_postgres; listed if a database is configured."""

from __future__ import annotations

from dataclasses import asdict
from typing import ClassVar

from mcp_types import CallToolResult, ContentBlock, ResourceLink, TextContent
from pydantic import BaseModel

from offloop_server.io.sql.answers import (
    ColumnShape,
    DescribeTableArguments,
    KeyAnswer,
    ListTablesArguments,
    QueryAnswer,
    QueryArguments,
    ShapeAnswer,
    TableAnswer,
    TablesAnswer,
)
from offloop_server.io.sql.driver import MAX_TABLES, Dialect, Table
from offloop_server.io.sql.export import exported
from offloop_server.io.sql.queries import MAX_CELL, Queries
from offloop_server.io.sql.rows import Rows
from offloop_server.io.sql.select import select
from offloop_server.toolkit.light_tool import LightTool, ModelT
from offloop_server.toolkit.services import AnyTool, Caller, Services

_SAMPLE_BYTES = 32_768


class _SqlTool(LightTool[ModelT]):
    """Base of the SQL tools."""

    family = "sql"

    def __init__(self, services: Services, queries: Queries) -> None:
        super().__init__(services)
        self._queries = queries
        self._databases = queries.databases


class ListTables(_SqlTool[ListTablesArguments]):
    """The tables of a connection."""

    name = "list_tables"
    description = "List the tables and views of a database connection, with about how many rows they have."
    arguments = ListTablesArguments
    answers = TablesAnswer

    async def do(self, value: ListTablesArguments, caller: Caller) -> CallToolResult:  # noqa: ARG002 -- LightTool's signature
        driver = self._databases.driver(value.connection)
        found = await driver.tables(self._databases.deadline())
        matching = [table for table in found if (value.contains or "").lower() in table.name.lower()]
        answer = TablesAnswer(
            connection=value.connection or self._databases.names()[0],
            tables=[_table(table) for table in matching],
            truncated=len(found) == MAX_TABLES,
        )
        lines = [f"{driver.dialect} connection {answer.connection}: {len(matching)} tables."]
        lines += [f"{table.schema}.{table.name} ({table.kind})" for table in matching]
        return _result("\n".join(lines), answer)


class DescribeTable(_SqlTool[DescribeTableArguments]):
    """The columns and keys of a table, with sample rows."""

    name = "describe_table"
    description = "Describe a table: columns with their types, keys and indexes, and with sample_rows a few rows."
    arguments = DescribeTableArguments
    answers = ShapeAnswer

    async def do(self, value: DescribeTableArguments, caller: Caller) -> CallToolResult:  # noqa: ARG002 -- LightTool's signature
        driver = self._databases.driver(value.connection)
        deadline = self._databases.deadline()
        shape = await driver.shape(value.table, value.schema_name, deadline)
        rows = Rows(value.sample_rows, _SAMPLE_BYTES, MAX_CELL // 16)
        if value.sample_rows:
            await driver.run(select(driver, shape.table.name, schema=shape.table.schema), rows, deadline)
        answer = ShapeAnswer(
            connection=value.connection or self._databases.names()[0],
            table=_table(shape.table),
            columns=[ColumnShape(**asdict(column)) for column in shape.columns],
            keys=[KeyAnswer(**asdict(key)) for key in shape.keys],
            sample=rows.objects(),
        )
        lines = [f"{shape.table.schema}.{shape.table.name} ({shape.table.kind})"]
        lines += [f"{one.name} {one.type}{'' if one.nullable else ' not null'}" for one in shape.columns]
        lines += [f"{key.kind} ({', '.join(key.columns)}) {key.references or ''}".rstrip() for key in shape.keys]
        if rows.rows:
            lines += ["", exported(rows, "markdown")]
        return _result("\n".join(lines), answer)


class _Query(_SqlTool[QueryArguments]):
    """Query of one database product."""

    dialect: ClassVar[Dialect]
    arguments = QueryArguments
    answers = QueryAnswer

    async def do(self, value: QueryArguments, caller: Caller) -> CallToolResult:
        answer = await self._queries.answer(value, caller, self.dialect)
        content: list[ContentBlock] = [TextContent(text=summary(answer))]
        if file := answer.artifact:
            content.append(
                ResourceLink(name=file.name, uri=file.download_url, mime_type=file.mime_type, size=file.size)
            )
        else:
            content.append(TextContent(text=answer.text or _table_text(answer)))
        return CallToolResult(content=content, structured_content=answer.model_dump(mode="json"))


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


def summary(answer: QueryAnswer) -> str:
    """One line about a query: number of rows, truncation, and the saved file."""
    parts = [f"{answer.row_count} rows from {answer.connection} in {answer.elapsed_ms} ms."]
    if answer.truncated:
        parts.append(f"There are more: max_{answer.truncated_by} was reached. Filter, aggregate, or use save=true.")
    if answer.cut_values:
        parts.append(f"{answer.cut_values} long values were cut.")
    if file := answer.artifact:
        parts.append(f"Kept as {file.name} ({file.size} bytes): artifact:{file.artifact_id} until {file.expires_at}.")
    return " ".join(parts)


def sql_tools(services: Services, queries: Queries) -> list[AnyTool]:
    """The tools for the configured connections."""
    databases = queries.databases
    tools: list[AnyTool] = []
    if databases.names():
        tools += [ListTables(services, queries), DescribeTable(services, queries)]
    if databases.names("SQLite"):
        tools.append(QueryRecords(services, queries))
    if databases.names("PostgreSQL"):
        tools.append(QueryPostgres(services, queries))
    return tools


def _table(table: Table) -> TableAnswer:
    return TableAnswer(schema_name=table.schema, name=table.name, kind=table.kind, rows=table.rows)


def _table_text(answer: QueryAnswer) -> str:
    """The rows as a Markdown table: many hosts give a model only the text."""
    rows = Rows(answer.row_count, 0)
    rows.columns = [column.name for column in answer.columns]
    rows.rows = [list(row.values()) for row in answer.rows or []]
    return exported(rows, "markdown")


def _result(text: str, answer: BaseModel) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=text)], structured_content=answer.model_dump(mode="json"))
