"""FairLimiter that are scarce: exact bounds, principals in turn at each spot and altogether, and none lost."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter

import pytest

from offloop_server.runtime.fair_limiter import FairLimiter

pytestmark = pytest.mark.anyio


async def settle() -> None:
    """Let everybody run who can."""
    for _ in range(5):
        await asyncio.sleep(0)


class Crowd:
    """Callers of a test, named by their principal and a number of theirs: ``a1``, ``a2``, ``b1``."""

    def __init__(self, places: FairLimiter) -> None:
        self.places = places
        self.served: list[str] = []
        self._spots: dict[str, str] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, *names: str, spot: str = "", seconds: float | None = 20) -> None:
        """Have them ask for a place, one after the other."""
        for name in names:
            self._spots[name] = spot
            self._tasks[name] = asyncio.ensure_future(self._ask(name, spot, seconds))
            self._tasks[name].add_done_callback(lambda task: task.cancelled() or task.exception())  # some give up
            await settle()

    async def _ask(self, name: str, spot: str, seconds: float | None) -> None:
        await self.places.take(name[0], spot, seconds=seconds)
        self.served.append(name)

    async def go(self, *names: str) -> None:
        """Have them give their places back, one after the other."""
        for name in names:
            await self._tasks[name]
            self.places.free(self._spots[name])
            await settle()

    async def cancel(self, name: str) -> None:
        """Have one leave."""
        self._tasks[name].cancel()
        await asyncio.wait([self._tasks[name]])

    async def all_go(self) -> list[str]:
        """Have each go once served, in that order; answers the order."""
        gone = 0
        while gone < len(self.served):
            await self.go(self.served[gone])
            gone += 1
        assert (self.places.taken, self.places.waiting, self.places._spots, self.places._turns) == (0, 0, {}, {})
        return self.served


async def test_principals_take_turns_so_a_flood_delays_only_its_own() -> None:
    crowd = Crowd(FairLimiter(1))
    await crowd.come("m0", "m1", "m2", "m3", "a1", "b1", "b2")
    assert await crowd.all_go() == ["m0", "m1", "a1", "b1", "m2", "b2", "m3"]


async def test_principals_take_turns_at_each_spot() -> None:
    crowd = Crowd(FairLimiter(10, 1))
    await crowd.come("m0", "m1", "m2", "a1", spot="x")
    await crowd.come("a2", "a3", "m4", spot="y")
    assert crowd.served == ["m0", "a2"]
    assert await crowd.all_go() == ["m0", "a2", "m1", "a3", "a1", "m4", "m2"]


async def test_a_busy_spot_takes_no_place_from_another() -> None:
    crowd = Crowd(FairLimiter(2, 1))
    await crowd.come("m0", "m1", "m2", spot="x")
    await crowd.come("a1", spot="y")
    assert crowd.served == ["m0", "a1"]


async def test_a_flood_that_waits_for_its_place_among_all_takes_none_at_a_spot() -> None:
    """Else another's request to that spot would wait behind all of the flood's, wherever these lead."""
    crowd = Crowd(FairLimiter(1, 1))
    await crowd.come("m0", spot="x")
    for number in range(1, 9):
        await crowd.come(f"m{number}", spot=f"x{number}")
    await crowd.come("a1", spot="x8")
    await crowd.go("m0", "m1", "m8")
    assert crowd.served == ["m0", "m1", "m8", "a1"]


async def test_who_is_often_served_elsewhere_has_turns_at_a_scarce_spot_all_the_same() -> None:
    """The total is short too, and whenever the spot has room, somebody who wants nothing else is first in the total."""
    crowd = Crowd(FairLimiter(2, 1))
    await crowd.come("m0", spot="x")
    await crowd.come("a0", spot="a")
    await crowd.come("m1", "m2", "m3", "a9", spot="x")
    for number in range(1, 5):
        await crowd.come(f"a{number}", spot=f"a{number}")
        await crowd.go(f"a{number - 1}")
    await crowd.go("m0", "m1")
    assert crowd.served == ["m0", "a0", "a1", "a2", "a3", "a4", "m1", "a9"]


async def test_who_leaves_while_waiting_is_passed_over_and_who_was_just_given_a_place_gives_it_on() -> None:
    crowd = Crowd(FairLimiter(1, 1))
    await crowd.come("a1", "b1", "a2", "c1")
    await crowd.cancel("a2")
    crowd.places.free()  # that of a1: given to b1, which is cancelled before it knows
    await crowd.cancel("b1")
    await settle()
    assert crowd.served == ["a1", "c1"]
    await crowd.go("c1")
    assert (crowd.places.taken, crowd.places.waiting, crowd.places._spots, crowd.places._turns) == (0, 0, {}, {})


async def test_a_place_that_becomes_free_while_the_next_is_just_being_cancelled_is_not_lost() -> None:
    """Nobody can know yet that they leave: the place is given to them, and they give it on."""
    crowd = Crowd(FairLimiter(1, 1))
    await crowd.come("a1", "b1", "c1")
    cancelled = asyncio.ensure_future(crowd.cancel("b1"))
    await asyncio.sleep(0)  # the task is told, and has not run
    crowd.places.free()
    await cancelled
    await settle()
    assert crowd.served == ["a1", "c1"]
    await crowd.go("c1")


async def test_who_waits_too_long_is_told_and_leaves_no_trace() -> None:
    places = FairLimiter(1, 1)
    await places.take("a", "x")
    for spot in ("x", "y"):
        with pytest.raises(TimeoutError):
            await places.take("b", spot, seconds=0.01)
    assert (places.taken, places.waiting, list(places._spots)) == (1, 0, ["x"])
    places.free("x")
    await places.take("b", "y", seconds=0)


@pytest.mark.parametrize("seed", range(5))
async def test_bounds_are_exact_and_no_place_is_lost_or_idle_whoever_leaves_when(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 -- keeps no secret
    places, taken, waiting = FairLimiter(7, 3), Counter[str](), Counter[str]()

    def check() -> None:
        assert max(taken.values(), default=0) <= 3
        assert taken.total() <= places.taken <= 7
        if places.taken < 7:
            assert all(here.taken == 3 for here in places._spots.values() if here.lines), "room, and somebody waits"

    async def visit(principal: str, spot: str) -> None:
        waiting[spot] += 1
        try:
            await places.take(principal, spot, seconds=chance.choice((None, 0.002)))
        finally:
            waiting[spot] -= 1
        taken[spot] += 1
        try:
            check()
            await asyncio.sleep(chance.choice((0, 0, 0.001)))
        finally:
            taken[spot] -= 1
            places.free(spot)
            check()

    async def visit_or_leave() -> None:
        await asyncio.sleep(chance.uniform(0, 0.05))
        visiting = asyncio.ensure_future(visit(chance.choice("abc"), chance.choice("wxyz")))
        if chance.random() < 0.3:
            await asyncio.sleep(chance.choice((0, 0, 0.001, 0.003)))
            visiting.cancel()
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):
            await visiting

    await asyncio.gather(*(visit_or_leave() for _ in range(400)))
    assert (places.taken, places.waiting, places._spots, places._turns) == (0, 0, {}, {})
