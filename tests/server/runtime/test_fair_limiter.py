"""The fair limiter: exact bounds, round-robin per key and in total, and no permit lost."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter

import pytest

from offloop_server.runtime.fair_limiter import FairLimiter

pytestmark = pytest.mark.anyio


async def settle() -> None:
    """Run every task that is ready."""
    for _ in range(5):
        await asyncio.sleep(0)


class Crowd:
    """Callers of a test, named by principal and number: ``a1``, ``a2``, ``b1``."""

    def __init__(self, limiter: FairLimiter) -> None:
        self.limiter = limiter
        self.served: list[str] = []
        self._keys: dict[str, str] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, *names: str, key: str = "", seconds: float | None = 20) -> None:
        """Have the callers request a permit, one after the other."""
        for name in names:
            self._keys[name] = key
            self._tasks[name] = asyncio.ensure_future(self._ask(name, key, seconds))
            self._tasks[name].add_done_callback(lambda task: task.cancelled() or task.exception())  # some time out
            await settle()

    async def _ask(self, name: str, key: str, seconds: float | None) -> None:
        await self.limiter.acquire(name[0], key, seconds=seconds)
        self.served.append(name)

    async def go(self, *names: str) -> None:
        """Have the callers release their permits, one after the other."""
        for name in names:
            await self._tasks[name]
            self.limiter.release(self._keys[name])
            await settle()

    async def cancel(self, name: str) -> None:
        """Cancel one caller."""
        self._tasks[name].cancel()
        await asyncio.wait([self._tasks[name]])

    def check_empty(self) -> None:
        """No permit, waiter, key or rotation is left."""
        limiter = self.limiter
        assert (limiter.granted, limiter.waiting, limiter._keys, limiter._rotation) == (0, 0, {}, {})

    async def all_go(self) -> list[str]:
        """Have each caller release after its grant, in that order; returns the order."""
        gone = 0
        while gone < len(self.served):
            await self.go(self.served[gone])
            gone += 1
        self.check_empty()
        return self.served


async def test_permits_rotate_so_a_flood_delays_only_its_own_principal() -> None:
    crowd = Crowd(FairLimiter(1))
    await crowd.come("m0", "m1", "m2", "m3", "a1", "b1", "b2")
    assert await crowd.all_go() == ["m0", "m1", "a1", "b1", "m2", "b2", "m3"]


async def test_each_key_is_granted_round_robin() -> None:
    crowd = Crowd(FairLimiter(10, 1))
    await crowd.come("m0", "m1", "m2", "a1", key="x")
    await crowd.come("a2", "a3", "m4", key="y")
    assert crowd.served == ["m0", "a2"]
    assert await crowd.all_go() == ["m0", "a2", "m1", "a3", "a1", "m4", "m2"]


async def test_a_busy_key_takes_no_permit_from_another() -> None:
    crowd = Crowd(FairLimiter(2, 1))
    await crowd.come("m0", "m1", "m2", key="x")
    await crowd.come("a1", key="y")
    assert crowd.served == ["m0", "a1"]


async def test_a_flood_that_waits_for_the_total_holds_no_permit_of_a_key() -> None:
    """Else a request of another principal for that key would wait behind the whole flood, whatever its keys."""
    crowd = Crowd(FairLimiter(1, 1))
    await crowd.come("m0", key="x")
    for number in range(1, 9):
        await crowd.come(f"m{number}", key=f"x{number}")
    await crowd.come("a1", key="x8")
    await crowd.go("m0", "m1", "m8")
    assert crowd.served == ["m0", "m1", "m8", "a1"]


async def test_grants_of_other_keys_do_not_cost_a_principal_its_share_of_a_scarce_key() -> None:
    """The total is scarce too, and a principal that waits for this key alone is first in the total's rotation."""
    crowd = Crowd(FairLimiter(2, 1))
    await crowd.come("m0", key="x")
    await crowd.come("a0", key="a")
    await crowd.come("m1", "m2", "m3", "a9", key="x")
    for number in range(1, 5):
        await crowd.come(f"a{number}", key=f"a{number}")
        await crowd.go(f"a{number - 1}")
    await crowd.go("m0", "m1")
    assert crowd.served == ["m0", "a0", "a1", "a2", "a3", "a4", "m1", "a9"]


async def test_a_cancelled_waiter_is_skipped_and_one_that_was_just_granted_passes_its_permit_on() -> None:
    crowd = Crowd(FairLimiter(1, 1))
    await crowd.come("a1", "b1", "a2", "c1")
    await crowd.cancel("a2")
    crowd.limiter.release()  # the permit of a1: granted to b1, which is cancelled before it runs
    await crowd.cancel("b1")
    await settle()
    assert crowd.served == ["a1", "c1"]
    await crowd.go("c1")
    crowd.check_empty()


async def test_a_permit_released_while_the_next_waiter_is_being_cancelled_is_not_lost() -> None:
    """Its task has not run yet, so the permit is granted to it, and it passes the permit on."""
    crowd = Crowd(FairLimiter(1, 1))
    await crowd.come("a1", "b1", "c1")
    cancelled = asyncio.ensure_future(crowd.cancel("b1"))
    await asyncio.sleep(0)  # the cancellation is requested, the task has not run
    crowd.limiter.release()
    await cancelled
    await settle()
    assert crowd.served == ["a1", "c1"]
    await crowd.go("c1")


async def test_a_waiter_times_out_and_leaves_no_trace() -> None:
    limiter = FairLimiter(1, 1)
    await limiter.acquire("a", "x")
    for key in ("x", "y"):
        with pytest.raises(TimeoutError):
            await limiter.acquire("b", key, seconds=0.01)
    assert (limiter.granted, limiter.waiting, list(limiter._keys)) == (1, 0, ["x"])
    limiter.release("x")
    await limiter.acquire("b", "y", seconds=0)


@pytest.mark.parametrize("seed", range(5))
async def test_bounds_are_exact_and_no_permit_is_lost_or_idle_under_random_cancellation(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 -- no secret
    limiter, taken, waiting = FairLimiter(7, 3), Counter[str](), Counter[str]()

    def check() -> None:
        assert max(taken.values(), default=0) <= 3
        assert taken.total() <= limiter.granted <= 7
        if limiter.granted < 7:
            waited_for = [entry for entry in limiter._keys.values() if entry.subqueues]
            assert all(entry.granted == 3 for entry in waited_for), "a free permit, and a waiter"

    async def visit(principal: str, key: str) -> None:
        waiting[key] += 1
        try:
            await limiter.acquire(principal, key, seconds=chance.choice((None, 0.002)))
        finally:
            waiting[key] -= 1
        taken[key] += 1
        try:
            check()
            await asyncio.sleep(chance.choice((0, 0, 0.001)))
        finally:
            taken[key] -= 1
            limiter.release(key)
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
    assert (limiter.granted, limiter.waiting, limiter._keys, limiter._rotation) == (0, 0, {}, {})
