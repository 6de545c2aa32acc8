"""Threads for calls that block: a bounded number, shared fairly by principals.

Each call runs in a daemon thread of its own. A call that never returns keeps its permit and ends with the process; a
pool of `concurrent.futures` would keep the process from exiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from offloop.errors import Busy, LimitExceeded
from offloop_server.runtime.fair_limiter import FairLimiter

if TYPE_CHECKING:
    from offloop_server.runtime.background import Background

WAITING_PER_THREAD: Final = 50
"""Queued calls per thread; beyond that, callers would time out in the queue."""


class _Outcome(NamedTuple):
    """The outcome of a call; a value, because an exception in a future that is never awaited would be logged."""

    value: Any = None
    error: Exception | None = None


class Threads:
    """The threads of one front end.

    Args:
        count: calls that run concurrently.
        background: tracks calls that outlive their callers.
    """

    def __init__(self, count: int, background: Background) -> None:
        self._count = count
        self._background = background
        self._limiter = FairLimiter(count)

    @property
    def running(self) -> int:
        """Number of calls that run."""
        return self._limiter.granted

    @property
    def waiting(self) -> int:
        """Number of calls that wait for a thread."""
        return self._limiter.waiting

    async def run(self, function: Callable[[], Any], *, name: str, principal: str, seconds: float) -> Any:
        """Call a function in a thread, and return its result.

        Args:
            function: may block.
            name: the tool, for messages.
            principal: the caller, for fairness.
            seconds: the longest wait for a thread, and again for the function.

        Raises:
            Busy: no thread was free in time, or too many calls wait already.
            LimitExceeded: the function did not return in time; it continues, and its result is dropped.
        """
        await self._acquire(name, principal, seconds)
        ended = self._start(function, name)
        try:
            await asyncio.wait([ended], timeout=seconds)
        finally:
            if not ended.done():
                self._background.spawn(_orphaned(ended), name=f"{name} (orphaned)")
        if not ended.done():
            message = (
                f"{name} did not answer within its {seconds:g} s. What it began may still be done; look before you "
                "call it again, or ask for less."
            )
            raise LimitExceeded(message)
        outcome = ended.result()
        if outcome.error:
            raise outcome.error
        return outcome.value

    async def _acquire(self, name: str, principal: str, seconds: float) -> None:
        """Wait for a permit to use a thread."""
        if self.waiting >= self._count * WAITING_PER_THREAD:
            message = f"{name} was not called: all {self._count} threads are taken, and too many calls wait. Try later."
            raise Busy(message, retry_after=seconds)
        try:
            await self._limiter.acquire(principal, seconds=seconds)
        except TimeoutError:
            message = f"{name} was not called: all {self._count} threads were taken for {seconds:g} s. Try again later."
            raise Busy(message, retry_after=seconds) from None

    def _start(self, function: Callable[[], Any], name: str) -> asyncio.Future[_Outcome]:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[_Outcome] = loop.create_future()
        context = contextvars.copy_context()

        def end(outcome: _Outcome) -> None:
            self._limiter.release()
            ended.set_result(outcome)

        def work() -> None:
            try:
                outcome = _Outcome(context.run(function))
            except Exception as error:  # noqa: BLE001 -- raised again by the caller's task
                outcome = _Outcome(error=error)
            except BaseException as error:  # noqa: BLE001 -- SystemExit raised on the loop would end the front end
                outcome = _Outcome(error=as_failure(error))
            with contextlib.suppress(RuntimeError):  # the loop is closed: the front end has stopped
                loop.call_soon_threadsafe(end, outcome)

        try:
            threading.Thread(target=work, name=name, daemon=True).start()
        except BaseException:
            self._limiter.release()
            raise
        return ended


def as_failure(error: BaseException) -> RuntimeError:
    """Convert an exception that would end the process, such as ``SystemExit``, into a failure of the call."""
    failure = RuntimeError(f"the function raised {error!r}")
    failure.__cause__ = error
    return failure


async def _orphaned(ended: asyncio.Future[_Outcome]) -> None:
    """Wait for an orphaned call; its failure is raised, so that it is counted and logged."""
    outcome = await ended
    if outcome.error:
        raise outcome.error
