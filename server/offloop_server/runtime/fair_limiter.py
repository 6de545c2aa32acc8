"""FairLimiter that are scarce: a bounded number, at each spot and altogether, which principals take in turn."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque


class FairLimiter:
    """So many places, where there are fewer than callers.

    Whoever waits holds nothing: a place among all and one at the spot are taken in the same moment, so that those who
    queue for a busy spot keep nobody from another. The turn among all says at which spot somebody is next, the turn at
    that spot says who. So how long a caller waits depends on how many principals wait, not on how much they ask for.

    Args:
        total: places altogether.
        at_spot: places at each spot; default: all of them.
    """

    def __init__(self, total: int, at_spot: int | None = None) -> None:
        self.taken = 0
        self.waiting = 0
        self._total = total
        self._at_spot = at_spot or total
        self._spots: dict[str, _Key] = {}
        self._turns: OrderedDict[str, OrderedDict[_Key, None]] = OrderedDict()
        """The spots that each principal waits at; who has waited for their turn the longest is first."""

    async def take(self, principal: str, spot: str = "", *, seconds: float | None = None) -> None:
        """Wait for a place; it is the caller's until it is given back with `free`.

        Args:
            principal: whose turn it takes.
            spot: where.
            seconds: how long to wait; None for as long as it takes.

        Raises:
            TimeoutError: none came in time.
        """
        here = self._spots.setdefault(spot, _Key())
        if self.taken < self._total and here.taken < self._at_spot:
            self._give(here)
            return
        turn = self._line_up(principal, here)
        try:
            async with asyncio.timeout(seconds):
                await asyncio.shield(turn)  # who leaves has left the line only once it runs; until then it can be given
        except BaseException:
            if turn.done():
                self.free(spot)
            else:
                self._leave(principal, spot, turn)
            raise

    def free(self, spot: str = "") -> None:
        """Give a place back; whoever is next has it at once."""
        here = self._spots[spot]
        self.taken -= 1
        here.taken -= 1
        if following := self._following():
            self._serve(following)
        self._forget(spot)

    def _give(self, here: _Key) -> None:
        self.taken += 1
        here.taken += 1

    def _line_up(self, principal: str, here: _Key) -> asyncio.Future[None]:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        here.lines.setdefault(principal, deque()).append(turn)
        self._turns.setdefault(principal, OrderedDict())[here] = None
        self.waiting += 1
        return turn

    def _following(self) -> _Key | None:
        """Where the next place is to be given: the first spot with room of the first principal who waits at one.

        It passes over spots without room only, and no more of them can be than the total fills.
        """
        return next((here for spots in self._turns.values() for here in spots if here.taken < self._at_spot), None)

    def _serve(self, here: _Key) -> None:
        principal, line = next(iter(here.lines.items()))
        turn = line.popleft()
        self._stepped_out(principal, here)
        if principal in here.lines:
            here.lines.move_to_end(principal)
            self._turns[principal].move_to_end(here)
        if principal in self._turns:
            self._turns.move_to_end(principal)
        self._give(here)
        turn.set_result(None)

    def _leave(self, principal: str, spot: str, turn: asyncio.Future[None]) -> None:
        here = self._spots[spot]
        here.lines[principal].remove(turn)
        self._stepped_out(principal, here)
        self._forget(spot)

    def _stepped_out(self, principal: str, here: _Key) -> None:
        """One caller less waits; lines that are empty now are taken away."""
        self.waiting -= 1
        if here.lines[principal]:
            return
        del here.lines[principal], self._turns[principal][here]
        if not self._turns[principal]:
            del self._turns[principal]

    def _forget(self, spot: str) -> None:
        here = self._spots[spot]
        if not here.taken and not here.lines:
            del self._spots[spot]


class _Key:
    """One spot, kept while anybody is or waits there."""

    def __init__(self) -> None:
        self.taken = 0
        self.lines: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        """Who waits, by principal; who has waited for their turn the longest is first."""
