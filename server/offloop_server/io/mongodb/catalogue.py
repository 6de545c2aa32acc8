"""Collections of a database, and the fields of one as a sample of its documents shows them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import anyio
import bson
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from offloop_server.io.catalogue import MAX_TABLES, Column, Key, Shape, Table, no_table
from offloop_server.io.mongodb.extended_json import CODEC, type_name

_SAMPLE: Final = 100
"""Maximum documents that are looked at."""
_SAMPLE_BYTES: Final = 1 << 20
_BATCH: Final = 10
"""Documents of one reply, which has at most 16 MiB, and so at most one document over that."""
_CLOSE_SECONDS: Final = 5.0
_MAX_FIELDS: Final = 300
_MAX_DEPTH: Final = 3
"""Levels of fields within fields."""

_NO_INDEXES: Final = "The connection's user may not see the indexes, so none are shown."

Database = AsyncDatabase[dict[str, Any]]


async def collections(database: Database, limit_ms: int, name: str | None = None) -> list[Table]:
    """The readable collections and views, sorted; with `name`, that one only."""
    condition: dict[str, Any] = {"$not": {"$regex": "^system\\."}}
    found = await database.list_collections(
        filter={"name": condition if name is None else {"$eq": name, **condition}},
        nameOnly=True,
        authorizedCollections=True,
        maxTimeMS=limit_ms,
    )
    tables: list[Table] = []
    async for one in found:
        tables.append(Table(database.name, one["name"], one.get("type", "collection")))
        if len(tables) == MAX_TABLES:
            break
    return sorted(tables, key=lambda table: table.name)


async def shape(database: Database, name: str, schema: str | None, limit_ms: int) -> Shape:
    """Fields and indexes of a collection.

    The fields are those of up to 100 random documents; no more are read after 1 MiB.

    Raises:
        BadInput: there is no such collection.
    """
    known = await collections(database, limit_ms, name) if schema in (None, database.name) else []
    table = next((table for table in known if table.name == name), None)
    if table is None:
        raise no_table(name)
    fields = await _sampled(database, name, limit_ms)
    count = await database[name].estimated_document_count(maxTimeMS=limit_ms) if table.kind == "collection" else None
    keys = await _indexes(database, name)
    warnings = [*fields.warnings, *([] if keys is not None else [_NO_INDEXES] * (table.kind == "collection"))]
    return Shape(Table(table.schema, name, table.kind, count), fields.columns(), keys or [], tuple(warnings))


class _Fields:
    """Fields of a sample, with the types and the number of documents of each.

    Attributes:
        cut: the sample was ended by its size.
    """

    def __init__(self) -> None:
        self._documents = 0
        self._types: dict[str, set[str]] = {}
        self._present: dict[str, int] = {}
        self._dropped = self._deeper = False
        self.cut = False

    def add(self, batch: bytes) -> None:
        """Add a batch of raw documents."""
        for document in bson.decode_iter(batch, CODEC):
            self._documents += 1
            self._add(document, "", 1)

    def columns(self) -> list[Column]:
        """A column for each field; nullable where a document lacks it or has null."""
        return [
            Column(
                name,
                " | ".join(sorted(types)) or "null",
                self._present[name] < self._documents,
                None,
                name == "_id",
            )
            for name, types in self._types.items()
        ]

    @property
    def warnings(self) -> list[str]:
        """Sentences about fields that are not shown."""
        found = []
        if self._documents >= _SAMPLE or self.cut:
            found.append(f"The fields are those of {self._documents} random documents; others may have more.")
        if self._dropped:
            found.append(f"Only {_MAX_FIELDS} fields are shown, and there are more.")
        if self._deeper:
            found.append(f"Fields deeper than {_MAX_DEPTH} levels are not shown; read a document to see them.")
        return found

    def _add(self, document: Mapping[str, Any], prefix: str, depth: int) -> None:
        for key, value in document.items():
            name = f"{prefix}{key}"
            if name not in self._types and len(self._types) == _MAX_FIELDS:
                self._dropped = True
                return
            types = self._types.setdefault(name, set())
            kind = type_name(value)
            self._present[name] = self._present.get(name, 0) + (kind is not None)
            types.update({kind} if kind else ())
            if isinstance(value, dict) and value:
                if depth < _MAX_DEPTH:
                    self._add(value, f"{name}.", depth + 1)
                else:
                    self._deeper = True


async def _sampled(database: Database, name: str, limit_ms: int) -> _Fields:
    cursor: Any = await database[name].aggregate_raw_batches(
        [{"$sample": {"size": _SAMPLE}}], maxTimeMS=limit_ms, allowDiskUse=False, batchSize=_BATCH
    )
    fields = _Fields()
    left = _SAMPLE_BYTES
    try:
        async for batch in cursor:
            await asyncio.to_thread(fields.add, batch)  # 16 MiB take much longer than the event loop may stand still
            left -= len(batch)
            if left <= 0:
                fields.cut = True
                break
    finally:
        with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
            await cursor.close()  # ends it in the server
    return fields


async def _indexes(database: Database, name: str) -> list[Key] | None:
    try:
        # Not list_indexes(), which decodes with other options; a collection has at most 64 indexes, one reply.
        reply = await database.command({"listIndexes": name, "cursor": {}}, codec_options=CODEC)
        return [_key(index) for index in reply["cursor"]["firstBatch"]]
    except OperationFailure:  # of a view, or not allowed to this user
        return None


def _key(index: Mapping[str, Any]) -> Key:
    columns = [
        name if direction == 1 else f"-{name}" if direction == -1 else f"{name} ({direction})"
        for name, direction in index["key"].items()
    ]
    kind = "primary" if list(index["key"]) == ["_id"] else "unique" if index.get("unique") else "index"
    return Key(kind, index["name"], columns)
