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
from offloop_server.io.sql.driver import Dialect, Driver, Query
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

    async def answer(self, arguments: QueryArguments, caller: Caller, dialect: Dialect | None = None) -> QueryAnswer:
        """Run a query and return its rows, or save them as an artifact.

        Raises:
            OffloopError: the query was refused or failed.
        """
        begun = time.monotonic()
        driver = self.databases.driver(arguments.connection, dialect)
        deadline = self.databases.deadline(arguments.timeout_seconds)
        rows = Rows(
            arguments.max_rows,
            arguments.max_bytes or (SAVED_BYTES if arguments.save else _DEFAULT_BYTES),
            None if arguments.save else MAX_CELL,
        )
        await driver.run(_query(driver, arguments), rows, deadline)
        kept = await self._keep(rows, arguments.format or "csv", caller) if arguments.save else None
        text = await _text(rows, arguments.format) if arguments.format and not arguments.save else None
        return QueryAnswer(
            connection=arguments.connection or self.databases.names(dialect)[0],
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


def _query(driver: Driver, arguments: QueryArguments) -> Query:
    if arguments.table is None:
        return Query(arguments.sql or "", arguments.parameters, arguments.explain)
    return select(
        driver,
        arguments.table,
        schema=arguments.schema_name,
        columns=arguments.columns,
        where=arguments.where,
        order_by=arguments.order_by,
        explain=arguments.explain,
    )


async def _text(rows: Rows, form: Format) -> str:
    text = await asyncio.to_thread(exported, rows, form)
    if len(text) > _MAX_TEXT:
        message = f"As {form}, the rows have {len(text)} characters: ask for fewer rows or columns, or use save=true."
        raise LimitExceeded(message)
    return text
