"""Artifacts as MCP resources: ``offloop://artifacts/<id>``, listed and read by the principal they belong to."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
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
from offloop.queue import decode_cursor, encode_cursor
from offloop.record import timestamp
from offloop_server.auth import SCOPE_KEY
from offloop_server.glances import MOST_BYTES, check_arrived
from offloop_server.inline import URI
from offloop_server.parts import decoded, is_text, read

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext

    from offloop.artifacts import Artifact, ArtifactStore

PAGE: Final = 100
_LONGEST_URI: Final = 200
TEMPLATE: Final = URI + "{artifact_id}"


class Resources:
    """The handlers of ``resources/…``.

    Args:
        store: where the artifacts are.
    """

    def __init__(self, store: ArtifactStore) -> None:
        """Keep it."""
        self._store = store

    async def listed(
        self, context: ServerRequestContext[Any], params: PaginatedRequestParams | None
    ) -> ListResourcesResult:
        """A page of the caller's artifacts, newest first."""
        async with _said():
            start = decode_cursor(params.cursor if params else None, "resources/list")
            found, after = await self._store.page(_principal(context), start, PAGE)
        resources = [_resource(artifact) for artifact in found]
        return ListResourcesResult(resources=resources, next_cursor=encode_cursor(after) if after else None)

    async def templates(
        self, _context: ServerRequestContext[Any], _params: PaginatedRequestParams | None
    ) -> ListResourceTemplatesResult:
        """The one form that URIs have."""
        template = ResourceTemplate(
            name="artifact",
            title="File",
            uri_template=TEMPLATE,
            description=f"A file you uploaded or a job of yours made, up to {MOST_BYTES} bytes; "
            "read_artifact reads larger ones in parts.",
        )
        return ListResourceTemplatesResult(resource_templates=[template])

    async def read(self, context: ServerRequestContext[Any], params: ReadResourceRequestParams) -> ReadResourceResult:
        """The whole of an artifact, as text or as base64."""
        uri = str(params.uri)
        async with _said():
            artifact = check_arrived(await self._store.get(_artifact_id(uri), principal=_principal(context)))
            if artifact.size > MOST_BYTES:
                message = (
                    f"{artifact.name} has {artifact.size} bytes, and {MOST_BYTES} can be read at once: "
                    f'read it in parts with read_artifact(artifact_id="{artifact.artifact_id}").'
                )
                raise BadInput(message)
            data = await read(self._store, artifact, 0, artifact.size)
        text = decoded(data, data[:3], 0, at_end=True, anyway=False) if is_text(artifact.mime_type) else None
        if text:
            return ReadResourceResult(
                contents=[TextResourceContents(uri=uri, mime_type=artifact.mime_type, text=text[0])]
            )
        blob = base64.b64encode(data).decode()
        return ReadResourceResult(contents=[BlobResourceContents(uri=uri, mime_type=artifact.mime_type, blob=blob)])

    async def ids(self, context: ServerRequestContext[Any], start: str, most: int) -> list[str]:
        """Ids of the caller's artifacts that begin so, to complete a URI."""
        async with _said():
            found = await self._store.holdings.ids(_principal(context), 0, most)
        return [artifact_id for artifact_id in found if artifact_id.startswith(start)]


def _principal(context: ServerRequestContext[Any]) -> str:
    principal: str = context.request.scope[SCOPE_KEY]  # type: ignore[union-attr]
    return principal


def _artifact_id(uri: str) -> str:
    artifact_id = uri.removeprefix(URI)
    if artifact_id == uri or not artifact_id or len(uri) > _LONGEST_URI or "/" in artifact_id:
        message = f"{uri[:_LONGEST_URI]!r} is not a file of this server: they are named {TEMPLATE}."
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
async def _said() -> AsyncIterator[None]:
    """Failures of ours as errors of the protocol, in the same words."""
    try:
        yield
    except OffloopError as error:
        code = INTERNAL_ERROR if isinstance(error, Unavailable) else INVALID_PARAMS
        raise MCPError(code, error.message) from None
