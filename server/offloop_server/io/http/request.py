"""One request of a tool: allowed headers, the answer read or kept as a file, and told in one shape."""

from __future__ import annotations

import asyncio
import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from offloop.artifacts.store import Artifact, ArtifactStore
from offloop.errors import BadInput
from offloop.outbound.fetch import Ask, Fetched
from offloop.paths import safe_name
from offloop_server.io.http.answers import HttpAnswer, described
from offloop_server.io.http.client import Answered, Effort, Fetcher
from offloop_server.io.http.pages import Page
from offloop_server.toolkit.answers import artifact_answer
from offloop_server.toolkit.services import Caller

_ALLOWED = frozenset({
    "accept", "accept-language", "api-key", "authorization", "cache-control", "content-language", "content-type",
    "cookie", "dnt", "idempotency-key", "if-match", "if-modified-since", "if-none-match", "if-range",
    "if-unmodified-since", "notion-version", "prefer", "private-token", "range", "referer", "user-agent",
})  # fmt: skip
# Proxies and metadata services take these as a sign that a request comes from inside.
_INSIDE = re.compile(r"x-(forwarded|real-ip|original|rewrite|http-method|aws-|google-|identity-|envoy|amz-)")
_EXCERPT = 2000


@dataclass(frozen=True, slots=True)
class View:
    """What to show of a body.

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


class Visits:
    """Requests for callers.

    Args:
        fetcher: asks.
        store: keeps bodies.
    """

    def __init__(self, fetcher: Fetcher, store: ArtifactStore) -> None:
        self._fetcher = fetcher
        self._store = store

    async def visit(self, ask: Ask, effort: Effort, view: View, caller: Caller) -> tuple[HttpAnswer, Page | None]:
        """Send a request; an error's status is an answer.

        Raises:
            OffloopError: refused, or no answer came; the message is for the caller.
        """
        check_headers(ask)
        if view.save:
            return await self._keep(ask, effort, caller), None
        answered = await self._fetcher.send(ask, effort, principal=caller.principal)
        extract = "auto" if answered.failed and view.extract == "json" else view.extract
        page = None
        if answered.body:
            span = view.offset, view.max_chars
            page = await self._fetcher.read(answered, extract, span, principal=caller.principal)
        return described(ask.url, answered, page), page

    async def _keep(self, ask: Ask, effort: Effort, caller: Caller) -> HttpAnswer:
        # Made and removed at once, not in a thread: a call that is cut must leave nothing behind.
        with tempfile.TemporaryDirectory(prefix="offloop-fetch-") as folder:
            path = Path(folder) / "body"
            with path.open("w+b") as file:
                answered = await self._fetcher.send(ask, effort, file, principal=caller.principal)
            if answered.failed:
                head = await asyncio.to_thread(_head, path)
                return described(ask.url, replace(answered, body=head), None)
            return described(
                ask.url, answered, None, artifact_answer(await self._put(path, answered, caller), caller.links)
            )

    async def _put(self, path: Path, answered: Answered, caller: Caller) -> Artifact:
        return await self._store.put(
            path,
            principal=caller.principal,
            name=_name(answered.fetched),
            mime_type=answered.fetched.mime_type,
            digest=answered.fetched.sha256,
        )


def check_headers(ask: Ask) -> None:
    """See that a caller may set the headers.

    Raises:
        BadInput: one is not on the list.
    """
    for name in ask.headers or {}:
        lower = name.lower()
        if lower not in _ALLOWED and (not lower.startswith("x-") or _INSIDE.match(lower)):
            message = (
                f"The header {name[:60]!r} cannot be sent. Allowed: {', '.join(sorted(_ALLOWED))}, and X- headers."
            )
            raise BadInput(message)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_EXCERPT)


def _name(fetched: Fetched) -> str:
    """What the host calls the file, or the last part of its URL."""
    told = fetched.headers.get("content-disposition", "")
    if found := re.search(r"filename\*\s*=\s*utf-8''([^;\s]{1,500})", told, re.IGNORECASE):
        return safe_name(unquote(found[1]), "download")
    if found := re.search(r"filename\s*=\s*(?:\"([^\"]{1,300})\"|([^;\s\"]{1,300}))", told, re.IGNORECASE):
        return safe_name(found[1] or found[2], "download")
    return safe_name(unquote(urlsplit(fetched.url).path.rpartition("/")[2]), "download")
