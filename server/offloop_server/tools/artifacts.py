"""File tools: create_upload, read_artifact (for clients that cannot follow a link), delete_artifact."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from mcp_types import CallToolResult, ContentBlock, ImageContent, TextContent
from pydantic import Field

from offloop.artifacts.store import Artifact
from offloop.errors import BadInput, NotFound
from offloop.kinds.kind import Model
from offloop.paths import safe_name
from offloop.queue.record import Record
from offloop.redis.codec import timestamp
from offloop_server.toolkit.answers import text_result
from offloop_server.toolkit.job_tool import WaitSeconds, notes
from offloop_server.toolkit.light_tool import LightTool
from offloop_server.toolkit.parts import (
    MAX_BYTES,
    Encoding,
    Part,
    is_picture,
    may_be_turned,
    part,
    read,
    span_of_lines,
    text_file,
)
from offloop_server.toolkit.services import AnyTool, Caller, Services
from offloop_server.tools.previews import MAX_BYTES as MAX_PICTURE
from offloop_server.tools.previews import Previews
from offloop_server.web.uploads import MIME_TYPE

ArtifactId = Annotated[str, Field(min_length=1, max_length=64)]
_MAX_SENTENCES: Final = 5
"""Sentences about unknown ids in one text; all ids are in the structure."""
MimeType = Annotated[str, Field(pattern=MIME_TYPE, examples=["image/jpeg"])]


class CreateUploadArguments(Model):
    """Arguments of create_upload."""

    name: Annotated[str, Field(min_length=1, max_length=255)] = Field(description="The file's name, for display.")
    mime_type: MimeType = Field("application/octet-stream", description="Such as image/jpeg.")


class UploadAnswer(Model):
    """A reserved artifact and the URL that takes its bytes."""

    artifact_id: str = Field(description="Use it as artifact:<artifact_id> once the bytes are there.")
    upload_url: str = Field(description="PUT the bytes here, once.")
    upload_expires_at: str = Field(description="When the URL expires.")
    expires_at: str = Field(
        description="When the reservation expires without bytes; the answer to the PUT has the expiry of the file."
    )
    max_bytes: int


class CreateUpload(LightTool[CreateUploadArguments]):
    """Reserves an artifact and signs a PUT URL for it."""

    name = "create_upload"
    description = (
        "Get a URL that takes a file by one HTTP PUT, for files too large for a data: reference; then pass "
        "artifact:<artifact_id> to other tools."
    )
    arguments = CreateUploadArguments
    answers = UploadAnswer
    read_only = False
    idempotent = False

    async def do(self, value: CreateUploadArguments, caller: Caller) -> CallToolResult:
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
        return text_result(text, structured)


class ReadArtifactArguments(Model):
    """Arguments of read_artifact."""

    artifact_id: ArtifactId = Field(description="From a job's artifacts, or from create_upload.")
    offset: Annotated[int, Field(ge=0)] = Field(0, description="Byte to start at.")
    length: Annotated[int, Field(ge=1, le=MAX_BYTES)] = Field(16_384, description="Most bytes to read.")
    line: Annotated[int, Field(ge=1)] | None = Field(None, description="Line to start at, instead of offset.")
    lines: Annotated[int, Field(ge=1, le=2000)] = Field(200, description="Most lines to read, with line.")
    page: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        None, description="Look at this page of a PDF (or picture) as an image, instead of reading bytes."
    )
    encoding: Encoding = Field("auto", description="auto: text if it is text, else base64.")
    wait_seconds: WaitSeconds = Field(20, description="Seconds to wait for an image that must be rendered.")


class PartAnswer(Model):
    """A part of an artifact."""

    artifact_id: str
    name: str
    mime_type: str
    size: int = Field(description="Bytes of the whole artifact.")
    sha256: str
    offset: int
    length: int = Field(description="Bytes in this part.")
    next_offset: int | None = Field(description="Pass it as offset to read on; null at the end.")
    next_line: int | None = Field(description="Pass it as line to read on, if line was given.")
    encoding: Literal["text", "base64", "image", "pending"] = Field(
        description="image: shown as an image block, not in content. pending: being rendered, call again."
    )
    charset: str | None = Field(description="Of the text in the file.")
    content: str
    warnings: list[str] = Field(default_factory=list)
    download_url: str


class ReadArtifact(LightTool[ReadArtifactArguments]):
    """Reads a part, or shows a page as an image."""

    name = "read_artifact"
    description = (
        "Read a file in parts, by bytes or lines, as text or base64; look at a picture, or with page=1 at a page of a "
        "PDF. To give the file to the user use its download_url, to hand it to another tool artifact:<id>."
    )
    arguments = ReadArtifactArguments
    answers = PartAnswer

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._previews = Previews(services)

    async def do(self, value: ReadArtifactArguments, caller: Caller) -> CallToolResult:
        if sum((value.offset > 0, value.line is not None, value.page is not None)) > 1:
            message = "read_artifact was not run: send only one of offset, line and page, and call it again."
            raise BadInput(message)
        artifact = (await self._services.store.get(value.artifact_id, principal=caller.principal)).check_uploaded()
        if value.page is not None:
            return await self._rendered(artifact, value.page, value.wait_seconds, caller)
        if value.offset == 0 and value.line is None and value.encoding == "auto":
            if picture := await self._picture(artifact, caller):
                return picture
            if artifact.mime_type.startswith("image/") and self._previews.renders(artifact):
                return await self._rendered(artifact, 1, value.wait_seconds, caller)
        return await self._part(artifact, value, caller)

    async def _part(self, artifact: Artifact, value: ReadArtifactArguments, caller: Caller) -> CallToolResult:
        start, end = value.offset, value.offset + value.length
        if value.offset > artifact.size:
            message = f"offset {value.offset} is beyond the end: {artifact.name} has {artifact.size} bytes."
            raise BadInput(message)
        store = self._services.store
        text = await text_file(store, artifact, value.encoding)
        if value.line is not None:
            start, end = await span_of_lines(store, artifact, text, value.line, value.lines)
        found = await part(store, artifact, start, end, text)
        return _answer(artifact, caller, TextContent(text=found.content), found, line=value.line)

    async def _picture(
        self, artifact: Artifact, caller: Caller, *, of: Artifact | None = None, warnings: Sequence[str] = ()
    ) -> CallToolResult | None:
        """The whole file as an image block, if models accept it and see it upright."""
        if not artifact.mime_type.startswith("image/") or artifact.size > MAX_PICTURE:
            return None
        data = await read(self._services.store, artifact, 0, artifact.size)
        turned = of is None and may_be_turned(artifact.mime_type, data) and self._previews.renders(artifact)
        if turned or not is_picture(artifact.mime_type, data):
            return None
        block = ImageContent(data=base64.b64encode(data).decode(), mime_type=artifact.mime_type)
        return _answer(of or artifact, caller, block, None, warnings=warnings)

    async def _rendered(self, artifact: Artifact, page: int, wait: float, caller: Caller) -> CallToolResult:
        preview = await self._previews.render(artifact, page, wait, caller)
        if isinstance(preview, Record):
            text = f"The image of {artifact.name} is being rendered: call read_artifact again with the same arguments."
            text = "\n".join([text, *await notes(preview, self._services)])
            return _answer(artifact, caller, TextContent(text=text), None, pending=True)
        small = preview.artifact
        picture = await self._picture(small, caller, of=artifact, warnings=preview.warnings)
        if picture is None:
            message = (
                f"The image of {artifact.name} has {small.size} bytes, too many to show: read it from "
                f"{caller.links.download(small)}, or make it smaller with transform_image."
            )
            raise BadInput(message)
        return picture


class DeleteArtifactArguments(Model):
    """Arguments of delete_artifact."""

    artifact_ids: Annotated[list[ArtifactId], Field(min_length=1, max_length=100)] = Field(
        description="1 to 100 ids, from a job's artifacts or from create_upload."
    )


class DeletedAnswer(Model):
    """The outcome for each id."""

    deleted: list[str] = Field(description="Gone, and not counted in your storage any more.")
    unknown: list[str] = Field(description="Not there: deleted before, expired, or never yours.")


class DeleteArtifact(LightTool[DeleteArtifactArguments]):
    """Deletes artifacts, which frees quota."""

    name = "delete_artifact"
    description = (
        "Delete files of yours for good, also uploads that have not come: frees your storage immediately. Links to "
        "them end, and jobs that still need them fail. The bytes themselves, which equal files share, leave the disk a "
        "few hours after they would have expired."
    )
    arguments = DeleteArtifactArguments
    answers = DeletedAnswer
    read_only = False
    destructive = True

    async def do(self, value: DeleteArtifactArguments, caller: Caller) -> CallToolResult:
        deleted = await self._services.store.delete(value.artifact_ids, principal=caller.principal)
        unknown = [one for one in dict.fromkeys(value.artifact_ids) if one not in set(deleted)]
        lines = (
            [f"Deleted {len(deleted)} file{'s' if len(deleted) > 1 else ''}; their room is free."] if deleted else []
        )
        lines += [NotFound.artifact(one).message for one in unknown[:_MAX_SENTENCES]]
        if len(unknown) > _MAX_SENTENCES:
            lines.append(f"The same goes for {len(unknown) - _MAX_SENTENCES} more ids: they are in unknown.")
        return text_result("\n".join(lines), DeletedAnswer(deleted=deleted, unknown=unknown), is_error=not deleted)


def tools(services: Services) -> list[AnyTool]:
    """All tools of this module."""
    return [CreateUpload(services), ReadArtifact(services), DeleteArtifact(services)]


def _answer(  # noqa: PLR0913 -- the last two are named
    artifact: Artifact,
    caller: Caller,
    block: ContentBlock,
    found: Part | None,
    *,
    line: int | None = None,
    pending: bool = False,
    warnings: Sequence[str] = (),
) -> CallToolResult:
    """The answer of read_artifact; without a part, it is about the whole file as an image."""
    fields: dict[str, Any] = {"offset": 0, "length": artifact.size, "content": "", "charset": None}
    fields |= {"encoding": "pending" if pending else "image", "next_offset": None, "next_line": None}
    if found:
        end = found.offset + found.length
        fields |= {"offset": found.offset, "length": found.length, "content": found.content, "charset": found.charset}
        warnings = found.warnings
        fields["encoding"] = "text" if found.charset else "base64"
        if end < artifact.size:
            fields |= {"next_offset": end, "next_line": line + found.lines if line and found.lines else None}
    structured = PartAnswer(
        artifact_id=artifact.artifact_id,
        name=artifact.name,
        mime_type=artifact.mime_type,
        size=artifact.size,
        sha256=artifact.sha256,
        download_url=caller.links.download(artifact),
        warnings=list(warnings),
        **fields,
    )
    blocks = [block, *([TextContent(text=" ".join(structured.warnings))] if structured.warnings else [])]
    return CallToolResult(content=blocks, structured_content=structured.model_dump(mode="json"))
