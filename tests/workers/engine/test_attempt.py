"""Attempt: waits for the threads that write into its folder."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from offloop.errors import LimitExceeded
from offloop_workers.engine.attempt import _to_its_end

pytestmark = pytest.mark.anyio


async def test_a_copy_that_fails_after_a_cancellation_is_awaited_and_reported_nowhere() -> None:
    loop = asyncio.get_running_loop()
    begun, release = asyncio.Event(), asyncio.Event()
    reported: list[dict[str, Any]] = []

    async def copying() -> str:
        begun.set()
        await release.wait()
        message = "The disk is full."
        raise LimitExceeded(message)

    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: reported.append(context))
    try:
        waiting = asyncio.create_task(_to_its_end(copying()))
        await begun.wait()
        waiting.cancel()
        done, _ = await asyncio.wait({waiting}, timeout=0.05)
        assert not done, "it waits for the copy"
        release.set()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        del waiting
        gc.collect()
        await asyncio.sleep(0)
    finally:
        loop.set_exception_handler(before)
    assert reported == []
