"""Arguments and answers of the SQL tools."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from offloop_server.io.results.answers import Name, ResultArguments
from offloop_server.io.sql.parameters import Parameters

MAX_SQL = 100_000

Names = Annotated[list[Name], Field(min_length=1, max_length=200)]
Sql = Annotated[str, Field(min_length=1, max_length=MAX_SQL)]
Values = Annotated[Parameters, Field(max_length=1000)]


class QueryArguments(ResultArguments):
    """A statement, or the parts of a simple one, and the form of the rows."""

    sql: Sql | None = Field(None, description="One statement that reads, such as SELECT. Or give table instead.")
    parameters: Values = Field(
        default_factory=list,
        description="Values of the statement's placeholders. SQLite: a list for ?, an object for :name. PostgreSQL: "
        'a list for $1, $2, … MySQL: a list for ?. Bytes are written {"base64": "…"}.',
    )
    table: Name | None = Field(None, description="Instead of sql: read this table.")
    schema_name: Name | None = Field(None, description="With table: its schema.")
    columns: Names | None = Field(None, description="With table: only these columns.")
    where: Annotated[dict[Name, Any], Field(max_length=50)] | None = Field(
        None, description="With table: column → value it must equal; null: is NULL; a list: any of these."
    )
    order_by: Names | None = Field(None, description="With table: columns to sort by, with - in front for descending.")
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
        return self
