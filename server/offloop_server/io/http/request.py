"""Requests of the HTTP tools: allowed headers, the body read or kept as a file, one shape of answer."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, replace
from email.errors import HeaderParseError
from email.header import decode_header
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from offloop.artifacts.store import Artifact, ArtifactStore
from offloop.charsets.text import decoded
from offloop.errors import BadInput, FetchFailed, Refused
from offloop.outbound.fetch import OutboundResponse
from offloop.outbound.outcome import NOT_MODIFIED
from offloop.outbound.redirects import OutboundRequest
from offloop.paths import safe_name
from offloop_server.io.http import refreshes
from offloop_server.io.http.answers import HttpAnswer, described
from offloop_server.io.http.client import Fetcher
from offloop_server.io.http.pages import Page
from offloop_server.io.http.refreshes import MAX_REFRESHES
from offloop_server.io.http.retries import RetryPolicy
from offloop_server.toolkit.answers import artifact_answer
from offloop_server.toolkit.services import Caller

_ALLOWED = frozenset({
    "accept", "accept-language", "api-key", "authorization", "cache-control", "content-language", "content-type",
    "cookie", "dnt", "idempotency-key", "if-match", "if-modified-since", "if-none-match", "if-range",
    "if-unmodified-since", "notion-version", "prefer", "private-token", "range", "referer", "user-agent",
})  # fmt: skip
# Proxies and metadata services take these as a sign that a request comes from inside.
_INSIDE = re.compile(r"x-(forwarded|real-ip|original|rewrite|http-method|aws-|google-|identity-|envoy|amz-)")
_EXTENDED = re.compile(r"filename\*\s*=\s*\"?([A-Za-z0-9._-]{1,40})'[^']{0,40}'([^;\s\"]{1,500})", re.IGNORECASE)
"""A name with its charset (RFC 8187)."""
_NAMED = re.compile(
    r"(?:^|[;\s])filename\s*=\s*(?:\"((?:[^\"\\]|\\.){1,300})\"|([^;\"\s][^;\"]{0,299}))", re.IGNORECASE
)
"""A name, which servers also send with blanks and without quotes."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """Rendering of a body.

    Attributes:
        extract: how to read it.
        offset: the first character.
        max_chars: how many at most.
        save: whether it is kept as a file instead.
    """

    extract: str
    offset: int
    max_chars: int
    save: bool


class HttpRequests:
    """Sends requests for callers.

    Args:
        fetcher: sends them.
        store: keeps bodies.
    """

    def __init__(self, fetcher: Fetcher, store: ArtifactStore) -> None:
        self._fetcher = fetcher
        self._store = store

    async def send(
        self, request: OutboundRequest, retry: RetryPolicy, rendering: Rendering, caller: Caller
    ) -> tuple[HttpAnswer, Page | None]:
        """Send a request; an error's status is an answer.

        Raises:
            OffloopError: refused, or no response came; the message is for the caller.
        """
        check_headers(request)
        if rendering.save and request.method == "HEAD":
            message = "HEAD asks for no content, so there is nothing to save: send GET, or leave out save."
            raise BadInput(message)
        if rendering.save:
            return await self._keep(request, retry, caller), None
        response, page = await self._read(request, retry, rendering, caller)
        for _ in range(MAX_REFRESHES):
            if not page or not (target := refreshes.followed(request, response, page)):
                break
            try:
                onwards = refreshes.hop(self._fetcher.policy, request, response, target)
                left = replace(retry, seconds=max(0.1, self._fetcher.limits(retry).total - response.seconds))
                following, next_page = await self._read(onwards, left, rendering, caller)
            except (FetchFailed, Refused) as error:
                page = refreshes.stays(page, target, error)
                break
            response, page = refreshes.joined(response, following, request, onwards), next_page
        if page:
            page = refreshes.noted(page, response)
        return described(request.url, response, page), page

    async def _read(
        self, request: OutboundRequest, retry: RetryPolicy, rendering: Rendering, caller: Caller
    ) -> tuple[OutboundResponse, Page | None]:
        """Send a request and read the body of its response."""
        response = await self._fetcher.send(request, retry, principal=caller.principal)
        extract = "auto" if response.failed and rendering.extract == "json" else rendering.extract
        if not response.body:
            return response, None
        span = rendering.offset, rendering.max_chars
        return response, await self._fetcher.read(response, extract, span, principal=caller.principal)

    async def _keep(self, request: OutboundRequest, retry: RetryPolicy, caller: Caller) -> HttpAnswer:
        # Made and removed here, not in a thread: a call that is cut must leave nothing behind.
        with tempfile.TemporaryDirectory(prefix="offloop-fetch-") as folder:
            path = Path(folder) / "body"
            with path.open("w+b") as file:
                response = await self._fetcher.send(request, retry, file, principal=caller.principal)
            if response.failed:
                return described(request.url, response, None)
            if response.no_file:
                # A GET wants the file; what another method asked for was done, and nothing has changed is an answer.
                missing = request.method == "GET" and response.status != NOT_MODIFIED
                return described(request.url, response, None, error=response.refusal() if missing else None)
            artifact = await self._put(path, response, caller)
            return described(request.url, response, None, artifact_answer(artifact, caller.links))

    async def _put(self, path: Path, response: OutboundResponse, caller: Caller) -> Artifact:
        return await self._store.put(
            path,
            principal=caller.principal,
            name=saved_name(response),
            mime_type=response.mime_type,
            digest=response.sha256,
        )


def check_headers(request: OutboundRequest) -> None:
    """Check that a caller may set the headers of a request.

    Raises:
        BadInput: one is not on the list.
    """
    for name in request.headers or {}:
        lower = name.lower()
        if lower not in _ALLOWED and (not lower.startswith("x-") or _INSIDE.match(lower)):
            message = (
                f"The header {name[:60]!r} cannot be sent. Allowed: {', '.join(sorted(_ALLOWED))}, and X- headers."
            )
            raise BadInput(message)


def saved_name(response: OutboundResponse) -> str:
    """The file name that the host gives, or the last part of the URL."""
    given = response.headers.get("content-disposition", "")
    if found := _EXTENDED.search(given):
        return safe_name(decoded(unquote_to_bytes(found[2]), declared=found[1]).text, "download")
    if found := _NAMED.search(given):
        return safe_name(_of_words((found[1] or found[2]).replace('\\"', '"').strip()), "download")
    last = urlsplit(response.url).path.rpartition("/")[2]
    return safe_name(decoded(unquote_to_bytes(last)).text, "download")


def _of_words(name: str) -> str:
    """A name with its encoded words decoded (RFC 2047), which many servers send as mails do."""
    if "=?" not in name:
        return name
    try:
        parts = decode_header(name)
    except HeaderParseError:
        return name
    return "".join(
        part if isinstance(part, str) else decoded(part, declared=charset or "").text for part, charset in parts
    )
