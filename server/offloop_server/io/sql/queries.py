"""Execution of a caller's query, from the arguments to the answer or the saved file."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from offloop.artifacts.store import Artifact
from offloop.errors import LimitExceeded
from offloop_server.io.sql.answers import (
    INLINE_BYTES,
    SAVED_BYTES,
    ColumnAnswer,
    QueryAnswer,
    QueryArguments,
)
from offloop_server.io.sql.driver import Driver, Query, Sort
from offloop_server.io.sql.export import MIME, SUFFIX, Format, exported
from offloop_server.io.sql.rows import Rows
from offloop_server.io.sql.select import select
from offloop_server.toolkit.answers import artifact_answer

if TYPE_CHECKING:
    from offloop.artifacts.store import ArtifactStore
    from offloop_server.io.sql.databases import Databases
    from offloop_server.toolkit.services import Caller

MAX_CELL: Final = 16_384
"""Maximum characters of a value in an answer; a saved file has no such limit."""
_DEFAULT_BYTES: Final = 65_536
_MAX_TEXT: Final = 4 * INLINE_BYTES


class Queries:
    """Runs the queries of callers.

    Args:
        databases: the connections.
        store: store of saved results.
    """

    def __init__(self, databases: Databases, store: ArtifactStore) -> None:
        self.databases = databases
        self._store = store

    async def answer(self, asked: QueryArguments, caller: Caller, sort: Sort | None = None) -> QueryAnswer:
        """Run a query and return its rows, or save them as an artifact.

        Raises:
            OffloopError: the query was refused or failed.
        """
        begun = time.monotonic()
        driver = self.databases.driver(asked.connection, sort)
        deadline = self.databases.deadline(asked.timeout_seconds)
        rows = Rows(
            asked.max_rows,
            asked.max_bytes or (SAVED_BYTES if asked.save else _DEFAULT_BYTES),
            None if asked.save else MAX_CELL,
        )
        await driver.run(_query(driver, asked), rows, deadline)
        kept = await self._keep(rows, asked.format or "csv", caller) if asked.save else None
        text = await _text(rows, asked.format) if asked.format and not asked.save else None
        return QueryAnswer(
            connection=asked.connection or self.databases.names(sort)[0],
            columns=[ColumnAnswer(name=name, type=kind) for name, kind in zip(rows.columns, rows.types, strict=True)],
            rows=rows.objects() if text is None and kept is None else None,
            row_count=len(rows.rows),
            truncated=rows.truncated_by is not None,
            truncated_by=rows.truncated_by,
            cut_values=rows.cut,
            text=text,
            artifact=artifact_answer(kept, caller.links) if kept else None,
            elapsed_ms=round((time.monotonic() - begun) * 1000),
        )

    async def _keep(self, rows: Rows, form: Format, caller: Caller) -> Artifact:
        def write(file: BinaryIO) -> str:
            with file:
                data = exported(rows, form).encode()
                file.write(data)
            return hashlib.sha256(data).hexdigest()

        # The file is created and removed here, not in the thread: a cancelled call must leave no file.
        with tempfile.TemporaryDirectory(prefix="offloop-query-") as folder:
            path = Path(folder) / "rows"
            digest = await asyncio.to_thread(write, path.open("xb"))
            return await self._store.put(
                path, principal=caller.principal, name=f"query{SUFFIX[form]}", mime_type=MIME[form], digest=digest
            )


def _query(driver: Driver, asked: QueryArguments) -> Query:
    if asked.table is None:
        return Query(asked.sql or "", asked.parameters, asked.explain)
    return select(
        driver,
        asked.table,
        schema=asked.schema_name,
        columns=asked.columns,
        where=asked.where,
        order_by=asked.order_by,
        explain=asked.explain,
    )


async def _text(rows: Rows, form: Format) -> str:
    text = await asyncio.to_thread(exported, rows, form)
    if len(text) > _MAX_TEXT:
        message = f"As {form}, the rows have {len(text)} characters: ask for fewer rows or columns, or use save=true."
        raise LimitExceeded(message)
    return text
