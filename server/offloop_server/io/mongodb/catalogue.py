"""Collections of a database, and the fields of one as a sample of its documents shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from offloop_server.io.catalogue import MAX_TABLES, Column, Key, Shape, Table, no_table
from offloop_server.io.mongodb.extended_json import type_name

_SAMPLE: Final = 100
"""Documents that are looked at."""
_MAX_FIELDS: Final = 300
_MAX_DEPTH: Final = 3
"""Levels of fields within fields."""

Database = AsyncDatabase[dict[str, Any]]


async def collections(database: Database, limit_ms: int) -> list[Table]:
    """The readable collections and views, sorted."""
    found = await database.list_collections(
        filter={"name": {"$not": {"$regex": "^system\\."}}},
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

    Raises:
        BadInput: there is no such collection.
    """
    known = await collections(database, limit_ms) if schema in (None, database.name) else []
    table = next((table for table in known if table.name == name), None)
    if table is None:
        raise no_table(name)
    cursor = await database[name].aggregate(
        [{"$sample": {"size": _SAMPLE}}], maxTimeMS=limit_ms, allowDiskUse=False, batchSize=_SAMPLE
    )
    fields = _Fields()
    async for document in cursor:
        fields.add(document)
    count = await database[name].estimated_document_count(maxTimeMS=limit_ms) if table.kind == "collection" else None
    return Shape(Table(table.schema, name, table.kind, count), fields.columns(), await _indexes(database, name))


class _Fields:
    """Fields of a sample, with the types and the number of documents of each."""

    def __init__(self) -> None:
        self._documents = 0
        self._types: dict[str, set[str]] = {}
        self._present: dict[str, int] = {}

    def add(self, document: Mapping[str, Any]) -> None:
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

    def _add(self, document: Mapping[str, Any], prefix: str, depth: int) -> None:
        for key, value in document.items():
            name = f"{prefix}{key}"
            if name not in self._types and len(self._types) == _MAX_FIELDS:
                return
            types = self._types.setdefault(name, set())
            kind = type_name(value)
            self._present[name] = self._present.get(name, 0) + (kind is not None)
            types.update({kind} if kind else ())
            if isinstance(value, dict) and depth < _MAX_DEPTH:
                self._add(value, f"{name}.", depth + 1)


async def _indexes(database: Database, name: str) -> list[Key]:
    try:
        cursor = await database[name].list_indexes()
        return [_key(index) async for index in cursor]
    except OperationFailure:  # of a view, or not allowed to this user
        return []


def _key(index: Mapping[str, Any]) -> Key:
    columns = [
        name if direction == 1 else f"-{name}" if direction == -1 else f"{name} ({direction})"
        for name, direction in index["key"].items()
    ]
    kind = "primary" if list(index["key"]) == ["_id"] else "unique" if index.get("unique") else "index"
    return Key(kind, index["name"], columns)
