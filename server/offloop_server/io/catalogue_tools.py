"""Catalogue tools: list_tables and describe_table, for every source that has tables or collections."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from mcp_types import CallToolResult, TextContent
from pydantic import BaseModel, Field

from offloop.kinds.kind import Model
from offloop_server.io.catalogue import MAX_TABLES, SAMPLE_BYTES, Table
from offloop_server.io.databases import Databases
from offloop_server.io.results.answers import MAX_NAME, ConnectionArguments, Name
from offloop_server.io.results.export import exported
from offloop_server.io.results.reads import Reads
from offloop_server.io.results.rows import Rows
from offloop_server.toolkit.answers import warnings_text
from offloop_server.toolkit.light_tool import LightTool, ModelT
from offloop_server.toolkit.services import AnyTool, Caller, Services


class ListTablesArguments(ConnectionArguments):
    """Choice of the database and a filter on table names."""

    contains: Annotated[str, Field(max_length=MAX_NAME)] | None = Field(
        None, description="Only tables with this in their name."
    )


class DescribeTableArguments(ConnectionArguments):
    """Choice of the table."""

    table: Name = Field(description="The table's name, as list_tables shows it.")
    schema_name: Name | None = Field(None, description="Its schema; the usual ones without it.")
    sample_rows: Annotated[int, Field(ge=0, le=20)] = Field(0, description="Rows to show as examples.")


class TableAnswer(Model):
    """A table or view."""

    schema_name: str
    name: str
    kind: str
    rows: int | None = Field(description="About how many; null where it is not known.")


class TablesAnswer(Model):
    """The tables of a connection."""

    connection: str
    tables: list[TableAnswer]
    truncated: bool


class ColumnShape(Model):
    """A column as it was declared."""

    name: str
    type: str
    nullable: bool
    default: str | None
    primary_key: bool


class KeyAnswer(Model):
    """A key or index."""

    kind: Literal["primary", "unique", "foreign", "index"]
    name: str
    columns: list[str]
    references: str | None = Field(description="Of a foreign key: table(column, …).")


class ShapeAnswer(Model):
    """Columns and keys of a table."""

    connection: str
    table: TableAnswer
    columns: list[ColumnShape]
    keys: list[KeyAnswer]
    sample: list[dict[str, Any]]
    warnings: list[str]


class _CatalogueTool(LightTool[ModelT]):
    """Base of the catalogue tools."""

    family = "sql"

    def __init__(self, services: Services, databases: Databases, reads: Reads) -> None:
        super().__init__(services)
        self._catalogues = databases.catalogues
        self._reads = reads


class ListTables(_CatalogueTool[ListTablesArguments]):
    """The tables of a connection."""

    name = "list_tables"
    description = "List the tables, views or collections of a database connection, with about how many rows they have."
    arguments = ListTablesArguments
    answers = TablesAnswer

    async def do(self, value: ListTablesArguments, caller: Caller) -> CallToolResult:  # noqa: ARG002 -- LightTool's signature
        connection, catalogue = self._catalogues.get(value.connection)
        found = await catalogue.tables(self._reads.deadline())
        matching = [table for table in found if (value.contains or "").lower() in table.name.lower()]
        answer = TablesAnswer(
            connection=connection,
            tables=[_table(table) for table in matching],
            truncated=len(found) == MAX_TABLES,
        )
        lines = [f"{catalogue.dialect} connection {connection}: {len(matching)} tables."]
        lines += [f"{table.schema}.{table.name} ({table.kind})" for table in matching]
        if answer.truncated:
            lines.append(f"There are more: only the first {MAX_TABLES} were looked at.")
        return _result("\n".join(lines), answer)


class DescribeTable(_CatalogueTool[DescribeTableArguments]):
    """The columns and keys of a table, with sample rows."""

    name = "describe_table"
    description = (
        "Describe a table or collection: columns with their types (of a collection: fields found in a sample), keys "
        "and indexes, and with sample_rows a few rows."
    )
    arguments = DescribeTableArguments
    answers = ShapeAnswer

    async def do(self, value: DescribeTableArguments, caller: Caller) -> CallToolResult:  # noqa: ARG002 -- LightTool's signature
        connection, catalogue = self._catalogues.get(value.connection)
        deadline = self._reads.deadline()
        shape = await catalogue.shape(value.table, value.schema_name, deadline)
        rows = await catalogue.sample(shape.table, value.sample_rows, deadline) if value.sample_rows else Rows(0, 0)
        answer = ShapeAnswer(
            connection=connection,
            table=_table(shape.table),
            columns=[ColumnShape(**asdict(column)) for column in shape.columns],
            keys=[KeyAnswer(**asdict(key)) for key in shape.keys],
            sample=rows.objects(),
            warnings=[*shape.warnings, *rows.warnings, *_short_sample(rows, value.sample_rows)],
        )
        lines = [f"{shape.table.schema}.{shape.table.name} ({shape.table.kind})"]
        lines += [f"{one.name} {one.type}{'' if one.nullable else ' not null'}" for one in shape.columns]
        lines += [f"{key.kind} ({', '.join(key.columns)}) {key.references or ''}".rstrip() for key in shape.keys]
        if rows.count:
            lines += ["", exported(rows, "markdown")]
        if answer.warnings:
            lines.append(f"Warnings: {warnings_text(answer.warnings)}")
        return _result("\n".join(lines), answer)


def _short_sample(rows: Rows, wanted: int) -> list[str]:
    """The warning for a sample that a cap of bytes has ended."""
    if rows.truncated_by != "bytes":
        return []
    return [f"The sample has {rows.count} rows instead of {wanted}: {SAMPLE_BYTES >> 10} KiB are full."]


def catalogue_tools(services: Services, databases: Databases, reads: Reads) -> list[AnyTool]:
    """The tools; none without a source that has tables."""
    if not databases.catalogues.names():
        return []
    return [ListTables(services, databases, reads), DescribeTable(services, databases, reads)]


def _table(table: Table) -> TableAnswer:
    return TableAnswer(schema_name=table.schema, name=table.name, kind=table.kind, rows=table.rows)


def _result(text: str, answer: BaseModel) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=text)], structured_content=answer.model_dump(mode="json"))
