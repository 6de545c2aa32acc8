"""Files over plain HTTP: downloads with ranges and PUT uploads by signed link, POST uploads by API key."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response, StreamingResponse

from offloop.errors import NotFound, OffloopError, Unavailable
from offloop.paths import safe_name
from offloop.redis.codec import timestamp
from offloop_server.web.forms import ENVELOPE, sink
from offloop_server.web.uploads import Sink, folder, open_new, receive, too_large

if TYPE_CHECKING:
    from starlette.requests import Request

    from offloop.artifacts.links import Links
    from offloop.artifacts.store import Artifact, ArtifactStore

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_LENGTH = re.compile(r"[0-9]{1,18}")
_STATUS: Final = {"not_found": 404, "conflict": 409, "unavailable": 503, "limit_exceeded": 413, "quota_exceeded": 507}


class Files:
    """The routes under ``/files``.

    Args:
        store: holds the artifacts.
        links: verifies signatures.
        max_bytes: largest upload.
    """

    def __init__(self, store: ArtifactStore, links: Links, max_bytes: int) -> None:
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
                return await self._receive(request, artifact_id)
            _, artifact = await self._store.find(artifact_id)
            if artifact.pending:
                raise NotFound.artifact(artifact_id)
            return self._send(request, artifact)
        except OffloopError as error:
            return _failed(error)
        except ClientDisconnect:
            return Response(status_code=400)  # the client is gone

    async def add(self, request: Request, principal: str) -> Response:
        """``POST /files``: the body, or the file of a form, becomes an artifact of the principal."""
        try:
            return await self._accept(request, principal)
        except OffloopError as error:
            return _failed(error)
        except ClientDisconnect:
            return Response(status_code=400)

    def _send(self, request: Request, artifact: Artifact) -> Response:
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

    async def _receive(self, request: Request, artifact_id: str) -> Response:
        owner, _ = await self._store.find(artifact_id)
        await self._check_declared(request, owner)
        with folder() as directory:
            path, file = open_new(directory)
            with file:
                digest = await receive(
                    request.stream(), Sink(file, self._max_bytes), self._max_bytes, max_bytes=self._max_bytes
                )
            artifact = await self._store.complete(artifact_id, path, digest=digest)
        return _created(artifact)

    async def _accept(self, request: Request, principal: str) -> Response:
        await self._check_declared(request, principal)
        with folder() as directory:
            path, file = open_new(directory)
            with file:
                into, max_body = sink(request.headers, file, self._max_bytes)
                digest = await receive(request.stream(), into, max_body, max_bytes=self._max_bytes)
            artifact = await self._store.put(
                path,
                principal=principal,
                name=safe_name(into.name, "upload"),
                mime_type=into.mime_type,
                digest=digest,
            )
        return _created(artifact)

    async def _check_declared(self, request: Request, principal: str) -> None:
        """Refuse a declared size beyond the limit or the quota before the body is read."""
        declared = request.headers.get("content-length", "")
        around = ENVELOPE if request.method == "POST" else 0  # a form is larger than its file
        size = int(declared) - around if _LENGTH.fullmatch(declared) else 0
        if size > self._max_bytes:
            raise too_large(self._max_bytes)
        await self._store.quotas.check_room(principal, max(0, size))


def _created(artifact: Artifact) -> JSONResponse:
    answer = {
        "artifact_id": artifact.artifact_id,
        "reference": f"artifact:{artifact.artifact_id}",
        "size": artifact.size,
        "sha256": artifact.sha256,
        "expires_at": timestamp(artifact.expires),
    }
    return JSONResponse(answer, status_code=201)


def _failed(error: OffloopError) -> JSONResponse:
    retry = {"Retry-After": "5"} if isinstance(error, Unavailable) else None
    return JSONResponse({"error": error.message}, status_code=_STATUS.get(error.reason, 400), headers=retry)


def _span(header: str, size: int) -> tuple[int, int] | str | None:
    """One byte range as (start, end), ``"unsatisfiable"``, or None for a header that is not supported."""
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
