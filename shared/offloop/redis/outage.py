"""Outages of Redis: the errors that count, how long a call waits, and the error its caller gets."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import NoReturn

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from offloop import logs
from offloop.errors import Unavailable

log = logs.get(__name__)

ANSWER_SECONDS = 8.0
"""Longest wait of a step for Redis, retries included; a restart or failover takes a few seconds."""


class answering:  # noqa: N801 -- a context manager, read as a sentence; a generator's takes three times as long
    """Convert the errors of a missing, frozen or failing Redis into `Unavailable`, after `ANSWER_SECONDS` at most."""

    async def __aenter__(self) -> None:
        # A frozen server accepts connections and does not answer: every retry of every step would wait for its timeout.
        self._time = asyncio.timeout(ANSWER_SECONDS)
        await self._time.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Convert the error of the block.

        Raises:
            Unavailable: the server is away, or the time is over.
        """
        try:
            await self._time.__aexit__(kind, error, trace)
        except TimeoutError as late:
            raise unavailable(late) from late
        if isinstance(error, NET_ERRORS):
            raise unavailable(error) from error


NET_ERRORS: tuple[type[Exception], ...] = (
    RedisConnectionError,
    RedisTimeoutError,
    ReadOnlyError,
    OSError,
    asyncio.TimeoutError,
)
"""Errors of a server that is away, restarting, frozen or failing over."""


AWAY: tuple[type[Exception], ...] = (*NET_ERRORS, RedisError, Unavailable)
"""All of these, and the errors of a server that loads, is full, or has lost a script."""


async def forever(step: Callable[[], Awaitable[None]], *, pause: float = 2.0) -> NoReturn:
    """Run a step in an endless loop; while Redis is away, retry with a backoff of up to about `pause` s."""
    delay = 0.05
    while True:
        heed_cancellation()
        try:
            await step()
            delay = 0.05
        except AWAY as error:
            log.warning("Redis does not answer, trying again", step=step.__name__, error=str(error), delay=delay)
            await asyncio.sleep(delay * random.uniform(0.5, 1.5))  # noqa: S311 -- spreads load, guards nothing
            delay = min(pause, delay * 2)


def heed_cancellation() -> None:
    """Raise a cancellation that redis-py has lost: one that arrives while it connects is swallowed there."""
    if (task := asyncio.current_task()) and task.cancelling():
        raise asyncio.CancelledError


def unavailable(error: BaseException) -> Unavailable:
    """The failure a caller sees when Redis does not answer."""
    what = "is busy or read-only" if isinstance(error, RedisError) and "READONLY" in str(error) else "does not answer"
    message = f"The job store (Redis) {what}; nothing was lost. Try again in a few seconds."
    return Unavailable(message)
