"""Retries: the attempts of one request, and the pauses between them."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Final, Self

from offloop.errors import FetchFailed
from offloop.outbound.fetch import OutboundResponse, Permit
from offloop.outbound.outcome import RETRIED
from offloop.outbound.redirects import pause_asked_for

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_FIRST_PAUSE: Final = 0.25
_MAX_PAUSE: Final = 10.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Bounds of one request, all attempts together.

    Attributes:
        seconds: for everything but waiting for permits, pauses included; None for as long as the settings allow.
        retries: how often an idempotent request is sent again.
        max_bytes: of the unpacked body; None for as much as can be answered.
    """

    seconds: float | None = None
    retries: int = 2
    max_bytes: int | None = None


class Attempt:
    """One attempt: a context manager that keeps a `FetchFailed` for later.

    Attributes:
        response: for the caller to set.
        error: raised inside the block.
    """

    def __init__(self) -> None:
        self.response: OutboundResponse | None = None
        self.error: FetchFailed | None = None

    @property
    def repeatable(self) -> bool:
        """Whether the same request may succeed later."""
        if self.error:
            return self.error.retryable
        return self.response is not None and self.response.status in RETRIED

    @property
    def pause_asked_for(self) -> float | None:
        """Seconds that the host asks to wait."""
        return pause_asked_for(self.response.headers.get("retry-after", "")) if self.response else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        if isinstance(error, FetchFailed):
            self.error = error
        return self.error is not None


class Attempts:
    """Iterates over attempts until one is conclusive, none is left, or the next pause would exceed the deadline.

    It is used as ``async for attempt in attempts: with attempt: attempt.response = …``, then `outcome`.

    Args:
        retries: how many attempts may follow the first.
        seconds: for all of them and the pauses between them, without waiting for permits.
    """

    def __init__(self, retries: int, seconds: float) -> None:
        self._attempts = 1 + retries
        self._seconds = seconds
        self._began = time.monotonic()
        self._waited = 0.0
        self._made = 0
        self._last = Attempt()

    @property
    def spent(self) -> float:
        """Seconds since the beginning, without waiting for permits."""
        return time.monotonic() - self._began - self._waited

    @property
    def left(self) -> float:
        """Seconds that remain; always above 0, so that a late attempt fails by its own timeout."""
        return max(0.001, self._seconds - self.spent)

    def counting(self, permit: Permit) -> Permit:
        """The same permit, with the wait for it excluded from `spent`, however the attempt ends."""

        @asynccontextmanager
        async def counted(host: str) -> AsyncIterator[float]:
            async with permit(host) as waited:
                self._waited += waited
                yield waited

        return counted

    def outcome(self) -> OutboundResponse:
        """The response of the last attempt, with the figures of all.

        Raises:
            FetchFailed: the last attempt had none.
        """
        if error := self._last.error:
            again = f" It was asked {self._made} times." if self._made > 1 else ""
            raise FetchFailed(error.message + again, code=error.reason, retryable=error.retryable)
        if self._last.response is None:
            message = "no attempt was made"
            raise RuntimeError(message)
        return replace(self._last.response, attempts=self._made, seconds=self.spent, waited=self._waited)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Attempt:
        if self._made:
            pause = self._last.pause_asked_for or _jittered(self._made)
            if not self._last.repeatable or self._made == self._attempts or pause >= self._seconds - self.spent:
                raise StopAsyncIteration
            await asyncio.sleep(pause)
        self._made += 1
        self._last = Attempt()
        return self._last


def _jittered(attempt: int) -> float:
    """Exponential backoff with jitter, in seconds."""
    longest: float = min(_MAX_PAUSE, _FIRST_PAUSE * 2.0**attempt)
    return random.uniform(longest / 2, longest)  # noqa: S311 -- jitter is no secret
