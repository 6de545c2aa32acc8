"""Answers about jobs: one structured shape for all job tools, and a text that names the next step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final, Generic, TypeVar

from mcp_types import CallToolResult, ContentBlock, ResourceLink, TextContent
from pydantic import Field

from offloop.artifacts.links import Links
from offloop.artifacts.store import Artifact
from offloop.kinds.kind import Model
from offloop.queue.record import Done, Failed, Record, State
from offloop.redis.codec import timestamp

OutputT = TypeVar("OutputT")

POLL_MS: Final = 2000
"""Interval for clients that cannot long-poll."""
_MAX_OUTPUT: Final = 1000
"""Characters of an output in the text: hosts cut long texts, and the structure has all of it."""
_MAX_WARNINGS: Final = 5
"""Warnings in the text."""


class ProgressAnswer(Model):
    """Progress of a job."""

    done: float
    total: float | None
    message: str


class ArtifactAnswer(Model):
    """A file that the job made."""

    artifact_id: str = Field(description="Pass it on to other tools as artifact:<artifact_id>.")
    name: str
    mime_type: str
    size: int = Field(description="Bytes.")
    sha256: str
    download_url: str = Field(description="GET it; valid for 15 minutes, job_status gives a new one.")
    expires_at: str


class ErrorAnswer(Model):
    """The error of a failed job."""

    code: str
    message: str
    retryable: bool = Field(description="Whether the same call may succeed later.")


class JobAnswer(Model, Generic[OutputT]):
    """The current state of a job."""

    job_id: str
    kind: str
    state: State
    attempt: int = Field(description="Number of the current or last execution; 0 before the first.")
    progress: ProgressAnswer | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    expires_at: str = Field(description="The job can be read at least until then.")
    poll_after_ms: int | None = Field(description="When to poll again; null once the job has ended.")
    output: OutputT | None = Field(description="The result of a completed job.")
    artifacts: list[ArtifactAnswer]
    warnings: list[str]
    error: ErrorAnswer | None


_AnyJobAnswer = JobAnswer[dict[str, Any]]  # parametrised once: pydantic looks it up on each subscription


class JobsAnswer(Model):
    """Several jobs."""

    jobs: list[_AnyJobAnswer]
    cursor: str | None = Field(description="Pass it to list_jobs to go on; null at the end.")


def answer(
    record: Record, links: Links, *, notes: tuple[str, ...] = (), inlined: Sequence[ContentBlock] = ()
) -> CallToolResult:
    """A job as the result of a tool call; ``isError`` if it failed.

    Args:
        record: the job.
        links: makes download URLs.
        notes: sentences to add to the text, such as that no worker is running.
        inlined: the job's small files, as blocks of the answer.
    """
    job = describe(record, links)
    content: list[ContentBlock] = [TextContent(text="\n".join([next_step(job), *notes]))]
    content += [
        ResourceLink(name=file.name, uri=file.download_url, mime_type=file.mime_type, size=file.size)
        for file in job.artifacts
    ]
    return CallToolResult(
        content=[*content, *inlined],
        structured_content=job.model_dump(mode="json"),
        is_error=record.state is State.FAILED,
    )


def answer_many(records: list[Record], links: Links, *, cursor: str | None = None) -> CallToolResult:
    """Several jobs as the result of a tool call."""
    jobs = [describe(record, links) for record in records]
    lines = [next_step(job) for job in jobs] or ["No jobs match."]
    if cursor:
        lines.append(f"There are more: call list_jobs with cursor={cursor!r} and the same filters.")
    return text_result("\n".join(lines), JobsAnswer(jobs=jobs, cursor=cursor))


def text_result(text: str, structured: Model, *, is_error: bool = False) -> CallToolResult:
    """A structured answer with its text, as the result of a tool call."""
    return CallToolResult(
        content=[TextContent(text=text)], structured_content=structured.model_dump(mode="json"), is_error=is_error
    )


def refusal(message: str) -> CallToolResult:
    """An error that a model can act on; nothing was queued."""
    return CallToolResult(content=[TextContent(text=message)], is_error=True)


def describe(record: Record, links: Links) -> JobAnswer[dict[str, Any]]:
    """The structured shape of a job."""
    done = record.outcome if isinstance(record.outcome, Done) else None
    return _AnyJobAnswer(
        job_id=record.job_id,
        kind=record.kind,
        state=record.state,
        attempt=record.attempt,
        progress=ProgressAnswer(**asdict(record.progress)) if record.progress else None,
        created_at=timestamp(record.created),
        started_at=timestamp(record.started) if record.started else None,
        finished_at=timestamp(record.finished) if record.finished else None,
        expires_at=timestamp(record.expires),
        poll_after_ms=None if record.state.terminal else POLL_MS,
        output=done.output if done else None,
        artifacts=[artifact_answer(Artifact(**fields), links) for fields in (done.artifacts if done else ())],
        warnings=list(done.warnings) if done else [],
        error=ErrorAnswer(**record.outcome.error.to_wire()) if isinstance(record.outcome, Failed) else None,
    )


def next_step(job: JobAnswer[Any]) -> str:
    """One short paragraph for a model: the outcome, and the next step."""
    name = f"{job.kind} {job.job_id}"
    match job.state:
        case State.QUEUED | State.RUNNING:
            status = "waits for a worker" if job.state is State.QUEUED else "is running"
            progress = job.progress
            if progress and progress.total:
                status += (
                    f" ({progress.done / progress.total:.0%}{', ' + progress.message if progress.message else ''})"
                )
            return (
                f"{name} {status}; it goes on in the background and nothing is lost. "
                f'Call job_status(job_id="{job.job_id}", wait_seconds=20) to wait for its result.'
            )
        case State.COMPLETED:
            files = "; ".join(
                f"{file.name} ({file.mime_type}, {file.size} bytes): pass it on as artifact:{file.artifact_id} "
                f"or download {file.download_url}"
                for file in job.artifacts
            )
            parts = [f"{name} is completed."]
            if job.output:
                parts.append(f"Output: {_output_text(job.output)}.")
            if files:
                parts.append(f"Files until {job.expires_at}: {files}.")
            if job.warnings:
                parts.append(f"Warnings: {warnings_text(job.warnings)}")
            return " ".join(parts)
        case State.CANCELLED:
            return f"{name} was cancelled; call the tool again to start over."
    error = job.error
    again = " The same call may succeed later." if error and error.retryable else ""
    return f"{name} failed: {error.message if error else 'the reason is not known'}{again}"


def artifact_answer(artifact: Artifact, links: Links) -> ArtifactAnswer:
    """The structured shape of an artifact."""
    return ArtifactAnswer(
        artifact_id=artifact.artifact_id,
        name=artifact.name,
        mime_type=artifact.mime_type,
        size=artifact.size,
        sha256=artifact.sha256,
        download_url=links.download(artifact),
        expires_at=timestamp(artifact.expires),
    )


def warnings_text(warnings: Sequence[str]) -> str:
    """The first warnings, and how many more there are: the structure has all of them."""
    more = len(warnings) - _MAX_WARNINGS
    return " ".join([*warnings[:_MAX_WARNINGS], *([f"(and {more} more in warnings)"] if more > 0 else [])])


def _output_text(output: dict[str, Any]) -> str:
    text = ", ".join(f"{name} {value}" for name, value in output.items())
    return text if len(text) <= _MAX_OUTPUT else text[:_MAX_OUTPUT] + "…"
