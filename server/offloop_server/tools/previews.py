"""Previews: a page of a PDF, or a scaled-down picture, as an image for models; rendered by a worker as a job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from offloop.artifacts.store import Artifact
from offloop.charsets.media import is_text
from offloop.errors import BadInput, JobError
from offloop.kinds.kind import Kind, Model
from offloop.queue.record import Done, Failed, Record
from offloop_server.toolkit.services import Caller, Services

MAX_BYTES: Final = 512 << 10
"""Bytes of a picture in an answer; as base64 it fits into one message of 700 KiB."""
_PAGE_WIDTH: Final = 1024
_MAX_SIDE: Final = 1568
"""Pixels; hosts scale images for models down to about this anyway."""
_SMALL: Final = 400_000


@dataclass(frozen=True, slots=True)
class Preview:
    """A rendered page or picture.

    Attributes:
        artifact: the small picture.
        warnings: of its job: what it does not show as the file has it.
    """

    artifact: Artifact
    warnings: tuple[str, ...]


class Previews:
    """Renders previews as jobs, if their kinds are loaded.

    Args:
        services: the services of this front end.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._page = services.kinds.get("preview_pdf")
        self._picture = services.kinds.get("transform_image")

    async def render(self, artifact: Artifact, page: int, wait: float, caller: Caller) -> Preview | Record:
        """A page of a PDF or picture as a small picture, or the job if that takes longer than `wait` seconds.

        Raises:
            BadInput: the file is neither a PDF nor a picture.
            JobError: rendering failed; the message is the kind's own.
            OffloopError: the job was not queued.
        """
        kind, value = self._request(artifact, page)
        record = await self._services.calls.run(
            kind, value, principal=caller.principal, wait=wait, key=None, relay=caller.relay
        )
        match record.outcome:
            case Done() as done if done.artifacts:
                return Preview(Artifact(**done.artifacts[0]), done.warnings)
            case Failed() as failed:
                raise failed.error
        if record.state.terminal:
            message = (
                f"The picture of {artifact.name} was not rendered: its job {record.job_id} was cancelled. Call again."
            )
            raise JobError(message, code="cancelled", retryable=True)
        return record

    def renders(self, artifact: Artifact) -> bool:
        """Whether a loaded kind can render it."""
        return bool(self._page if is_pdf(artifact) else is_raster(artifact.mime_type) and self._picture)

    def _request(self, artifact: Artifact, page: int) -> tuple[Kind[Any, Any], Model]:
        file = f"artifact:{artifact.artifact_id}"
        if is_pdf(artifact) and self._page:
            arguments = {"file": file, "pages": str(page), "width": _PAGE_WIDTH, "format": "jpeg"}
            return self._page, self._page.input.model_validate(arguments)
        if is_raster(artifact.mime_type) and self._picture:
            arguments = {"image": file, "page": page, "animated": False, "format": "webp", "max_bytes": _SMALL}
            size = {"width": _MAX_SIDE, "height": _MAX_SIDE}
            return self._picture, self._picture.input.model_validate(arguments | size)
        message = f"{artifact.name} ({artifact.mime_type}) has no pages to show: leave page out to read it as text."
        raise BadInput(message)


def is_raster(mime_type: str) -> bool:
    """Whether a type is that of a picture of pixels: SVG is text."""
    return mime_type.startswith("image/") and not is_text(mime_type)


def is_pdf(artifact: Artifact) -> bool:
    """Whether its declared type or its name is that of a PDF."""
    return artifact.mime_type == "application/pdf" or artifact.name.lower().endswith(".pdf")
