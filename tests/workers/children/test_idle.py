"""Idle children: the next task goes to the one that worked last, or, isolated, to one that has not worked yet."""

from __future__ import annotations

import asyncio

import pytest

from offloop_workers.children.idle import Idle

pytestmark = pytest.mark.anyio


@pytest.fixture
def idle() -> Idle[str]:
    """Two children that have worked, the second one last, and one that has not."""
    found: Idle[str] = Idle()
    found.put("first")
    found.put("last")
    found.put("unused", unused=True)
    return found


async def test_the_child_that_worked_last_is_used_first(idle: Idle[str]) -> None:
    assert [await idle.take() for _ in range(3)] == ["last", "first", "unused"]


async def test_a_task_that_needs_one_of_its_own_gets_one_that_has_not_worked(idle: Idle[str]) -> None:
    assert [await idle.take(unused=True) for _ in range(3)] == ["unused", "first", "last"]


async def test_the_longest_waiter_gets_the_next_child() -> None:
    idle: Idle[str] = Idle()
    takers = [asyncio.create_task(idle.take()) for _ in range(2)]
    await asyncio.sleep(0)
    idle.put("a")
    idle.put("b")
    idle.put("c")
    assert [await taker for taker in takers] == ["a", "b"]
    assert idle.empty() == ["c"]
    assert idle.empty() == []


async def test_a_cancelled_waiter_keeps_no_other_from_a_child() -> None:
    """Before it was given a child, and in the very iteration of the loop in which it was."""
    idle: Idle[str] = Idle()
    early, late, patient = [asyncio.create_task(idle.take()) for _ in range(3)]
    await asyncio.sleep(0)
    early.cancel()
    await asyncio.sleep(0)
    idle.put("a")
    late.cancel()
    assert await patient == "a"
    assert late.cancelled() or (await asyncio.wait([late]))[0] == {late}
    assert late.cancelled()
