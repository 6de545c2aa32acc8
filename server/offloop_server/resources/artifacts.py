"""Handlers of MCP resources: artifacts, ``offloop://artifacts/<id>``, and jobs; each visible to its own principal."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    BlobResourceContents,
    ListResourcesResult,
    ListResourceTemplatesResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    TextResourceContents,
)

from offloop.errors import BadInput, OffloopError, Unavailable
from offloop.redis.codec import timestamp
from offloop.redis.paging import decode_cursor, encode_cursor
from offloop_server.resources.jobs import JOB_TEMPLATE, JOB_URI, JobResources, id_in
from offloop_server.toolkit.inline import URI
from offloop_server.toolkit.parts import certain_text, read
from offloop_server.tools.previews import MAX_BYTES
from offloop_server.web.auth import SCOPE_KEY

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext
    from starlette.requests import Request

    from offloop.artifacts.links import Links
    from offloop.artifacts.store import Artifact, ArtifactStore

PAGE: Final = 100
_MAX_URI: Final = 200
_MAX_ID: Final = _MAX_URI - len(URI)
TEMPLATE: Final = URI + "{artifact_id}"


class Resources:
    """The handlers of ``resources/…``.

    Args:
        store: holds the artifacts.
        jobs: reads jobs.
        links: makes links under the address that a request used.
    """

    def __init__(self, store: ArtifactStore, jobs: JobResources, links: Callable[[Request], Links]) -> None:
        self._store = store
        self._jobs = jobs
        self._links = links

    async def listed(
        self, context: ServerRequestContext[Any], params: PaginatedRequestParams | None
    ) -> ListResourcesResult:
        """A page of the caller's artifacts, newest first."""
        async with protocol_errors():
            start = decode_cursor(params.cursor if params else None, "resources/list")
            found, after = await self._store.page(principal_of(context), start, PAGE)
        resources = [_resource(artifact) for artifact in found]
        return ListResourcesResult(resources=resources, next_cursor=encode_cursor(after) if after else None)

    async def templates(
        self, _context: ServerRequestContext[Any], _params: PaginatedRequestParams | None
    ) -> ListResourceTemplatesResult:
        """The URI templates of artifacts and jobs."""
        template = ResourceTemplate(
            name="artifact",
            title="File",
            uri_template=TEMPLATE,
            description=f"A file you uploaded or a job of yours made, up to {MAX_BYTES} bytes; "
            "read_artifact reads larger ones in parts.",
        )
        return ListResourceTemplatesResult(resource_templates=[template, self._jobs.template])

    async def read(self, context: ServerRequestContext[Any], params: ReadResourceRequestParams) -> ReadResourceResult:
        """A whole artifact as text or base64, or a job as JSON."""
        uri = str(params.uri)
        if job_id := id_in(uri, JOB_URI):
            async with protocol_errors():
                links = self._links(context.request)  # type: ignore[arg-type]
                return await self._jobs.read(uri, job_id, principal=principal_of(context), links=links)
        async with protocol_errors():
            artifact = (await self._store.get(_artifact_id(uri), principal=principal_of(context))).check_uploaded()
            if artifact.size > MAX_BYTES:
                message = (
                    f"{artifact.name} has {artifact.size} bytes, and one read returns at most {MAX_BYTES}: "
                    f'read it in parts with read_artifact(artifact_id="{artifact.artifact_id}").'
                )
                raise BadInput(message)
            data = await read(self._store, artifact, 0, artifact.size)
        # A resource has no place for a note about a guess: then its bytes are answered.
        text = await asyncio.to_thread(certain_text, data, artifact.mime_type)
        if text is not None:
            return ReadResourceResult(contents=[TextResourceContents(uri=uri, mime_type=artifact.mime_type, text=text)])
        blob = base64.b64encode(data).decode()
        return ReadResourceResult(contents=[BlobResourceContents(uri=uri, mime_type=artifact.mime_type, blob=blob)])

    async def ids(self, context: ServerRequestContext[Any], start: str, most: int) -> list[str]:
        """Ids of the caller's artifacts with this prefix, for completion."""
        async with protocol_errors():
            found = await self._store.quotas.ids(principal_of(context), 0, most)
        return [artifact_id for artifact_id in found if artifact_id.startswith(start)]


def principal_of(context: ServerRequestContext[Any]) -> str:
    """The principal of a request."""
    principal: str = context.request.scope[SCOPE_KEY]  # type: ignore[union-attr]
    return principal


def _artifact_id(uri: str) -> str:
    artifact_id = id_in(uri, URI, _MAX_ID)
    if artifact_id is None:
        message = (
            f"{uri[:_MAX_URI]!r} is not a resource of this server: files are named {TEMPLATE}, jobs {JOB_TEMPLATE}."
        )
        raise BadInput(message)
    return artifact_id


def _resource(artifact: Artifact) -> Resource:
    return Resource(
        uri=URI + artifact.artifact_id,
        name=artifact.name,
        mime_type=artifact.mime_type,
        size=artifact.size,
        description=f"Kept until {timestamp(artifact.expires)}.",
    )


@asynccontextmanager
async def protocol_errors() -> AsyncIterator[None]:
    """Convert failures into MCP errors with the same message."""
    try:
        yield
    except OffloopError as error:
        code = INTERNAL_ERROR if isinstance(error, Unavailable) else INVALID_PARAMS
        raise MCPError(code, error.message) from None
