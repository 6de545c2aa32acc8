"""One query of a collection: the checked parts of a find or of an aggregation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase


@dataclass(frozen=True, slots=True)
class Query:
    """A query whose parts a `Guard` has checked.

    Attributes:
        collection: name of the collection.
        filter: which documents.
        projection: which of their fields.
        sort: fields to sort by, each with its direction.
        skip: documents to leave out.
        pipeline: stages instead of the four before.
        explain: request the plan.
    """

    collection: str
    filter: dict[str, Any] = field(default_factory=dict)
    projection: dict[str, Any] | None = None
    sort: dict[str, Any] | None = None
    skip: int = 0
    pipeline: list[dict[str, Any]] | None = None
    explain: bool = False

    async def begin(
        self, database: AsyncDatabase[dict[str, Any]], batch: int, limit: int, limit_ms: int, comment: str
    ) -> Any:
        """A cursor over batches of raw documents."""
        collection = database[self.collection]
        if self.pipeline is not None:
            return await collection.aggregate_raw_batches(
                [*self.pipeline, {"$limit": limit}],
                batchSize=batch,
                maxTimeMS=limit_ms,
                allowDiskUse=False,
                comment=comment,
            )
        return collection.find_raw_batches(
            self.filter,
            self.projection,
            sort=list((self.sort or {}).items()) or None,
            skip=self.skip,
            limit=limit,
            batch_size=batch,
            max_time_ms=limit_ms,
            allow_disk_use=False,
            comment=comment,
        )

    def command(self) -> dict[str, Any]:
        """The command whose plan is requested."""
        if self.pipeline is not None:
            return {"aggregate": self.collection, "pipeline": self.pipeline, "cursor": {}, "allowDiskUse": False}
        parts = {"filter": self.filter, "projection": self.projection, "sort": self.sort, "skip": self.skip}
        return {"find": self.collection, **{name: part for name, part in parts.items() if part}}
