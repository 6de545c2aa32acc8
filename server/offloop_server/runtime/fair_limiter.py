"""A concurrency limiter that is fair to principals: permits per key and in total, granted round-robin."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque


class FairLimiter:
    """A limited number of permits, in total and for each key.

    A waiter holds nothing. One permit of the total and one of the key are granted in the same step, so waiters for a
    busy key block no other key. Two rotations are round-robin: the rotation of principals chooses the key that is
    served next, the rotation of that key chooses the principal. So the wait of a caller depends on the number of
    principals that wait, not on the number of their requests.

    Args:
        total: permits in total.
        per_key: permits for each key; default: `total`.

    Attributes:
        granted: permits in use.
        waiting: callers that wait.
    """

    def __init__(self, total: int, per_key: int | None = None) -> None:
        self.granted = 0
        self.waiting = 0
        self._total = total
        self._per_key = per_key or total
        self._keys: dict[str, _Key] = {}
        self._rotation: OrderedDict[str, OrderedDict[_Key, None]] = OrderedDict()
        """The keys for which each principal waits; both orders: longest without a grant first."""

    async def acquire(self, principal: str, key: str = "", *, seconds: float | None = None) -> None:
        """Wait for a permit; the caller returns it with `release`.

        Args:
            principal: the principal that is charged in the rotation.
            key: the key, such as a host.
            seconds: the longest wait; None: no limit.

        Raises:
            TimeoutError: no permit was granted in time.
        """
        entry = self._keys.setdefault(key, _Key())
        if self.granted < self._total and entry.granted < self._per_key:
            self._grant(entry)
            return
        waiter = self._enqueue(principal, entry)
        try:
            async with asyncio.timeout(seconds):
                # Shielded: a cancelled waiter stays queued until its task runs, so it may still be granted.
                await asyncio.shield(waiter)
        except BaseException:
            if waiter.done():
                self.release(key)
            else:
                self._withdraw(principal, key, waiter)
            raise

    def release(self, key: str = "") -> None:
        """Return a permit; it is granted to the next waiter in the same step."""
        entry = self._keys[key]
        self.granted -= 1
        entry.granted -= 1
        if following := self._next():
            self._serve(following)
        self._evict(key)

    def _grant(self, entry: _Key) -> None:
        self.granted += 1
        entry.granted += 1

    def _enqueue(self, principal: str, entry: _Key) -> asyncio.Future[None]:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry.subqueues.setdefault(principal, deque()).append(waiter)
        self._rotation.setdefault(principal, OrderedDict())[entry] = None
        self.waiting += 1
        return waiter

    def _next(self) -> _Key | None:
        """The first key with a free permit, in the order of the rotation.

        The scan skips only keys without a free permit, and the total bounds the number of those.
        """
        return next(
            (entry for keys in self._rotation.values() for entry in keys if entry.granted < self._per_key), None
        )

    def _serve(self, entry: _Key) -> None:
        principal, subqueue = next(iter(entry.subqueues.items()))
        waiter = subqueue.popleft()
        self._dequeued(principal, entry)
        if principal in entry.subqueues:
            entry.subqueues.move_to_end(principal)
            self._rotation[principal].move_to_end(entry)
        if principal in self._rotation:
            self._rotation.move_to_end(principal)
        self._grant(entry)
        waiter.set_result(None)

    def _withdraw(self, principal: str, key: str, waiter: asyncio.Future[None]) -> None:
        entry = self._keys[key]
        entry.subqueues[principal].remove(waiter)
        self._dequeued(principal, entry)
        self._evict(key)

    def _dequeued(self, principal: str, entry: _Key) -> None:
        """Count one waiter less; drop a subqueue that is empty now."""
        self.waiting -= 1
        if entry.subqueues[principal]:
            return
        del entry.subqueues[principal], self._rotation[principal][entry]
        if not self._rotation[principal]:
            del self._rotation[principal]

    def _evict(self, key: str) -> None:
        entry = self._keys[key]
        if not entry.granted and not entry.subqueues:
            del self._keys[key]


class _Key:
    """One key, kept while it has permits or waiters."""

    def __init__(self) -> None:
        self.granted = 0
        self.subqueues: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        """Waiters by principal; longest without a grant first."""
