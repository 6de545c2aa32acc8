"""Threads for calls that block: a bounded number, and principals in turn where they are all taken.

Each call has a thread of its own, a daemon: one that never comes back keeps its place, and ends with the process. A
pool of `concurrent.futures` would keep the process from ending.
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
"""Calls that may wait for each thread; with more, the wait would be longer than anybody's patience."""


class _Outcome(NamedTuple):
    """What became of a call; a value, since a future nobody awaits any more must not complain of an exception."""

    value: Any = None
    error: Exception | None = None


class Threads:
    """The threads of one front end.

    Args:
        count: calls that run at once.
        background: keeps an eye on calls that outlive their callers.
    """

    def __init__(self, count: int, background: Background) -> None:
        self._count = count
        self._background = background
        self._places = FairLimiter(count)

    @property
    def running(self) -> int:
        """How many calls have a thread."""
        return self._places.taken

    @property
    def waiting(self) -> int:
        """How many calls wait for one."""
        return self._places.waiting

    async def run(self, function: Callable[[], Any], *, name: str, principal: str, seconds: float) -> Any:
        """Call a function in a thread, and answer what it answers.

        Args:
            function: what blocks.
            name: of the tool, for messages.
            principal: whose turn it takes.
            seconds: how long to wait for a thread, and again for the function.

        Raises:
            Busy: no thread was free in time, or too many wait already.
            LimitExceeded: the function takes too long; it goes on, and its result is dropped.
        """
        await self._take(name, principal, seconds)
        ended = self._begin(function, name)
        try:
            await asyncio.wait([ended], timeout=seconds)
        finally:
            if not ended.done():
                self._background.hand_over(_outlive(ended), name=f"{name}, which nobody waits for")
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

    async def _take(self, name: str, principal: str, seconds: float) -> None:
        """Wait for a place; principals take turns."""
        if self.waiting >= self._count * WAITING_PER_THREAD:
            message = f"{name} was not called: all {self._count} threads are taken, and too many calls wait. Try later."
            raise Busy(message, retry_after=seconds)
        try:
            await self._places.take(principal, seconds=seconds)
        except TimeoutError:
            message = f"{name} was not called: all {self._count} threads were taken for {seconds:g} s. Try again later."
            raise Busy(message, retry_after=seconds) from None

    def _begin(self, function: Callable[[], Any], name: str) -> asyncio.Future[_Outcome]:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[_Outcome] = loop.create_future()
        context = contextvars.copy_context()

        def end(outcome: _Outcome) -> None:
            self._places.free()
            ended.set_result(outcome)

        def work() -> None:
            try:
                outcome = _Outcome(context.run(function))
            except Exception as error:  # noqa: BLE001 -- whatever it is, the caller's side decides, not the thread
                outcome = _Outcome(error=error)
            except BaseException as error:  # noqa: BLE001 -- on the loop, an exit would end the whole front end
                outcome = _Outcome(error=as_failure(error))
            with contextlib.suppress(RuntimeError):  # the loop is closed: the front end stopped without this thread
                loop.call_soon_threadsafe(end, outcome)

        try:
            threading.Thread(target=work, name=name, daemon=True).start()
        except BaseException:
            self._places.free()
            raise
        return ended


def as_failure(error: BaseException) -> RuntimeError:
    """What would end more than the call, such as ``sys.exit()``, as a failure of the call."""
    failure = RuntimeError(f"the function raised {error!r}")
    failure.__cause__ = error
    return failure


async def _outlive(ended: asyncio.Future[_Outcome]) -> None:
    """Wait for a call whose caller is gone; a failure is raised, so that it is counted and logged."""
    outcome = await ended
    if outcome.error:
        raise outcome.error
