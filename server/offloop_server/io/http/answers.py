"""Answers of the HTTP tools."""

from __future__ import annotations

from typing import Any, Final, Literal

from mcp_types import CallToolResult, ContentBlock, ResourceLink, TextContent
from pydantic import Field

from offloop.errors import FetchFailed, OffloopError
from offloop.kinds.kind import Model
from offloop.outbound.fetch import OutboundResponse
from offloop.outbound.outcome import HEAD_ASKED, NOT_MODIFIED
from offloop_server.io.http.pages import Page
from offloop_server.toolkit.answers import ArtifactAnswer

_SHOWN: Final = 2000
"""Characters of a refusal's or failure's text."""


class Timings(Model):
    """Time spent and waited."""

    total_ms: int = Field(description="All attempts and the pauses between them.")
    waited_ms: int = Field(description="Before that: waiting because the limit of concurrent requests was reached.")
    attempts: int


class HttpError(Model):
    """Reason of a failure."""

    code: str
    message: str
    retryable: bool


class HttpAnswer(Model):
    """The answer of a host; for a failure, as much of it as there was."""

    url: str = Field(description="As it was asked for.")
    ok: bool = Field(description="2xx, or a 304 that was asked for.")
    status: int | None = Field(description="null where no answer came.")
    final_url: str | None = Field(description="After redirects.")
    redirects: list[str] = Field(description="The URLs that led to another.")
    mime_type: str | None
    size: int | None = Field(description="Bytes, unpacked; null for HEAD and 304.")
    sha256: str | None = Field(description="Of the unpacked body; null as size.")
    headers: dict[str, str]
    form: Literal["json", "markdown", "text", "binary"] | None = Field(description="What content is.")
    data: Any = Field(None, description="Parsed JSON.")
    content: str | None = Field(description="The text, or this part of it; null for parsed JSON and for binaries.")
    length: int | None = Field(description="Characters of the whole text.")
    next_offset: int | None = Field(description="Pass it as offset to read on; null at the end.")
    artifact: ArtifactAnswer | None = Field(description="The body as a file, where it was saved.")
    notes: list[str]
    timings: Timings | None
    error: HttpError | None


class BulkAnswer(Model):
    """Several answers."""

    results: list[HttpAnswer] = Field(description="One for each URL, in the order of the URLs.")
    total: int
    succeeded: int
    total_ms: int


def described(
    url: str,
    response: OutboundResponse,
    page: Page | None,
    saved: ArtifactAnswer | None = None,
    error: FetchFailed | None = None,
) -> HttpAnswer:
    """The structured shape of a response.

    Args:
        url: the requested URL.
        response: the response.
        page: its body, if it was read.
        saved: its body, if it was saved as an artifact.
        error: why it is not what was asked for, if its status alone does not say so.
    """
    error = response.refusal() if response.failed else error
    has_body = response.no_file != HEAD_ASKED and response.status != NOT_MODIFIED
    return HttpAnswer(
        url=url,
        ok=error is None,
        status=response.status,
        final_url=response.url,
        redirects=list(response.redirects),
        mime_type=response.mime_type,
        size=response.size if has_body else None,
        sha256=response.sha256 if has_body else None,
        headers=response.headers,
        form=page.form if page else None,  # type: ignore[arg-type]  # a Page has only these forms
        data=page.data if page else None,
        content=page.text if page and page.form != "binary" and page.data is None else None,
        length=page.length if page else None,
        next_offset=page.next_offset if page else None,
        artifact=saved,
        notes=[*response.changes, *(page.notes if page else ()), *_content(response, page, saved)],
        timings=Timings(
            total_ms=round(response.seconds * 1000),
            waited_ms=round(response.waited * 1000),
            attempts=response.attempts,
        ),
        error=HttpError(**error.to_wire()) if error else None,
    )


def _content(response: OutboundResponse, page: Page | None, saved: ArtifactAnswer | None) -> list[str]:
    """A note about a success that has no content, or not the one that was asked for."""
    if response.failed or response.no_file == HEAD_ASKED:
        return []
    if response.no_file:
        return [f"This is not the file: {response.no_file}." if page else f"There is no file: {response.no_file}."]
    if response.size:
        return []
    return ["The file is empty." if saved else "The body is empty."]


def failed(url: str, error: OffloopError) -> HttpAnswer:
    """The structured shape of no response."""
    return HttpAnswer(
        url=url,
        ok=False,
        status=None,
        final_url=None,
        redirects=[],
        mime_type=None,
        size=None,
        sha256=None,
        headers={},
        form=None,
        data=None,
        content=None,
        length=None,
        next_offset=None,
        artifact=None,
        notes=[],
        timings=None,
        error=HttpError(**error.to_wire()),
    )


def result(one: HttpAnswer, page: Page | None) -> CallToolResult:
    """One answer as the result of a tool call: first a line about it, then the body."""
    content: list[ContentBlock] = [TextContent(text=line(one))]
    if page and page.text:
        content.append(TextContent(text=page.text if one.ok else page.text[:_SHOWN]))
    if file := one.artifact:
        content.append(ResourceLink(name=file.name, uri=file.download_url, mime_type=file.mime_type, size=file.size))
    return CallToolResult(content=content, structured_content=one.model_dump(mode="json"), is_error=not one.ok)


def results(bulk: BulkAnswer) -> CallToolResult:
    """Several answers as one result, a line each; an error has the beginning of its body."""
    lines = [f"{bulk.succeeded} of {bulk.total} succeeded in {bulk.total_ms} ms."]
    lines += [f"{number}. {line(one)}" for number, one in enumerate(bulk.results, 1)]
    return CallToolResult(
        content=[TextContent(text="\n".join(lines))],
        structured_content=bulk.model_dump(mode="json"),
        is_error=not bulk.succeeded,
    )


def line(one: HttpAnswer) -> str:
    """One answer in a line."""
    if one.error:
        return one.error.message if one.status else f"{one.url[:200]}: {one.error.message}"
    size = "" if one.size is None else f", {one.size} bytes"
    parts = [f"HTTP {one.status} from {one.final_url}: {one.mime_type}{size}."]
    if one.next_offset:
        parts.append(f"There is more: call again with offset={one.next_offset}.")
    if file := one.artifact:
        parts.append(f"Kept as artifact:{file.artifact_id} until {file.expires_at}.")
    return " ".join([*parts, *one.notes])
