"""Orders to the callers of a stack."""

from __future__ import annotations

import asyncio

import pytest
from bench import role
from bench.peer import Peer

pytestmark = pytest.mark.anyio


class Counting(Peer):
    """A stack that answers a noop in the next iteration of the loop, and notes how many are under way."""

    def __init__(self) -> None:
        super().__init__("counting")
        self.calls = self.under_way = self.most = 0

    async def noop(self) -> None:
        self.calls += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1


async def test_a_crowd_ends_after_so_many_calls_and_counts_each() -> None:
    peer = Counting()
    answer = await role.crowd(peer, "noop", callers=3, seconds=60, calls=10)
    assert (peer.calls, peer.most, answer["count"], len(answer["ms"])) == (10, 3, 10, 10)


async def test_a_crowd_without_a_number_of_calls_ends_after_its_time() -> None:
    peer = Counting()
    answer = await role.crowd(peer, "noop", callers=2, seconds=0.01)
    assert answer["count"] == peer.calls > 0
    assert answer["seconds"] >= 0.01
