"""What a child says it has done, as far as it is believed: a document may have taken the child over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field
from pydantic_core import from_json, to_json

from offloop import logs
from offloop.artifacts.store import digest_of
from offloop.errors import JobError, LimitExceeded
from offloop.kinds.kind import Model
from offloop.paths import open_beneath
from offloop.redis.codec import pack
from offloop_workers.children.child import MAX_OUTPUT
from offloop_workers.children.context import MAX_WARNINGS, add_warning

if TYPE_CHECKING:
    from offloop.kinds.kind import Kind

_PIECE: Final = 1 << 20

log = logs.get(__name__)


class Made(Model):
    """A file that it says it made."""

    path: str
    name: Annotated[str, Field(max_length=1024)]
    mime_type: Annotated[str, Field(max_length=255)]
    sha256: str


class Answer(Model):
    """All that it says."""

    output: dict[str, Any]
    warnings: list[str]
    artifacts: list[Made]


def believed(kind: Kind[Any, Any], done: object) -> Answer:
    """The answer, if it is one that the kind may give.

    Raises:
        JobError: ``bad_result``: it is not.
        LimitExceeded: its output is too long.
    """
    try:
        told = Answer.model_validate(done)
        if not set(told.output) <= {*kind.output.model_fields, *kind.output.model_computed_fields}:
            message = "unknown fields"
            raise ValueError(message)  # noqa: TRY301 -- told with the rest
        # In JSON, as the child has written it; computed fields are in it and would be unknown ones.
        encoded = to_json(told.output, inf_nan_mode="constants")
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
    for warning in told.warnings[:MAX_WARNINGS]:
        add_warning(warnings, warning)
    return Answer(output=output, warnings=warnings, artifacts=told.artifacts)


def take(made: Path, folder: Path, copy: Path, check: Callable[[int], None], size: int) -> str:
    """Copy a file that a child says it made out of its reach; answers the SHA-256 of the copy. Blocks.

    Nothing that a child says about the file is believed, and it may still be changing it: one that a document has taken
    over could name any file of the worker's user, or have somebody else's bytes found under the digest of its own.

    Args:
        made: the file.
        folder: the attempt's own.
        copy: a path that does not exist yet.
        check: raises where so many bytes are too many.
        size: bytes that were taken before.

    Raises:
        JobError: it is not a regular file in the attempt's own folder, is too long, or finds no room.
    """
    try:
        relative = made.relative_to(folder)
        # From the folder above: a child may have put a link in the place of its own.
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
