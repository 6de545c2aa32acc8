"""Arguments of query_mongodb."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from offloop_server.io.results.answers import Name, ResultArguments

Filter = Annotated[dict[str, Any], Field(max_length=100)]
Pipeline = Annotated[list[dict[str, Any]], Field(max_length=100)]
Sort = Annotated[dict[Name, Any], Field(min_length=1, max_length=32)]


class DocumentsArguments(ResultArguments):
    """A filter or a pipeline, and the form of the documents."""

    collection: Name = Field(description="The collection, as list_tables shows it.")
    filter: Filter | None = Field(
        None,
        description='Which documents: {"status": "open", "total": {"$gt": 100}}. Values are written as Extended JSON: '
        '{"$oid": "…"}, {"$date": "2026-01-31T00:00:00Z"}, {"$numberDecimal": "1.50"}.',
    )
    projection: Filter | None = Field(None, description='Which fields: {"total": 1, "_id": 0}.')
    sort: Sort | None = Field(None, description='{"total": -1}: descending; several fields in their order.')
    skip: Annotated[int, Field(ge=0, le=1_000_000)] = Field(0, description="Documents to leave out.")
    pipeline: Pipeline | None = Field(
        None,
        description='Instead of the four above: stages of an aggregation, such as [{"$match": {…}}, {"$group": {"_id": '
        '"$status", "n": {"$sum": 1}}}]. Stages that write or run JavaScript are refused.',
    )
    extended_json: Literal["relaxed", "canonical"] = Field(
        "relaxed", description="Form of the values: relaxed has plain numbers; canonical shows the type of each."
    )
    explain: bool = Field(default=False, description="Show the plan; the query is not run.")

    @model_validator(mode="after")
    def _one_way(self) -> DocumentsArguments:
        if self.pipeline is not None and (self.filter or self.projection or self.sort or self.skip):
            message = "filter, projection, sort and skip go without pipeline; in a pipeline, write stages instead"
            raise ValueError(message)
        return self
