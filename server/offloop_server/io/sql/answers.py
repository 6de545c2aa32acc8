"""Arguments and answers of the SQL tools."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from offloop.kinds.kind import Model
from offloop_server.io.sql.driver import Parameters
from offloop_server.io.sql.export import Format
from offloop_server.io.sql.rows import Limit
from offloop_server.toolkit.answers import ArtifactAnswer

MAX_SQL = 100_000
MAX_NAME = 255
INLINE_ROWS = 1000
SAVED_ROWS = 100_000
INLINE_BYTES = 256 << 10
SAVED_BYTES = 32 << 20

Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
Names = Annotated[list[Name], Field(min_length=1, max_length=200)]
Sql = Annotated[str, Field(min_length=1, max_length=MAX_SQL)]
Values = Annotated[Parameters, Field(max_length=1000)]
Seconds = Annotated[float, Field(gt=0, le=3600)]


class ConnectionArguments(Model):
    """Choice of the database."""

    connection: Annotated[str, Field(max_length=40)] | None = Field(
        None, description="Name of the connection; may be left out where there is only one."
    )


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


class QueryArguments(ConnectionArguments):
    """A statement, or the parts of a simple one, and the form of the rows."""

    sql: Sql | None = Field(None, description="One statement that reads, such as SELECT. Or give table instead.")
    parameters: Values = Field(
        default_factory=list,
        description="Values of the statement's placeholders. SQLite: a list for ?, an object for :name. PostgreSQL: "
        'a list for $1, $2, … Bytes are written {"base64": "…"}.',
    )
    table: Name | None = Field(None, description="Instead of sql: read this table.")
    schema_name: Name | None = Field(None, description="With table: its schema.")
    columns: Names | None = Field(None, description="With table: only these columns.")
    where: Annotated[dict[Name, Any], Field(max_length=50)] | None = Field(
        None, description="With table: column → value it must equal; null: is NULL; a list: any of these."
    )
    order_by: Names | None = Field(None, description="With table: columns to sort by, with - in front for descending.")
    max_rows: Annotated[int, Field(ge=1, le=SAVED_ROWS)] = Field(
        100, description=f"Rows at most; up to {INLINE_ROWS} in the answer, up to {SAVED_ROWS} with save."
    )
    max_bytes: Annotated[int, Field(ge=1000, le=SAVED_BYTES)] | None = Field(
        None, description=f"Bytes of values at most. Default 65536, with save {SAVED_BYTES}."
    )
    timeout_seconds: Seconds = Field(10, description="Stop the query after this time; the server has a limit too.")
    format: Format | None = Field(
        None,
        description="The rows as one text instead of objects. In csv, a text that a spreadsheet would run gets a ' in "
        "front; json has the values as they are.",
    )
    save: bool = Field(default=False, description="Keep the rows as a file (an artifact; csv without format).")
    explain: bool = Field(default=False, description="Show the plan; the statement is not run.")

    @model_validator(mode="after")
    def _one_way(self) -> QueryArguments:
        if (self.sql is None) == (self.table is None):
            message = "give either sql or table"
            raise ValueError(message)
        parts = ("schema_name", "columns", "where", "order_by")
        if self.sql is not None and any(getattr(self, part) is not None for part in parts):
            message = "schema_name, columns, where and order_by go with table; with sql, write them in the statement"
            raise ValueError(message)
        if self.table is not None and self.parameters:
            message = "parameters go with sql; with table, put the values into where"
            raise ValueError(message)
        if not self.save and self.max_rows > INLINE_ROWS:
            message = f"max_rows may be {INLINE_ROWS} in an answer; with save=true it may be {SAVED_ROWS}"
            raise ValueError(message)
        if not self.save and (self.max_bytes or 0) > INLINE_BYTES:
            message = f"max_bytes may be {INLINE_BYTES} in an answer; with save=true it may be {SAVED_BYTES}"
            raise ValueError(message)
        return self


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


class ColumnAnswer(Model):
    """A column of an answer."""

    name: str
    type: str | None = Field(description="As the database calls it; null where no row shows it.")


class QueryAnswer(Model):
    """The rows of a query."""

    connection: str
    columns: list[ColumnAnswer]
    rows: list[dict[str, Any]] | None = Field(
        description="Numbers beyond 2^53, decimals and dates are text; bytes are {base64}; null with format or save."
    )
    row_count: int
    truncated: bool = Field(description="Whether there are more rows than these.")
    truncated_by: Limit | None
    cut_values: int = Field(description="Values that were too long for the answer and end in …; with save, none are.")
    text: str | None = Field(description="The rows in the requested format.")
    artifact: ArtifactAnswer | None
    elapsed_ms: int
