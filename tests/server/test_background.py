"""Background tasks: failures are logged, finite work is let end, and nothing is left running."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from offloop_server.background import Background

pytestmark = pytest.mark.anyio


async def test_an_endless_task_is_cancelled_and_a_finite_one_ends() -> None:
    seen: list[str] = []
    begun = asyncio.Event()

    async def endless() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            seen.append("cancelled")

    async def finite() -> None:
        await asyncio.sleep(0.01)
        seen.append("ended")

    async with Background(grace=10) as background:
        _ = background.start(endless(), name="endless")
        background.hand_over(finite(), name="finite")
        await begun.wait()
    assert sorted(seen) == ["cancelled", "ended"]


async def test_a_finite_task_that_takes_too_long_is_cancelled() -> None:
    cancelled = asyncio.Event()

    async def long() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with asyncio.timeout(5), Background(grace=0.01) as background:
        background.hand_over(long(), name="long")
    assert cancelled.is_set()


async def test_a_failure_is_logged_with_the_name_of_its_task_and_ends_nothing_else() -> None:
    async def broken() -> None:
        message = "it broke"
        raise ValueError(message)

    with capture_logs() as logged:
        async with Background(grace=1) as background:
            background.hand_over(broken(), name="the broken one")
            background.hand_over(asyncio.sleep(0), name="the good one")
    (line,) = logged
    assert (line["log_level"], line["task"], str(line["exc_info"])) == ("error", "the broken one", "it broke")


async def test_an_end_without_tasks_is_at_once() -> None:
    async with asyncio.timeout(1), Background(grace=60):
        pass
