"""Files that a worker fetches for its jobs, through the guard; a child has no network of its own.

A job's input may name files by URL, and its work may ask for more while it runs (``context.fetch``). Both come into
the attempt's own folder, in files that the worker makes anew: nothing that a child put there first is written through.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from offloop.errors import BadInput, FetchFailed, JobError, LimitExceeded, OffloopError, Refused, as_job_error
from offloop.outbound.client import OutboundClient
from offloop.outbound.fetch import FetchLimits, fetch_to
from offloop.outbound.policy import Policy
from offloop.outbound.redirects import OutboundRequest
from offloop.urls import shown

if TYPE_CHECKING:
    from offloop.kinds.limits import Limits
    from offloop.outbound.fetch import OutboundResponse
    from offloop.settings import Settings

MAX_NAMED: Final = 100
"""URLs that the input of one job may name."""
FULL_FILES: Final = 4
"""Bytes that may be fetched for one attempt, in files of the largest size (``OFFLOOP_FETCH_MAX_MB``)."""


class Fetching:
    """HTTP client of a worker: an async context manager.

    Args:
        settings: allowed hosts, and the limits of one fetch.
    """

    def __init__(self, settings: Settings) -> None:
        self._policy = Policy.of(settings)
        self._limits = FetchLimits(
            connect=settings.fetch_connect_seconds,
            read=settings.fetch_read_seconds,
            total=settings.fetch_total_seconds,
            max_bytes=settings.fetch_max_mb << 20,
        )
        self._client: OutboundClient | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections. Safe to call twice."""
        client, self._client = self._client, None
        if client:
            await client.aclose()

    @property
    def file_bytes(self) -> int:
        """Size limit of one file, in bytes."""
        return self._limits.max_bytes

    async def fetch(self, url: str, path: Path, most: int | None = None) -> OutboundResponse:
        """Fetch a URL to a file that does not exist yet.

        Args:
            url: the URL to fetch.
            path: the file.
            most: size limit in bytes, if lower than `file_bytes`.

        Raises:
            Refused: the policy does not allow the URL.
            FetchFailed: no answer, one that is not the file (`offloop.outbound.outcome`), or one above the size limit.
        """
        if self._client is None:
            self._client = OutboundClient(self._policy)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        limits = self._limits if most is None else replace(self._limits, max_bytes=min(most, self.file_bytes))
        with os.fdopen(descriptor, "wb") as file:
            found = await fetch_to(self._client, OutboundRequest(url), file, limits)
        if found.failed or found.no_file:
            error = found.refusal()
            why = error.message.rstrip(".")
            message = f"{shown(url)} was not fetched. {why}. Check the URL, or send the file itself."
            raise FetchFailed(message, code=error.reason, retryable=error.retryable)
        return found


@dataclass(slots=True)
class FetchBudget:
    """Budget of fetches for one attempt.

    Attributes:
        fetching: the worker's client; None refuses every fetch.
        kind: name of the job's kind, for messages.
        limits: limits of the attempt.
        folder: destination of the files, created by the first fetch.
    """

    fetching: Fetching | None
    kind: str
    limits: Limits
    folder: str
    _asked: int = field(default=0, init=False)
    _named: int = field(default=0, init=False)
    _bytes: int = field(default=0, init=False)
    _count: int = field(default=0, init=False)

    async def fetch_input(self, url: str) -> tuple[str, OutboundResponse]:
        """Fetch a file that the input names; returns its local path and the response.

        Raises:
            LimitExceeded: the input names too many URLs, or their files have too many bytes together.
            OffloopError: the fetch is not allowed, or failed.
        """
        self._named += 1
        if self._named > MAX_NAMED:
            message = (
                f"{self.kind} was given more than {MAX_NAMED} URLs, the most that one job may name: upload the files "
                "and send artifact:<id>, or split the work over several jobs."
            )
            raise LimitExceeded(message)
        return await self._fetch(url)

    async def _fetch(self, url: str) -> tuple[str, OutboundResponse]:
        if self.fetching is None:
            message = f"{shown(url)} was not asked: this worker fetches nothing. Send the file itself."
            raise Refused(message)
        folder = Path(self.folder)
        await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True, exist_ok=True)
        self._count += 1
        path = folder / f"fetched-{self._count}"
        left = FULL_FILES * self.fetching.file_bytes - self._bytes
        if left <= 0:
            raise self._too_much(self.fetching)
        try:
            return str(path), await self.fetching.fetch(url, path, left)
        except FetchFailed as error:
            if error.reason == "too_large" and left < self.fetching.file_bytes:
                raise self._too_much(self.fetching) from None
            raise
        finally:
            with suppress(OSError):
                self._bytes += path.lstat().st_size  # a partial answer counts too

    def _too_much(self, fetching: Fetching) -> LimitExceeded:
        message = (
            f"The files fetched for {self.kind} have more than {FULL_FILES * fetching.file_bytes / (1 << 20):,g} MiB "
            f"together ({FULL_FILES} times OFFLOOP_FETCH_MAX_MB): send smaller ones, upload them and send "
            "artifact:<id>, or split the work over several jobs."
        )
        return LimitExceeded(message)

    async def answer(self, url: object) -> dict[str, Any]:
        """Fetch a URL that the work asks for while it runs: ``{fetched: …}``, or ``{refused: …}`` with the reason."""
        try:
            if not isinstance(url, str):
                message = "context.fetch takes one URL"
                raise BadInput(message)
            self._asked += 1
            self.limits.check_fetches(self.kind, self._asked)
            path, found = await self._fetch(url)
        except OffloopError as error:
            return {"refused": as_job_error(error).to_wire()}
        except OSError:
            message = "The worker could not keep what it fetched: try again later."
            return {"refused": JobError(message, code="no_space", retryable=True).to_wire()}
        fields = {"path": path, "mime_type": found.mime_type, "url": found.url, "charset": found.charset}
        return {"fetched": fields}
