"""One read of a source for a caller: its rows in the answer, as a text, or in a saved file."""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from mcp_types import CallToolResult, ContentBlock, ResourceLink, TextContent

from offloop.artifacts.store import Artifact
from offloop.errors import LimitExceeded
from offloop_server.io.deadline import Deadline
from offloop_server.io.results.answers import INLINE_BYTES, SAVED_BYTES, ColumnAnswer, QueryAnswer, ResultArguments
from offloop_server.io.results.export import MIME, SUFFIX, Format, exported
from offloop_server.io.results.rows import Rows
from offloop_server.io.results.values import CELL_BYTES
from offloop_server.toolkit.answers import artifact_answer, warnings_text

if TYPE_CHECKING:
    from offloop.artifacts.store import ArtifactStore
    from offloop_server.toolkit.services import Caller

MAX_CELL: Final = 16_384
"""Maximum characters of a value in an answer; a saved file has no such limit."""
_DEFAULT_BYTES: Final = 65_536
_MAX_TEXT: Final = 4 * INLINE_BYTES
_MAX_TABLE: Final = INLINE_BYTES // CELL_BYTES
"""Maximum cells of a table made on the event loop: only documents, which leave many cells empty, can have more."""

Read = Callable[[Rows, Deadline], Awaitable[None]]
"""Adds rows until the end or a cap, within the deadline."""


class Reads:
    """Answers the reads of callers.

    Args:
        store: store of saved results.
        max_seconds: time limit of every read.
    """

    def __init__(self, store: ArtifactStore, max_seconds: float) -> None:
        self._store = store
        self._seconds = max_seconds

    def deadline(self, seconds: float | None = None) -> Deadline:
        """The deadline of a read: `seconds` from now, capped by the settings."""
        return Deadline(min(seconds or self._seconds, self._seconds))

    async def answer(
        self,
        arguments: ResultArguments,
        caller: Caller,
        connection: str,
        read: Read,
        collect: Callable[[int, int, int | None], Rows] = Rows,
    ) -> QueryAnswer:
        """Read, and return the rows, or save them as an artifact.

        Args:
            arguments: caps and form of the rows.
            caller: owner of a saved file.
            connection: its name.
            read: the read.
            collect: makes the collector of the rows.

        Raises:
            OffloopError: the read was refused or failed.
        """
        begun = time.monotonic()
        deadline = self.deadline(arguments.timeout_seconds)
        rows = collect(
            arguments.max_rows,
            arguments.max_bytes or (SAVED_BYTES if arguments.save else _DEFAULT_BYTES),
            None if arguments.save else MAX_CELL,
        )
        await read(rows, deadline)
        kept = await self._keep(rows, arguments.format or "csv", caller) if arguments.save else None
        text = await _text(rows, arguments.format) if arguments.format and not arguments.save else None
        return QueryAnswer(
            connection=connection,
            columns=[ColumnAnswer(name=name, type=kind) for name, kind in zip(rows.columns, rows.types, strict=True)],
            rows=rows.objects() if text is None and kept is None else None,
            row_count=rows.count,
            truncated=rows.truncated_by is not None,
            truncated_by=rows.truncated_by,
            cut_values=rows.cut,
            warnings=rows.warnings,
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


def result(answer: QueryAnswer) -> CallToolResult:
    """The answer as a tool gives it: a summary, then the rows as a table, the requested text, or a link to the file."""
    content: list[ContentBlock] = [TextContent(text=summary(answer))]
    if file := answer.artifact:
        content.append(ResourceLink(name=file.name, uri=file.download_url, mime_type=file.mime_type, size=file.size))
    else:
        content.append(TextContent(text=answer.text or _table_text(answer)))
    return CallToolResult(content=content, structured_content=answer.model_dump(mode="json"))


def summary(answer: QueryAnswer) -> str:
    """One line about a query: number of rows, truncation, and the saved file."""
    plural = "s" * (answer.row_count != 1)
    parts = [f"{answer.row_count} row{plural} from {answer.connection} in {answer.elapsed_ms} ms."]
    if answer.truncated and not answer.row_count:
        parts.append("The first row alone is larger than max_bytes. Select a part of it, or use save=true.")
    elif answer.truncated:
        parts.append(f"There are more: max_{answer.truncated_by} was reached. Filter, aggregate, or use save=true.")
    if answer.warnings:
        parts.append(f"Warnings: {warnings_text(answer.warnings)}")
    if file := answer.artifact:
        parts.append(f"Kept as {file.name} ({file.size} bytes): artifact:{file.artifact_id} until {file.expires_at}.")
    return " ".join(parts)


async def _text(rows: Rows, form: Format) -> str:
    text = await asyncio.to_thread(exported, rows, form)
    if len(text) > _MAX_TEXT:
        message = f"As {form}, the rows have {len(text)} characters: ask for fewer rows or columns, or use save=true."
        raise LimitExceeded(message)
    return text


def _table_text(answer: QueryAnswer) -> str:
    """The rows as a Markdown table, or as JSON lines where it would be mostly empty: many hosts give only the text."""
    found = answer.rows or []
    wide = len(answer.columns) * len(found) > _MAX_TABLE
    text = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in found) if wide else _markdown(answer)
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}… ({len(text) - _MAX_TEXT} more characters)"


def _markdown(answer: QueryAnswer) -> str:
    rows = Rows(answer.row_count, 0)
    rows.columns = [column.name for column in answer.columns]
    rows.rows = [[row.get(name) for name in rows.columns] for row in answer.rows or []]
    return exported(rows, "markdown")
