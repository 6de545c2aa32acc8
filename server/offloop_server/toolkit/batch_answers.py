"""Answers about batches: the shape of every job, with a page of items as its output at any time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mcp_types import CallToolResult
from pydantic import Field

from offloop.artifacts.store import Artifact
from offloop.kinds.kind import Model
from offloop.queue import batches
from offloop.queue.record import Done, Failed, State
from offloop.redis.paging import decode_cursor, encode_cursor
from offloop_server.toolkit.answers import (
    ArtifactAnswer,
    ErrorAnswer,
    JobAnswer,
    artifact_answer,
    describe,
    next_step,
    text_result,
    warnings_text,
)

if TYPE_CHECKING:
    from offloop.artifacts.links import Links
    from offloop.queue.batches import BatchPage, Item
    from offloop.queue.record import Record
    from offloop.redis import RedisClient

_MAX_NAMED: Final = 10
"""Failures, files and warnings that the text names; all are in the structure."""
_MAX_ERROR: Final = 500
"""Characters of one failure in the text."""


class BatchItem(Model):
    """The outcome of one item."""

    index: int = Field(description="Its position in items, from 0.")
    job_id: str = Field(description="The job of this item; equal items may share one.")
    state: State
    output: dict[str, Any] | None
    artifacts: list[ArtifactAnswer]
    warnings: list[str]
    error: ErrorAnswer | None
    omitted: bool = Field(description="It has ended, and its result is too large for this answer: job_status shows it.")


class BatchFailure(Model):
    """An item that failed."""

    index: int
    job_id: str
    error: ErrorAnswer | None


class BatchOutput(Model):
    """Progress of a batch, and a page of its items."""

    total: int
    succeeded: int
    failed: int
    cancelled: int
    items: list[BatchItem] = Field(description=f"In their order, at most {batches.PAGE} in one answer.")
    failures: list[BatchFailure] = Field(description=f"The first {batches.MAX_FAILURES} items that failed.")
    cursor: str | None = Field(description="Pass it to job_status for the next items; null at the end.")


async def batch_answer(
    record: Record, redis: RedisClient, links: Links, *, notes: tuple[str, ...] = (), cursor: str | None = None
) -> CallToolResult:
    """A batch as the result of a tool call.

    Args:
        record: the batch.
        redis: holds its items.
        links: makes download URLs.
        notes: sentences to add to the text.
        cursor: the cursor of an earlier answer.

    Raises:
        BadInput: the cursor is invalid.
        Unavailable: Redis does not answer.
    """
    start = decode_cursor(cursor, "job_status", first="first item")
    page = await batches.read(redis, record.job_id, start=start)
    job = describe(record, links)
    lines = [next_step(job)]
    if page:
        output = _output(page, links)
        job = job.model_copy(update={"output": output.model_dump(mode="json")})
        lines = [_summary(job, page), *_failures(output), *_files(output), *_warnings(output), *_more(job, output)]
    return text_result("\n".join([*lines, *notes]), job, is_error=record.state is State.FAILED)


def _output(page: BatchPage, links: Links) -> BatchOutput:
    return BatchOutput(
        total=page.total,
        succeeded=page.succeeded,
        failed=page.failed,
        cancelled=page.cancelled,
        items=[_item(item, links) for item in page.items],
        failures=[BatchFailure(index=item.index, job_id=item.job_id, error=_error(item)) for item in page.failures],
        cursor=None if page.after is None else encode_cursor(page.after),
    )


def _item(item: Item, links: Links) -> BatchItem:
    done = item.outcome if isinstance(item.outcome, Done) else None
    return BatchItem(
        index=item.index,
        job_id=item.job_id,
        state=item.state,
        output=done.output if done else None,
        artifacts=[artifact_answer(Artifact(**fields), links) for fields in (done.artifacts if done else ())],
        warnings=list(done.warnings) if done else [],
        error=_error(item),
        omitted=item.omitted,
    )


def _error(item: Item) -> ErrorAnswer | None:
    return ErrorAnswer(**item.outcome.error.to_wire()) if isinstance(item.outcome, Failed) else None


def _summary(job: JobAnswer[Any], page: BatchPage) -> str:
    counts = f"{page.succeeded} of {page.total} items succeeded, {page.failed} failed"
    counts += f", {page.cancelled} were cancelled" if page.cancelled else ""
    name = f"{job.kind} {job.job_id}"
    match job.state:
        case State.COMPLETED:
            return f"{name} is completed: {counts}."
        case State.CANCELLED:
            return f"{name} was cancelled: {counts}."
        case State.FAILED:
            return f"{next_step(job)} {counts}."
    return (
        f"{name} is running: so far {counts}. It goes on in the background and nothing is lost. "
        f'Call job_status(job_id="{job.job_id}", wait_seconds=20) to wait for its end, or cancel_job to stop all of it.'
    )


def _failures(output: BatchOutput) -> list[str]:
    lines = [
        f"Item {one.index} failed: {one.error.message[:_MAX_ERROR] if one.error else 'job_status tells why'}"
        for one in output.failures[:_MAX_NAMED]
    ]
    if output.failed and output.succeeded:
        lines.append("To repeat those that failed, correct them and send them as a new batch.")
    return lines


def _files(output: BatchOutput) -> list[str]:
    files = [(item.index, file) for item in output.items for file in item.artifacts]
    lines = [
        f"Item {index}: {file.name} ({file.mime_type}, {file.size} bytes): pass it on as artifact:{file.artifact_id} "
        f"or download {file.download_url}"
        for index, file in files[:_MAX_NAMED]
    ]
    return [*lines, "The other files are in the structured items."] if len(files) > _MAX_NAMED else lines


def _warnings(output: BatchOutput) -> list[str]:
    warned = [item for item in output.items if item.warnings]
    lines = [f"Item {item.index} has warnings: {warnings_text(item.warnings)}" for item in warned[:_MAX_NAMED]]
    more = len(warned) - _MAX_NAMED
    return [*lines, f"So have {more} more: see warnings of the structured items."] if more > 0 else lines


def _more(job: JobAnswer[Any], output: BatchOutput) -> list[str]:
    if output.cursor is None:
        return []
    return [f'There are more items: call job_status(job_id="{job.job_id}", cursor="{output.cursor}").']
