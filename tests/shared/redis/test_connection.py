"""The connection: what it rides over, and the one word for a server that is away."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from offloop.errors import SettingsError, Unavailable
from offloop.processes.embedded_redis import EmbeddedRedis
from offloop.queue.client import JobQueue, live_queues
from offloop.redis.connection import connect
from offloop.redis.outage import forever
from support.caller import BOUNDS
from support.waiting import eventually


@pytest.mark.anyio
async def test_a_server_that_is_away_is_unavailable_within_bounds() -> None:
    away = connect("unix:///nowhere/at/all.sock", retries=1)
    with pytest.raises(Unavailable, match="nothing was lost"):
        await JobQueue(away, BOUNDS).jobs(principal="alice")
    with pytest.raises(Unavailable):
        await live_queues(away)
    await away.aclose(close_connection_pool=True)


def test_an_address_that_is_none_names_its_variable() -> None:
    with pytest.raises(SettingsError, match=r"^OFFLOOP_REDIS_URL: "):
        _ = connect("http://example.org")


@pytest.mark.anyio
async def test_a_command_rides_over_a_restart_of_the_server(tmp_path: Path) -> None:
    async with EmbeddedRedis(tmp_path) as server:
        redis = connect(server.url)
        try:
            await redis.ping()
            pid = server.pid
            assert pid
            os.kill(pid, signal.SIGKILL)
            await eventually(lambda: _none(server))
            await live_queues(redis)
        finally:
            await redis.aclose(close_connection_pool=True)


async def _none(server: EmbeddedRedis) -> bool:
    return server.pid is None


@pytest.mark.anyio
async def test_a_loop_goes_on_after_the_server_was_away() -> None:
    """Only what has to do with Redis is ridden over; a mistake of ours ends the loop."""
    errors: list[Exception] = [Unavailable("away"), ConnectionResetError(), ZeroDivisionError()]

    async def step() -> None:
        raise errors.pop(0)

    with pytest.raises(ZeroDivisionError):
        await forever(step)
    assert errors == []
