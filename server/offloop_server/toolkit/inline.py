"""Small files of a job inside its answer: texts and pictures; all other files are links."""

from __future__ import annotations

import base64
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from mcp_types import ContentBlock, EmbeddedResource, ImageContent, TextResourceContents

from offloop.artifacts.store import Artifact, ArtifactStore
from offloop.charsets.media import is_text
from offloop.errors import NotFound, Unavailable
from offloop.queue.record import Done
from offloop_server.toolkit.parts import certain_text, is_picture, read

if TYPE_CHECKING:
    from offloop.queue.record import Record

MAX_TEXT: Final = 64 << 10
"""Bytes of text in one answer; hosts cut longer ones."""
MAX_PICTURE: Final = 64 << 10
MAX_PICTURES: Final = 384 << 10
"""Bytes of the pictures in one answer; with the text, and as base64, they stay under 700 KiB."""

URI: Final = "offloop://artifacts/"


async def inlined(record: Record, store: ArtifactStore) -> list[ContentBlock]:
    """The small files of a completed job as blocks, in their order; files that do not fit are left out."""
    if not isinstance(record.outcome, Done):
        return []
    blocks: list[ContentBlock] = []
    text, pictures = MAX_TEXT, MAX_PICTURES
    for fields in record.outcome.artifacts:
        artifact = Artifact(**fields)
        room = text if is_text(artifact.mime_type) else min(pictures, MAX_PICTURE)
        if not 0 < artifact.size <= room or not (
            is_text(artifact.mime_type) or artifact.mime_type.startswith("image/")
        ):
            continue
        # The job is completed and its files are linked in any case; a file deleted since then is left out.
        with suppress(NotFound, Unavailable):
            await store.find(artifact.artifact_id)
            data = await read(store, artifact, 0, artifact.size)
            if block := _block(artifact, data):
                blocks.append(block)
                text -= artifact.size if isinstance(block, EmbeddedResource) else 0
                pictures -= artifact.size if isinstance(block, ImageContent) else 0
    return blocks


def _block(artifact: Artifact, data: bytes) -> ContentBlock | None:
    if is_picture(artifact.mime_type, data):
        return ImageContent(data=base64.b64encode(data).decode(), mime_type=artifact.mime_type)
    content = certain_text(data, artifact.mime_type) if is_text(artifact.mime_type) else None
    if content is None:
        return None
    uri = URI + artifact.artifact_id
    return EmbeddedResource(resource=TextResourceContents(uri=uri, mime_type=artifact.mime_type, text=content))
