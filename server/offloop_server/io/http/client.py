"""The front end's way to the outside: one client for the life of the server, shared by all callers."""

from __future__ import annotations

import asyncio
import io
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import BinaryIO, Final, Self

from offloop.errors import BadInput, FetchFailed
from offloop.outbound.fetch import Ask, Bounds, Fetched, fetch_to
from offloop.outbound.policy import Policy
from offloop.outbound.pool import Connections
from offloop.outbound.redirects import pause_asked_for
from offloop.outbound.transport import GuardedTransport, Resolve, client_of
from offloop.settings import Settings
from offloop_server.io.http.converters import Converters
from offloop_server.io.http.limits import Turns
from offloop_server.io.http.pages import Page, read

IN_MEMORY: Final = 4 << 20
"""Bytes of a body that is answered rather than saved; more is for files."""
IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_AGAIN: Final = frozenset({429, 502, 503, 504})
_FIRST_PAUSE: Final = 0.25
_MAX_PAUSE: Final = 10.0


@dataclass(frozen=True, slots=True)
class Effort:
    """How hard to try.

    Attributes:
        seconds: for everything but waiting for turns, retries included; None for as long as the settings allow.
        retries: how often a request that can safely be repeated is sent again.
        max_bytes: of the unpacked body; None for as much as can be answered.
    """

    seconds: float | None = None
    retries: int = 2
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer, and what it took to get it.

    Attributes:
        fetched: status, headers, sizes.
        body: unpacked; empty where it went to a file.
        attempts: requests that were sent.
        seconds: spent on all attempts and the pauses between them.
        waited: seconds of waiting for turns.
    """

    fetched: Fetched
    body: bytes
    attempts: int
    seconds: float
    waited: float

    @property
    def host(self) -> str:
        return self.fetched.url.split("/")[2]

    @property
    def failed(self) -> bool:
        """Whether the status is an error's."""
        return self.fetched.status >= 400  # noqa: PLR2004 -- RFC 9110

    def failure(self) -> FetchFailed:
        """An error's status as an error: ``HTTP 503 from host: …``, with the beginning of what the host said."""
        excerpt = " ".join(self.body[:2000].decode("utf-8", "replace").split())[:300]
        after = self.fetched.headers.get("retry-after", "")[:40]
        hint = f" It asks to wait: Retry-After {after}." if after else ""
        message = f"HTTP {self.fetched.status} from {self.host}: {excerpt or 'no text'}{hint}"
        return FetchFailed(message, code="http_error", retryable=self.fetched.status in _AGAIN)


