"""Validation of a child's messages. They are not trusted: a document may have taken the child over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

from pydantic import Field, FiniteFloat, ValidationError
from pydantic_core import from_json, to_json

from offloop import logs
from offloop.artifacts.store import digest_of
from offloop.errors import JobError, LimitExceeded
from offloop.kinds.job_context import MAX_MESSAGE_LENGTH, MAX_WARNINGS, add_warning
from offloop.kinds.kind import Model
from offloop.paths import open_beneath
from offloop.queue.record import Progress
from offloop.redis.codec import pack
from offloop_workers.children.child import MAX_OUTPUT
from offloop_workers.children.frames import ProtocolError

if TYPE_CHECKING:
    from offloop.kinds.kind import Kind

MAX_FAILURE: Final = 10_000
"""Characters of the message of a failure; a longer one ends with an ellipsis."""
_MAX_CODE: Final = 100
_PIECE: Final = 1 << 20

ModelT = TypeVar("ModelT", bound=Model)

log = logs.get(__name__)


class ReportedFile(Model):
    """A file that a child reports."""

    path: str
    name: Annotated[str, Field(max_length=1024)]
    mime_type: Annotated[str, Field(max_length=255)]
    sha256: str


class ChildResult(Model):
    """The output, warnings and files that a child reports."""

    output: dict[str, Any]
    warnings: list[str]
    artifacts: list[ReportedFile]


class ReportedProgress(Model):
    """Progress that a child reports."""

    done: int | FiniteFloat
    total: int | FiniteFloat | None
    message: str


class ReportedFailure(Model):
    """The failure that a child answers."""

    code: Annotated[str, Field(max_length=_MAX_CODE)]
    message: str
    retryable: bool


def progress(step: object) -> Progress:
    """The progress that a child reports, with a message of bounded length.

    Raises:
        ProtocolError: it is something else.
    """
    found = _reported(ReportedProgress, step)
    return Progress(found.done, found.total, found.message[:MAX_MESSAGE_LENGTH])


def failure(failed: object) -> JobError:
    """The failure that a child answers, with a message of bounded length.

    Raises:
        ProtocolError: it is something else.
    """
    found = _reported(ReportedFailure, failed)
    message = found.message if len(found.message) <= MAX_FAILURE else found.message[: MAX_FAILURE - 1] + "…"
    return JobError(message, code=found.code, retryable=found.retryable)


def _reported(model: type[ModelT], value: object) -> ModelT:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise ProtocolError(str(error)) from None


def validated(kind: Kind[Any, Any], done: object) -> ChildResult:
    """The result, if it fits the kind.

    Raises:
        JobError: ``bad_result``: it does not.
        LimitExceeded: its output is too long.
    """
    try:
        result = ChildResult.model_validate(done)
        if not set(result.output) <= {*kind.output.model_fields, *kind.output.model_computed_fields}:
            message = "unknown fields"
            raise ValueError(message)  # noqa: TRY301 -- handled with the rest
        # In JSON, as the child has written it; computed fields are in it and would be unknown ones.
        encoded = to_json(result.output, inf_nan_mode="constants")
        kind.output.model_validate_json(encoded, extra="ignore", by_alias=True, by_name=True)
        output = from_json(encoded)
    except (ValueError, RecursionError) as error:
        log.warning("a job's answer does not fit its kind", kind=kind.name, error=str(error)[:500])
        message = (
            f"{kind.name} answered something else than its kind declares; nothing was kept of it. Send other input, or "
            "tell the author of the job."
        )
        raise JobError(message, code="bad_result") from None
    # A number takes three times as long packed as in JSON at most, so most outputs need not be packed to be measured.
    if 3 * len(encoded) > MAX_OUTPUT and len(pack(output)) > MAX_OUTPUT:
        message = f"the output of {kind.name} has more than {MAX_OUTPUT} bytes, the limit: ask for less"
        raise LimitExceeded(message)
    warnings: list[str] = []
    for warning in result.warnings[:MAX_WARNINGS]:
        add_warning(warnings, warning)
    return ChildResult(output=output, warnings=warnings, artifacts=result.artifacts)


def copy_file(path: Path, folder: Path, copy: Path, check: Callable[[int], None], size: int) -> str:
    """Copy a file that a child reports out of its reach; answers the SHA-256 of the copy. Blocks.

    Nothing that a child reports of the file is trusted, and it may still be changing the file: a child that a document
    has taken over could name any file of the worker's user, or have another principal's bytes stored under its digest.

    Args:
        path: the file.
        folder: the attempt's own.
        copy: a path that does not exist yet.
        check: raises where the number of bytes is above the limit.
        size: bytes that were copied before.

    Raises:
        JobError: it is not a regular file in the attempt's own folder, is too long, or finds no room.
    """
    try:
        relative = path.relative_to(folder)
        # From the folder above: a child may have replaced its own by a link.
        source = open_beneath(folder.parent, f"{folder.name}/{relative}")
    except (JobError, ValueError):
        message = "The job named a result that is not a file of its own; nothing was kept of it."
        raise JobError(message, code="bad_result") from None
    try:
        with source, copy.open("xb") as target:
            while piece := source.read(_PIECE):
                size += len(piece)
                check(size)
                target.write(piece)
        return digest_of(copy)
    except OSError as error:
        log.warning("a result could not be copied", error=error.strerror)
        message = "The worker has no room for the result, or cannot read it back: try again later."
        raise JobError(message, code="no_space", retryable=True) from None
