"""Files over plain HTTP, by signed link: downloads with ranges, uploads with one PUT."""

from __future__ import annotations

import asyncio
import hashlib
import re
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from starlette.responses import JSONResponse, Response, StreamingResponse

from offloop.errors import BadInput, LimitExceeded, NotFound, OffloopError, Unavailable

if TYPE_CHECKING:
    from starlette.requests import Request

    from offloop.artifacts import Artifact, ArtifactStore
    from offloop.links import Links

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_WRITE: Final = 1 << 20
_STATUS: Final = {"not_found": 404, "conflict": 409, "unavailable": 503, "limit_exceeded": 413}


class Files:
    """The routes under ``/files``.

    Args:
        store: where the bytes are.
        links: knows which links are ours.
        max_bytes: largest upload.
    """

    def __init__(self, store: ArtifactStore, links: Links, max_bytes: int) -> None:
        """Keep them."""
        self._store = store
        self._links = links
        self._max_bytes = max_bytes

    async def handle(self, request: Request) -> Response:
        """``GET``, ``HEAD`` or ``PUT /files/{artifact_id}?expires=…&signature=…``."""
        artifact_id = request.path_params["artifact_id"]
        method = "PUT" if request.method == "PUT" else "GET"
        query = request.query_params
        if not self._links.holds(method, artifact_id, query.get("expires", ""), query.get("signature", "")):
            message = "This link is not valid or has run out; job_status and create_upload make new ones."
            return JSONResponse({"error": message}, status_code=403)
        try:
            if method == "PUT":
                return await self._take(request, artifact_id)
            _, artifact = await self._store.find(artifact_id)
            if artifact.pending:
                raise NotFound.artifact(artifact_id)
            return self._give(request, artifact)
        except OffloopError as error:
            status = _STATUS.get(error.reason, 400)
            retry = {"Retry-After": "5"} if isinstance(error, Unavailable) else None
            return JSONResponse({"error": error.message}, status_code=status, headers=retry)

    def _give(self, request: Request, artifact: Artifact) -> Response:
        headers = {
            "Accept-Ranges": "bytes",
            "Cache-Control": "private, no-store",
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(artifact.name, safe='')}",
            "Content-Security-Policy": "sandbox; default-src 'none'",
            "Content-Type": artifact.mime_type,
            "ETag": f'"{artifact.sha256}"',
            "X-Content-Type-Options": "nosniff",
        }
        start, end, status = 0, artifact.size, 200
        if span := request.headers.get("range"):
            found = _span(span, artifact.size)
            if found == "unsatisfiable":
                return Response(status_code=416, headers={"Content-Range": f"bytes */{artifact.size}"})
            if isinstance(found, tuple):
                (start, end), status = found, 206
                headers["Content-Range"] = f"bytes {start}-{end - 1}/{artifact.size}"
        headers["Content-Length"] = str(end - start)
        if request.method == "HEAD":
            return Response(status_code=status, headers=headers)
        return StreamingResponse(self._store.stream(artifact, start, end), status_code=status, headers=headers)

    async def _take(self, request: Request, artifact_id: str) -> Response:
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > self._max_bytes:
            raise self._too_large()
        with tempfile.TemporaryDirectory(prefix="offloop-upload-") as folder:
            path = Path(folder) / "bytes"
            digest = await self._write(request.stream(), path)
            artifact = await self._store.complete(artifact_id, path, digest=digest)
        answer = {"artifact_id": artifact.artifact_id, "size": artifact.size, "sha256": artifact.sha256}
        return JSONResponse(answer, status_code=201)

    async def _write(self, stream: AsyncIterator[bytes], path: Path) -> str:
        """Write the body in pieces, in a thread; answers its SHA-256."""
        digest, size, held = hashlib.sha256(), 0, bytearray()

        def flush() -> None:
            digest.update(held)
            file.write(held)
            held.clear()

        with path.open("xb") as file:
            async for piece in stream:
                size += len(piece)
                if size > self._max_bytes:
                    raise self._too_large()
                held += piece
                if len(held) >= _WRITE:
                    await asyncio.to_thread(flush)
            await asyncio.to_thread(flush)
        if not size:
            message = "the upload has no bytes; send the file as the body of the PUT"
            raise BadInput(message)
        return digest.hexdigest()

    def _too_large(self) -> LimitExceeded:
        return LimitExceeded(
            f"An upload may have {self._max_bytes} bytes (OFFLOOP_MAX_UPLOAD_MB); send a smaller file."
        )


def _span(header: str, size: int) -> tuple[int, int] | str | None:
    """One byte range as (start, end); ``"unsatisfiable"``; or None where the header asks for nothing we serve."""
    found = _RANGE.fullmatch(header.strip())
    if not found or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        return (max(0, size - int(last)), size) if int(last) and size else "unsatisfiable"
    start = int(first)
    end = min(int(last) + 1, size) if last else size
    if start >= size:
        return "unsatisfiable"
    return (start, end) if start < end else None
