"""The front end's HTTP client: one for the life of the server, shared by all callers."""

from __future__ import annotations

import asyncio
import io
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import BinaryIO, Final, Self

from offloop.errors import BadInput
from offloop.outbound.client import OutboundClient
from offloop.outbound.fetch import FetchLimits, OutboundResponse, fetch_to
from offloop.outbound.policy import Policy
from offloop.outbound.redirects import OutboundRequest
from offloop.outbound.transport import Resolve
from offloop.settings import Settings
from offloop_server.io.http.converters import Converters
from offloop_server.io.http.decoders import Decoders
from offloop_server.io.http.limits import RequestLimiter
from offloop_server.io.http.pages import Page, read
from offloop_server.io.http.retries import IDEMPOTENT, Attempts, RetryPolicy

IN_MEMORY: Final = 4 << 20
"""Bytes of a body that is answered rather than saved; more is for files."""


class Fetcher:
    """Sends requests for all callers; an async context manager that lives as long as the server.

    Args:
        settings: hosts that may be asked, and the limits.
        resolve: how names become addresses; default: as the system does.
    """

    def __init__(self, settings: Settings, *, resolve: Resolve | None = None) -> None:
        self.policy = Policy.of(settings)
        self.limiter = RequestLimiter(settings.fetch_concurrency, settings.fetch_per_host, settings.fetch_total_seconds)
        self.per_host = settings.fetch_per_host
        self.max_bytes = settings.fetch_max_mb << 20
        self._limits = FetchLimits(
            settings.fetch_connect_seconds, settings.fetch_read_seconds, settings.fetch_total_seconds
        )
        self._client = OutboundClient(self.policy, keep=settings.fetch_concurrency, resolve=resolve)
        self._converters = Converters()
        self._decoders = Decoders()
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Open the client, and the page converters where any host may be asked."""
        await self._open.enter_async_context(self._client)
        if self.policy.enabled:
            await self._open.enter_async_context(self._converters)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def send(
        self,
        request: OutboundRequest,
        retry: RetryPolicy | None = None,
        into: BinaryIO | None = None,
        *,
        principal: str,
    ) -> OutboundResponse:
        """Send a request, several times if it is idempotent and that helps.

        Args:
            request: what to ask.
            retry: bounds of all attempts.
            into: receives the body; without it, the response has it.
            principal: charged for the permits.

        Raises:
            Refused: the URL may not be asked.
            BadInput: a header or a limit does not fit.
            FetchFailed: no response in time; one with an error's status is a response.
            Busy: no permit came in time.
        """
        retry = retry or RetryPolicy()
        limits = self.limits(retry, to_file=bool(into))
        attempts = Attempts(retry.retries if request.method in IDEMPOTENT else 0, limits.total)
        permit = attempts.counting(partial(self.limiter.permit, principal))
        body: BinaryIO = into or io.BytesIO()
        async for attempt in attempts:
            await _empty(body)
            with attempt:
                bounds = replace(limits, total=attempts.left)
                attempt.response = await fetch_to(self._client, request, body, bounds, permit=permit)
        response = attempts.outcome()
        return replace(response, body=body.getvalue()) if isinstance(body, io.BytesIO) else response

    async def read(self, response: OutboundResponse, extract: str, span: tuple[int, int], *, principal: str) -> Page:
        """Read a body by its type.

        Args:
            response: has the body.
            extract: how to read it.
            span: the first character, and how many at most.
            principal: charged for the permits to decode the body and to convert a page.

        Raises:
            FetchFailed: it is not what `extract` asks for.
            BadInput: the offset is beyond its end.
        """
        decode = partial(self._decoders.decode, principal=principal)
        convert = partial(self._converters.convert, principal=principal)
        return await read(response, extract, decode, convert, span=span)

    def limits(self, retry: RetryPolicy, *, to_file: bool = False) -> FetchLimits:
        """The limits of one fetch; those of the settings bound them.

        Raises:
            BadInput: `retry` exceeds them.
        """
        seconds = self._limits.total if retry.seconds is None else retry.seconds
        if not 0 < seconds <= self._limits.total:
            message = f"timeout_seconds may be at most {self._limits.total:g} here (OFFLOOP_FETCH_TOTAL_SECONDS)."
            raise BadInput(message)
        most = self.max_bytes if to_file else min(IN_MEMORY, self.max_bytes)
        return replace(self._limits, total=seconds, max_bytes=min(most, retry.max_bytes or most))


async def _empty(body: BinaryIO) -> None:
    """Drop what an earlier attempt has written."""
    if body.tell():
        await asyncio.to_thread(lambda: (body.seek(0), body.truncate()))
