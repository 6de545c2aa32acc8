"""What the HTTP tools answer."""

from __future__ import annotations

from typing import Any, Final, Literal

from mcp_types import CallToolResult, ContentBlock, ResourceLink, TextContent
from pydantic import Field

from offloop.errors import OffloopError
from offloop.kinds.kind import Model
from offloop_server.io.http.client import Answered
from offloop_server.io.http.pages import Page
from offloop_server.toolkit.answers import ArtifactAnswer

_SHOWN: Final = 2000
"""Characters of a refusal's or failure's text."""


class Timings(Model):
    """Where the time went."""

    total_ms: int = Field(description="All attempts and the pauses between them.")
    waited_ms: int = Field(description="Before that: waiting for a place among the requests of all callers.")
    attempts: int


class HttpError(Model):
    """Why there is no good answer."""

    code: str
    message: str
    retryable: bool


class HttpAnswer(Model):
    """The answer of a host; for a failure, as much of it as there was."""

    url: str = Field(description="As it was asked for.")
    ok: bool = Field(description="Whether the status is below 400.")
    status: int | None = Field(description="null where no answer came.")
    final_url: str | None = Field(description="After redirects.")
    redirects: list[str] = Field(description="The URLs that led to another.")
    mime_type: str | None
    size: int | None = Field(description="Bytes, unpacked.")
    sha256: str | None = Field(description="Of the unpacked body.")
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


def described(url: str, answered: Answered, page: Page | None, made: ArtifactAnswer | None = None) -> HttpAnswer:
    """The structured shape of an answer."""
    fetched = answered.fetched
    failure = answered.failure() if answered.failed else None
    return HttpAnswer(
        url=url,
        ok=not answered.failed,
        status=fetched.status,
        final_url=fetched.url,
        redirects=list(fetched.redirects),
        mime_type=fetched.mime_type,
        size=fetched.size,
        sha256=fetched.sha256,
        headers=fetched.headers,
        form=page.form if page else None,  # type: ignore[arg-type]  # a Page has only these forms
        data=page.data if page else None,
        content=page.text if page and page.form != "binary" and page.data is None else None,
        length=page.length if page else None,
        next_offset=page.next_offset if page else None,
        artifact=made,
        notes=list(page.notes) if page else [],
        timings=Timings(
            total_ms=round(answered.seconds * 1000),
            waited_ms=round(answered.waited * 1000),
            attempts=answered.attempts,
        ),
        error=HttpError(**failure.to_wire()) if failure else None,
    )


def failed(url: str, error: OffloopError) -> HttpAnswer:
    """The structured shape of no answer."""
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
    """One answer as the result of a tool call: first a line about it, then what the host said."""
    content: list[ContentBlock] = [TextContent(text=line(one))]
    if page and page.text:
        content.append(TextContent(text=page.text if one.ok else page.text[:_SHOWN]))
    if made := one.artifact:
        content.append(ResourceLink(name=made.name, uri=made.download_url, mime_type=made.mime_type, size=made.size))
    return CallToolResult(content=content, structured_content=one.model_dump(mode="json"), is_error=not one.ok)


def results(bulk: BulkAnswer) -> CallToolResult:
    """Several answers as one result: a line each, with the beginning of what each host said."""
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
    parts = [f"HTTP {one.status} from {one.final_url}: {one.mime_type}, {one.size} bytes."]
    if one.next_offset:
        parts.append(f"There is more: call again with offset={one.next_offset}.")
    if made := one.artifact:
        parts.append(f"Kept as artifact:{made.artifact_id} until {made.expires_at}.")
    return " ".join([*parts, *one.notes])
