"""gather_sources tool: several fetches and queries run concurrently; data and errors by source name."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
from mcp_types import CallToolResult, TextContent

from offloop import logs
from offloop.errors import FetchFailed, OffloopError
from offloop.outbound.redirects import OutboundRequest
from offloop_server.io.databases import Databases
from offloop_server.io.gather.answers import (
    AnySource,
    DocumentSource,
    FetchSource,
    GatherAnswer,
    GatherArguments,
    KeySource,
    SqlSource,
)
from offloop_server.io.http.answers import HttpAnswer
from offloop_server.io.http.client import Fetcher
from offloop_server.io.http.request import HttpRequests, Rendering
from offloop_server.io.http.retries import RetryPolicy
from offloop_server.io.mongodb.answers import DocumentsArguments
from offloop_server.io.mongodb.tools import DocumentReads
from offloop_server.io.redis.tools import KeyReads
from offloop_server.io.results.answers import QueryAnswer, ResultArguments
from offloop_server.io.sql.answers import QueryArguments
from offloop_server.io.sql.queries import Queries
from offloop_server.toolkit.arguments import validate
from offloop_server.toolkit.light_tool import LightTool
from offloop_server.toolkit.services import AnyTool, Caller, Services

_MAX_TEXT = 8000
"""Maximum characters of the answer's text; the structured content is complete."""

_PARTS = {"columns", "rows", "truncated", "warnings"}
"""Parts of an answer that are passed on."""

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Readers:
    """Readers of the configured sources."""

    queries: Queries
    documents: DocumentReads
    keys: KeyReads


class _SourceFailed(Exception):  # noqa: N818 -- named like the errors of offloop.errors
    """One source failed, with `all_or_nothing`."""


class GatherSources(LightTool[GatherArguments]):
    """Concurrent fetches and queries; the call takes as long as the slowest source."""

    name = "gather_sources"
    description = (
        "Fetch several URLs and query several databases or stores concurrently, under names of yours; answers data of "
        "those that succeeded and why others did not. Takes as long as the slowest."
    )
    arguments = GatherArguments
    answers = GatherAnswer
    family = "gather"
    open_world = True

    def __init__(self, services: Services, fetcher: Fetcher, readers: Readers) -> None:
        super().__init__(services)
        self._requests = HttpRequests(fetcher, services.store)
        self._readers = readers

    async def do(self, value: GatherArguments, caller: Caller) -> CallToolResult:
        begun = time.monotonic()

        async def one(source: AnySource) -> Any:
            if isinstance(source, FetchSource):
                return await self._fetched(source, caller)
            answer = await self._read(source, value.deadline_seconds, caller)
            return answer.model_dump(mode="json", include=_PARTS)

        data, errors = await gather(
            {name: partial(one, source) for name, source in value.sources.items()},
            seconds=value.deadline_seconds,
            all_or_nothing=value.all_or_nothing,
        )
        answer = GatherAnswer(
            data=data,
            errors=errors,
            total=len(value.sources),
            succeeded=len(data),
            elapsed_ms=round((time.monotonic() - begun) * 1000),
        )
        return CallToolResult(
            content=[TextContent(text=_text(answer))],
            structured_content=answer.model_dump(mode="json"),
            is_error=not data,
        )

    async def _fetched(self, source: FetchSource, caller: Caller) -> Any:
        request = OutboundRequest(source.get, headers=source.headers)
        rendering = Rendering(source.extract, 0, source.max_chars, save=False)
        answer, _ = await self._requests.send(request, RetryPolicy(), rendering, caller)
        if answer.error:
            raise FetchFailed(answer.error.message)
        content = answer.content if answer.data is None else answer.data
        warnings = [*answer.notes, *([_cut(answer, source)] if answer.next_offset else [])]
        return {"status": answer.status, "url": answer.final_url, "content": content, "warnings": warnings}

    async def _read(
        self, source: SqlSource | DocumentSource | KeySource, seconds: float, caller: Caller
    ) -> QueryAnswer:
        caps = {"connection": source.connection, "max_rows": source.max_rows, "timeout_seconds": seconds}
        if isinstance(source, SqlSource):
            given = {"sql": source.query, "parameters": source.parameters, **caps}
            return await self._readers.queries.answer(validate("The query", QueryArguments, given), caller)
        if isinstance(source, DocumentSource):
            parts = source.model_dump(include={"collection", "filter", "projection", "sort", "pipeline"})
            return await self._readers.documents.answer(validate("The query", DocumentsArguments, parts | caps), caller)
        options = validate("The command", ResultArguments, caps)
        return await self._readers.keys.answer(source.command, source.arguments, options, caller)


async def gather(
    sources: Mapping[str, Callable[[], Awaitable[Any]]], *, seconds: float, all_or_nothing: bool
) -> tuple[dict[str, Any], dict[str, str]]:
    """Await all sources concurrently; returns data and errors by name, in the order of the sources.

    Args:
        sources: the calls to await, by name.
        seconds: deadline of all of them.
        all_or_nothing: the first failure cancels the rest, and no data is returned.
    """
    data: dict[str, Any] = {}
    errors: dict[str, str] = {}

    async def ask(name: str, source: Callable[[], Awaitable[Any]]) -> None:
        try:
            async with asyncio.timeout(seconds):
                data[name] = await source()
        except Exception as error:  # noqa: BLE001 -- no failure of one source may fail the others
            errors[name] = _message(name, error, seconds)
            if all_or_nothing:
                raise _SourceFailed(name) from None

    first: str | None = None
    try:
        # Not asyncio.TaskGroup: a failure while it waits leaves this task's `cancelling()` above 0, which breaks later
        # code in the task, such as the next timeout before Python 3.11.3.
        async with anyio.create_task_group() as group:
            for name, source in sources.items():
                group.start_soon(ask, name, source, name=f"source {name}")
    except* _SourceFailed as failed:
        first = next(iter(errors), str(failed))
    if first is not None:
        return {}, {name: errors.get(name, f"Stopped, because {first} failed.") for name in sources}
    return {name: data[name] for name in sources if name in data}, {n: errors[n] for n in sources if n in errors}


def gather_tools(services: Services, fetcher: Fetcher, databases: Databases, readers: Readers) -> list[AnyTool]:
    """The tool; none if neither fetching nor a database is configured."""
    if not (fetcher.policy.enabled or databases.configured):
        return []
    return [GatherSources(services, fetcher, readers)]


def _cut(answer: HttpAnswer, source: FetchSource) -> str:
    return f"Only {source.max_chars} of {answer.length} characters are here: raise max_chars, or use http_get."


def _message(name: str, error: Exception, seconds: float) -> str:
    if isinstance(error, OffloopError):
        return error.message
    if isinstance(error, TimeoutError):
        return f"It was not done within the {seconds:g} s for all; allow more, or ask for less."
    log.error("source failed", source=name, exc_info=error)
    return "It failed inside the server; the operator's log has the reason."


def _text(answer: GatherAnswer) -> str:
    lines = [f"{answer.succeeded} of {answer.total} sources succeeded in {answer.elapsed_ms} ms."]
    lines += [f"{name} failed: {message}" for name, message in answer.errors.items()]
    lines += [f"{name}: {found}" for name, found in answer.data.items()]
    text = "\n".join(lines)
    more = len(text) - _MAX_TEXT
    return text if more <= 0 else f"{text[:_MAX_TEXT]}… ({more} more characters; the structured content has all)"
