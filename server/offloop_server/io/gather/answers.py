"""Arguments and answer of gather_sources."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, Discriminator, Field, Tag

from offloop.kinds.kind import Model
from offloop_server.io.http.tools import Extract, Headers, Url
from offloop_server.io.mongodb.answers import Filter, Pipeline, Sort
from offloop_server.io.redis.answers import CommandArguments, CommandName
from offloop_server.io.results.answers import Connection, Name, RowCount
from offloop_server.io.sql.answers import Sql, Values


class FetchSource(Model):
    """A URL to fetch."""

    get: Url
    headers: Headers = Field(default_factory=dict)
    extract: Extract = Field("auto", description="As for http_get.")
    max_chars: Annotated[int, Field(ge=1, le=50_000)] = Field(10_000, description="Most characters of a text.")


class SqlSource(Model):
    """A query to run."""

    query: Sql
    connection: Connection | None = Field(None, description="May be left out where there is only one.")
    parameters: Values = Field(default_factory=list, description="As for query_records, query_postgres, query_mysql.")
    max_rows: RowCount = 100


class DocumentSource(Model):
    """A MongoDB collection to read."""

    collection: Name
    connection: Connection | None = Field(None, description="May be left out where there is only one.")
    filter: Filter | None = Field(None, description="As for query_mongodb, like the next three.")
    projection: Filter | None = None
    sort: Sort | None = None
    pipeline: Pipeline | None = None
    max_rows: RowCount = 100


class KeySource(Model):
    """A Redis command to send."""

    command: CommandName
    arguments: CommandArguments = Field(default_factory=list, description="As for query_redis.")
    connection: Connection | None = Field(None, description="May be left out where there is only one.")
    max_rows: RowCount = 100


AnySource = FetchSource | SqlSource | DocumentSource | KeySource

_FORMS: Final[dict[str, type[AnySource]]] = {
    "get": FetchSource,
    "query": SqlSource,
    "collection": DocumentSource,
    "command": KeySource,
}
"""The key that tells the sort of a source."""


_OTHER_NAMES: Final = {"url": "get", "sql": "query"}


def _written(source: Any) -> Any:
    """A source in the form that is documented: from a URL alone, or with the names of the single tools."""
    if isinstance(source, str) and source.strip().lower().startswith(("http://", "https://")):
        return {"get": source}
    if isinstance(source, dict) and not _FORMS.keys() & source.keys():
        return {_OTHER_NAMES.get(name, name): value for name, value in source.items()}
    return source


def _sort(source: Any) -> str | None:
    if isinstance(source, BaseModel):
        return next(name for name, form in _FORMS.items() if isinstance(source, form))
    return next((name for name in _FORMS if isinstance(source, dict) and name in source), None)


WRITTEN: Final = (
    '{"get": url}, {"query": sql, "connection": name}, {"collection": name, "filter": {…}} or '
    '{"command": "GET", "arguments": [key]}'
)
"""Forms of a source, for descriptions and messages."""

Source = Annotated[
    Annotated[FetchSource, Tag("get")]
    | Annotated[SqlSource, Tag("query")]
    | Annotated[DocumentSource, Tag("collection")]
    | Annotated[KeySource, Tag("command")],
    Discriminator(_sort, custom_error_type="source", custom_error_message=f"write {WRITTEN}"),
    BeforeValidator(_written),
]


class GatherArguments(Model):
    """The sources, the deadline, and the policy on failures."""

    sources: Annotated[
        dict[Annotated[str, Field(min_length=1, max_length=64)], Source], Field(min_length=1, max_length=20)
    ] = Field(description=f"1 to 20 sources by a name of yours: {WRITTEN}.")
    deadline_seconds: Annotated[float, Field(gt=0, le=600)] = Field(
        30, description="For all; a source that is not done by then has failed."
    )
    all_or_nothing: bool = Field(default=False, description="Stop the others, and answer no data, once one has failed.")


class GatherAnswer(Model):
    """Results of the sources by name, in the order of the request."""

    data: dict[str, Any] = Field(
        description="Of those that succeeded: {status, url, content} of a fetch, {columns, rows, truncated, "
        "warnings} of a query."
    )
    errors: dict[str, str] = Field(description="Of those that did not: why.")
    total: int
    succeeded: int
    elapsed_ms: int
