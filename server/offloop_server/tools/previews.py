"""Pictures for a model to look at: a page of a PDF, or a picture made small enough, drawn by a worker as a job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from offloop.artifacts.store import Artifact
from offloop.errors import BadInput, JobError
from offloop.kinds.kind import Kind, Model
from offloop.queue.record import Done, Failed, Record
from offloop_server.toolkit.job_tool import Caller, Services

MAX_BYTES: Final = 512 << 10
"""Bytes of a picture that is shown; as base64 it fits into one message of 700 KiB."""
_PAGE_WIDTH: Final = 1024
_MAX_SIDE: Final = 1568
"""Pixels: what models look at is scaled down to about this anyway."""
_SMALL: Final = 400_000


class Previews:
    """Draws what a model wants to look at, as jobs of the kinds that there are.

    Args:
        services: runs the jobs.
        kinds: those of this front end.
    """

    def __init__(self, services: Services, kinds: Mapping[str, Kind[Any, Any]]) -> None:
        self._services = services
        self._page = kinds.get("preview_pdf")
        self._picture = kinds.get("transform_image")

    async def draw(self, artifact: Artifact, page: int, wait: float, caller: Caller) -> Artifact | Record:
        """A page of a PDF or picture as a small picture; the job, where that takes longer than `wait`.

        Raises:
            BadInput: the file is neither.
            JobError: it could not be drawn; the message is the kind's own.
            OffloopError: the job was not queued.
        """
        kind, value = self._asked(artifact, page)
        record = await self._services.calls.run(
            kind, value, principal=caller.principal, wait=wait, key=None, relay=caller.relay
        )
        match record.outcome:
            case Done() as done if done.artifacts:
                return Artifact(**done.artifacts[0])
            case Failed() as failed:
                raise failed.error
        if record.state.terminal:
            message = (
                f"The picture of {artifact.name} was not drawn: its job {record.job_id} was cancelled. Call again."
            )
            raise JobError(message, code="cancelled", retryable=True)
        return record

    def draws(self, artifact: Artifact) -> bool:
        """Whether there is a kind that can draw it."""
        return bool(self._page if is_pdf(artifact) else artifact.mime_type.startswith("image/") and self._picture)

    def _asked(self, artifact: Artifact, page: int) -> tuple[Kind[Any, Any], Model]:
        file = f"artifact:{artifact.artifact_id}"
        if is_pdf(artifact) and self._page:
            asked = {"file": file, "pages": str(page), "width": _PAGE_WIDTH, "format": "jpeg"}
            return self._page, self._page.input.model_validate(asked)
        if artifact.mime_type.startswith("image/") and self._picture:
            asked = {"image": file, "page": page, "animated": False, "format": "webp", "max_bytes": _SMALL}
            return self._picture, self._picture.input.model_validate(asked | {"width": _MAX_SIDE, "height": _MAX_SIDE})
        message = f"{artifact.name} ({artifact.mime_type}) has no pages to show: leave page out to read it as text."
        raise BadInput(message)


def is_pdf(artifact: Artifact) -> bool:
    """Whether it says of itself that it is a PDF."""
    return artifact.mime_type == "application/pdf" or artifact.name.lower().endswith(".pdf")


def check_arrived(artifact: Artifact) -> Artifact:
    """The artifact, where its bytes are there.

    Raises:
        BadInput: they are not.
    """
    if artifact.pending:
        message = f"artifact {artifact.artifact_id} has no bytes yet: PUT the file to its upload_url first."
        raise BadInput(message)
    return artifact
