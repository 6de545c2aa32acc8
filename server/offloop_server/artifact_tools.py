"""The tools around files: a place to upload to, and reading for clients that cannot follow a link."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Final, Literal

from mcp_types import CallToolResult, ContentBlock, ImageContent, TextContent
from pydantic import BaseModel, ConfigDict, Field

from offloop.errors import BadInput
from offloop.job import Model
from offloop.paths import safe_name
from offloop.record import timestamp
from offloop_server.light import LightTool
from offloop_server.tools import Caller

INLINE_IMAGE: Final = 512 << 10
"""Bytes of an image that is shown whole; larger answers are cut by hosts or refused by clients."""
MOST_BYTES: Final = 65_536

ArtifactId = Annotated[str, Field(min_length=1, max_length=64)]
MimeType = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9!#$&^_.+-]{1,100}/[A-Za-z0-9!#$&^_.+-]{1,100}$", examples=["image/jpeg"])
]


class CreateUploadArguments(Model):
    """What will be uploaded."""

    name: Annotated[str, Field(min_length=1, max_length=255)] = Field(description="The file's name, for display.")
    mime_type: MimeType = Field("application/octet-stream", description="Such as image/jpeg.")


class UploadAnswer(BaseModel):
    """Where to put the file, and how to name it afterwards."""

    model_config = ConfigDict(extra="forbid")

    artifact_id: str = Field(description="Use it as artifact:<artifact_id> once the bytes are there.")
    upload_url: str = Field(description="PUT the bytes here, once.")
    upload_expires_at: str = Field(description="Until when the URL takes them.")
    expires_at: str = Field(description="Until when the artifact is kept.")
    max_bytes: int


class CreateUpload(LightTool[CreateUploadArguments]):
    """Makes a signed PUT URL."""

    name = "create_upload"
    description = (
        "Get a URL to upload a file to with one HTTP PUT; then pass artifact:<artifact_id> to other tools. "
        "For files too large for a data: reference."
    )
    arguments = CreateUploadArguments
    answers = UploadAnswer
    read_only = False
    idempotent = False

    async def do(self, value: CreateUploadArguments, caller: Caller) -> CallToolResult:
        """Reserve the artifact."""
        artifact = await self._services.store.reserve(
            principal=caller.principal, name=safe_name(value.name, "upload"), mime_type=value.mime_type
        )
        url = caller.links.upload(artifact)
        structured = UploadAnswer(
            artifact_id=artifact.artifact_id,
            upload_url=url,
            upload_expires_at=timestamp(caller.links.expires(artifact) * 1000),
            expires_at=timestamp(artifact.expires),
            max_bytes=self._services.settings.max_upload_mb << 20,
        )
        text = (
            f"Upload {artifact.name} with: curl -T FILE '{url}' - then use artifact:{artifact.artifact_id} as the "
            "file argument of other tools."
        )
        return CallToolResult(content=[TextContent(text=text)], structured_content=structured.model_dump(mode="json"))


class ReadArtifactArguments(Model):
    """Which artifact, and which part of it."""

    artifact_id: ArtifactId = Field(description="From a job's artifacts, or from create_upload.")
    offset: Annotated[int, Field(ge=0)] = Field(0, description="Byte to begin at.")
    length: Annotated[int, Field(ge=1, le=MOST_BYTES)] = Field(16_384, description="Most bytes to read.")


class PartAnswer(BaseModel):
    """A part of an artifact."""

    model_config = ConfigDict(extra="forbid")

    artifact_id: str
    name: str
    mime_type: str
    size: int = Field(description="Bytes of the whole artifact.")
    sha256: str
    offset: int
    length: int = Field(description="Bytes in this part.")
    next_offset: int | None = Field(description="Where to go on; null at the end.")
    encoding: Literal["text", "base64", "image"] = Field(description="image: shown as an image block, not in content.")
    content: str
    download_url: str


class ReadArtifact(LightTool[ReadArtifactArguments]):
    """Reads a part."""

    name = "read_artifact"
    description = (
        "Read a part of a file as text or base64; a small image is shown. Prefer the download_url where links can be "
        "followed, and artifact:<id> to hand a file to another tool."
    )
    arguments = ReadArtifactArguments
    answers = PartAnswer

    async def do(self, value: ReadArtifactArguments, caller: Caller) -> CallToolResult:
        """Read and encode."""
        artifact = await self._services.store.get(value.artifact_id, principal=caller.principal)
        if artifact.pending:
            message = f"artifact {artifact.artifact_id} has no bytes yet: PUT the file to its upload_url first."
            raise BadInput(message)
        if value.offset > artifact.size:
            message = f"offset {value.offset} is beyond the end: {artifact.name} has {artifact.size} bytes."
            raise BadInput(message)
        whole_image = artifact.mime_type.startswith("image/") and value.offset == 0 and artifact.size <= INLINE_IMAGE
        end = artifact.size if whole_image else min(artifact.size, value.offset + value.length)
        data = b"".join([piece async for piece in self._services.store.stream(artifact, value.offset, end)])
        content: list[ContentBlock]
        if whole_image:
            encoding, text = "image", ""
            content = [ImageContent(data=base64.b64encode(data).decode(), mime_type=artifact.mime_type)]
        else:
            encoding, text, data = _encoded(data, at_end=end == artifact.size)
            content = [TextContent(text=text)]
        end = value.offset + len(data)
        part: dict[str, Any] = {
            "artifact_id": artifact.artifact_id,
            "name": artifact.name,
            "mime_type": artifact.mime_type,
            "size": artifact.size,
            "sha256": artifact.sha256,
            "offset": value.offset,
            "length": len(data),
            "next_offset": end if end < artifact.size else None,
            "encoding": encoding,
            "content": text,
            "download_url": caller.links.download(artifact),
        }
        return CallToolResult(content=content, structured_content=PartAnswer(**part).model_dump(mode="json"))


def _encoded(data: bytes, *, at_end: bool) -> tuple[str, str, bytes]:
    """Text where the bytes are UTF-8, without a character that the part cuts in two; else base64."""
    for cut in range(0 if at_end else 4):
        part = data[: len(data) - cut]
        try:
            text = part.decode()
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return "text", text, part
    if at_end:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            pass
        else:
            if "\0" not in text:
                return "text", text, data
    return "base64", base64.b64encode(data).decode(), data
