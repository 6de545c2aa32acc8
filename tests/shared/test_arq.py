"""Pools for users of arq: opened on a server that answers, and closed again on one that does not."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from offloop import arq
from offloop.errors import SettingsError, Unavailable
from offloop.processes.embedded_redis import EmbeddedRedis
from offloop.redis import outage, schema

pytestmark = pytest.mark.anyio


async def test_a_pool_is_for_the_queue_that_it_names(valkey: str) -> None:
    for queue in ("default", "pdf"):
        pool = await arq.create_pool(valkey, queue=queue)
        assert pool.default_queue_name == arq.queue_name(queue) == schema.queue_key(queue)
        assert await arq.job("unknown", pool).info() is None
        await pool.aclose()


async def test_an_address_that_is_not_one_of_redis_is_refused() -> None:
    with pytest.raises(SettingsError):
        _ = await arq.create_pool("http://127.0.0.1:1")


@pytest.mark.slow
async def test_a_server_that_is_away_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        _ = await arq.create_pool(f"unix://{tmp_path}/none")


async def test_a_pool_that_was_not_opened_leaves_no_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frozen server accepts the connection, and answers nothing."""
    monkeypatch.setattr(outage, "ANSWER_SECONDS", 0.2)
    async with EmbeddedRedis(tmp_path, persistent=False) as server:
        assert server.pid
        os.kill(server.pid, signal.SIGSTOP)
        try:
            with pytest.raises(Unavailable):
                _ = await arq.create_pool(server.url)
        finally:
            os.kill(server.pid, signal.SIGCONT)
        pool = await arq.create_pool(server.url)
        async with asyncio.timeout(30):
            while len(await pool.client_list()) > 1:  # noqa: ASYNC110 -- the server sees the end a moment later
                await asyncio.sleep(0.02)
        await pool.aclose()
