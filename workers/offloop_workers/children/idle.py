"""Idle children, and the queue of tasks that wait for one."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

Child = TypeVar("Child")


class Idle(Generic[Child]):
    """A stack of idle children, with those that have not worked yet at its bottom.

    The child that worked last still has its memory in the processor's caches; those that are never needed go on sharing
    theirs with the zygote.
    """

    def __init__(self) -> None:
        self._children: deque[Child] = deque()
        self._waiting: deque[asyncio.Future[Child]] = deque()

    def put(self, child: Child, *, unused: bool = False) -> None:
        """Give a child to the task that has waited longest, or keep it."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(child)
                return
        if unused:
            self._children.appendleft(child)
        else:
            self._children.append(child)

    async def take(self, *, unused: bool = False) -> Child:
        """The child that worked last; with `unused`, one that has not worked, if there is any. Waits for one."""
        if self._children:
            return self._children.popleft() if unused else self._children.pop()
        waiter: asyncio.Future[Child] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():  # it was given a child in this very iteration of the loop
                self.put(waiter.result())
            raise

    def empty(self) -> list[Child]:
        """Remove and answer all idle children."""
        left = list(self._children)
        self._children.clear()
        return left
