"""The children that have nothing to do, and the tasks that wait for one."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

Child = TypeVar("Child")


class Idle(Generic[Child]):
    """Hands out the child that worked last, or the one that has waited longest.

    The last one still has its memory in the processor's caches, and those that are never needed go on sharing theirs
    with the zygote. One that has done nothing yet is at the other end.
    """

    def __init__(self) -> None:
        self._children: deque[Child] = deque()
        self._waiting: deque[asyncio.Future[Child]] = deque()

    def put(self, child: Child, *, unused: bool = False) -> None:
        """Have a child taken: by who waits longest, or else later."""
        while self._waiting:
            taker = self._waiting.popleft()
            if not taker.done():
                taker.set_result(child)
                return
        if unused:
            self._children.appendleft(child)
        else:
            self._children.append(child)

    async def take(self, *, unused: bool = False) -> Child:
        """The child that worked last; with `unused`, one that has not worked, if there is any. Waits for one."""
        if self._children:
            return self._children.popleft() if unused else self._children.pop()
        taker: asyncio.Future[Child] = asyncio.get_running_loop().create_future()
        self._waiting.append(taker)
        try:
            return await taker
        except asyncio.CancelledError:
            if taker.done() and not taker.cancelled():  # it was handed over in this very turn of the loop
                self.put(taker.result())
            raise

    def empty(self) -> list[Child]:
        """Take all that are there."""
        left = list(self._children)
        self._children.clear()
        return left
