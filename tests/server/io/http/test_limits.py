"""Limits for all callers together and for each host. The order of callers: see the tests of `FairLimiter`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from offloop.errors import Busy
from offloop_server.io.http.limits import RequestLimiter
from support.waiting import eventually

pytestmark = pytest.mark.anyio


async def test_a_busy_host_uses_up_no_other_hosts_permits() -> None:
    limiter = RequestLimiter(2, 1, patience=5)
    order: list[str] = []
    gates = {name: asyncio.Event() for name in ("a1", "a2", "b1", "b2")}

    async def ask(name: str) -> None:
        async with limiter.permit("alice", name[0]):
            order.append(name)
            await gates[name].wait()

    async with asyncio.TaskGroup() as group:
        for name in gates:
            group.create_task(ask(name))
        await comes(
            lambda: (limiter._limiter.granted, limiter._limiter.waiting) == (2, 2), "two in flight, two waiting"
        )
        assert order == ["a1", "b1"]
        gates["b1"].set()
        await comes(lambda: "b2" in order, "b2 has its permit")
        gates["b2"].set()
        gates["a1"].set()
        gates["a2"].set()
    assert order == ["a1", "b1", "b2", "a2"]
    assert (limiter._limiter.granted, limiter._limiter.waiting) == (0, 0)


async def test_a_request_that_waits_too_long_is_asked_to_try_again() -> None:
    limiter = RequestLimiter(1, 1, patience=0.05)
    async with limiter.permit("alice", "a"):
        for host in ("a", "b"):
            with pytest.raises(Busy, match=f"{host} was not asked"):
                async with limiter.permit("alice", host):
                    pass
    async with limiter.permit("alice", "a") as waited:
        assert waited < 1
    assert (limiter._limiter.granted, limiter._limiter.waiting) == (0, 0)


async def test_a_cancelled_caller_returns_its_permit_wherever_it_waited() -> None:
    limiter = RequestLimiter(1, 2, patience=5)
    tasks = []
    for _ in range(3):  # one in flight, one waiting for the limit of all, one for that of its host

        async def ask() -> None:
            async with limiter.permit("alice", "a"):
                await asyncio.Event().wait()

        tasks.append(asyncio.ensure_future(ask()))
    await comes(lambda: (limiter._limiter.granted, limiter._limiter.waiting) == (1, 2), "one in flight, two waiting")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (limiter._limiter.granted, limiter._limiter.waiting) == (0, 0)
    async with limiter.permit("alice", "a") as waited:
        assert waited < 1


async def comes(condition: Callable[[], bool], what: str) -> None:
    """Wait until it is true."""

    async def true() -> bool:
        return condition()

    await eventually(true, what)