class Fetcher:
    """Asks the outside; an async context manager that lives as long as the server.

    Args:
        settings: who may be asked, and the limits.
        resolve: how names become addresses; default: as the system does.
    """

    def __init__(self, settings: Settings, *, resolve: Resolve | None = None) -> None:
        self.policy = Policy.of(settings)
        self.turns = Turns(settings.fetch_concurrency, settings.fetch_per_host, settings.fetch_total_seconds)
        self.per_host = settings.fetch_per_host
        self.max_bytes = settings.fetch_max_mb << 20
        self._most = Bounds(settings.fetch_connect_seconds, settings.fetch_read_seconds, settings.fetch_total_seconds)
        self._transport = GuardedTransport(self.policy, keep=settings.fetch_concurrency, resolve=resolve)
        self._client = client_of(self._transport)
        self._converters = Converters()
        self._open = AsyncExitStack()

    @property
    def connections(self) -> Connections:
        """The open ones."""
        return self._transport.connections

    async def __aenter__(self) -> Self:
        """Open the client, and what reads pages where there may be any."""
        await self._open.enter_async_context(self._client)
        if self.policy.enabled:
            await self._open.enter_async_context(self._converters)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def get(
        self,
        url: str,
        *,
        principal: str,
        effort: Effort | None = None,
        extract: str = "auto",
        max_chars: int = 100_000,
    ) -> tuple[Answered, Page]:
        """Fetch a URL and read it by its type; what the tools and other parts of the server build upon.

        Raises:
            Refused: the URL may not be asked.
            BadInput: a limit does not fit.
            FetchFailed: no answer in time, an error's status, or not what `extract` asks for.
            Busy: no turn came in time.
        """
        answered = await self.send(Ask(url), effort, principal=principal)
        if answered.failed:
            raise answered.failure()
        return answered, await self.read(answered, extract, (0, max_chars), principal=principal)

    async def read(self, answered: Answered, extract: str, span: tuple[int, int], *, principal: str) -> Page:
        """The body by its type.

        Args:
            answered: what came.
            extract: how to read it.
            span: the first character, and how many at most.
            principal: whose turn it takes to convert a page.

        Raises:
            FetchFailed: it is not what `extract` asks for.
            BadInput: the offset is beyond its end.
        """
        convert = partial(self._converters.convert, principal=principal)
        return await read(answered.fetched, answered.body, extract, convert, span=span)

    async def send(
        self, ask: Ask, effort: Effort | None = None, into: BinaryIO | None = None, *, principal: str
    ) -> Answered:
        """Send a request, several times if it may be repeated and that helps.

        Args:
            ask: the request.
            effort: how hard to try.
            into: takes the body; without it, the body is answered.
            principal: whose turns it takes.

        Raises:
            Refused: the URL may not be asked.
            BadInput: a header or a limit does not fit.
            FetchFailed: no answer in time; one with an error's status is an answer.
            Busy: no turn came in time.
        """
        effort = effort or Effort()
        bounds = self.bounds(effort, to_file=bool(into))
        tries = 1 + (effort.retries if ask.method in IDEMPOTENT else 0)
        began, waited, attempt = time.monotonic(), 0.0, 0

        @asynccontextmanager
        async def turn(host: str) -> AsyncIterator[float]:
            nonlocal waited
            async with self.turns(principal, host) as waiting:
                waited += waiting
                yield waiting

        while True:
            attempt += 1
            body = into or io.BytesIO()
            left = bounds.total - (time.monotonic() - began - waited)
            pause = _pause(attempt)
            try:
                fetched = await fetch_to(
                    self._client, self.policy, ask, body, replace(bounds, total=max(0.001, left)), turn=turn
                )
            except FetchFailed as error:
                left = bounds.total - (time.monotonic() - began - waited)
                if attempt == tries or not error.retryable or pause >= left:
                    raise _after(error, attempt) from None
            else:
                seconds = time.monotonic() - began - waited
                pause = pause_asked_for(fetched.headers.get("retry-after", "")) or pause
                if attempt == tries or fetched.status not in _AGAIN or pause >= bounds.total - seconds:
                    content = body.getvalue() if isinstance(body, io.BytesIO) else b""
                    return Answered(fetched, content, attempt, seconds, waited)
            if into:
                await asyncio.to_thread(_empty, into)
            await asyncio.sleep(pause)

    def bounds(self, effort: Effort, *, to_file: bool = False) -> Bounds:
        """What one fetch may take, and an effort may not exceed.

        Raises:
            BadInput: it does.
        """
        seconds = self._most.total if effort.seconds is None else effort.seconds
        if not 0 < seconds <= self._most.total:
            message = f"timeout_seconds may be at most {self._most.total:g} here (OFFLOOP_FETCH_TOTAL_SECONDS)."
            raise BadInput(message)
        most = self.max_bytes if to_file else min(IN_MEMORY, self.max_bytes)
        return replace(self._most, total=seconds, max_bytes=min(most, effort.max_bytes or most))


def _pause(attempt: int) -> float:
    """Longer each time, and never the same for two callers that failed together."""
    longest: float = min(_MAX_PAUSE, _FIRST_PAUSE * 2.0**attempt)
    return random.uniform(longest / 2, longest)  # noqa: S311 -- jitter keeps no secret


def _after(error: FetchFailed, attempts: int) -> FetchFailed:
    again = f" It was asked {attempts} times." if attempts > 1 else ""
    return FetchFailed(error.message + again, code=error.reason, retryable=error.retryable)


def _empty(file: BinaryIO) -> None:
    file.seek(0)
    file.truncate()
