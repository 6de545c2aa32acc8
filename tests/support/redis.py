"""Valkey for tests: one server for each process of pytest, flushed before each test.

After a test, every key must have an expiry, except those of the deployment and of queued or running jobs.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from arq.connections import ArqRedis

from offloop.processes.embedded_redis import EmbeddedRedis
from offloop.redis import schema
from offloop.redis.connection import connect
from support.processes import SESSION

PERMANENT = (schema.FENCE, schema.ROTATION_COUNTER, "offloop:secret")
"""Keys that live as long as the deployment."""

EMPTIED = (schema.QUEUE, schema.SUBQUEUE, schema.ROTATION, schema.DEPTH, schema.LEASES, schema.STOCK)
"""Keys that hold queued or running jobs and are deleted with the last one; all others must expire."""


@contextmanager
def lasting(folder: Path) -> Iterator[None]:
    """Exempt processes started in this block from the leak checks after each test: they outlive it on purpose."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(SESSION, raising=False)
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", str(folder))
        yield


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of this process's server, which keeps its data in memory."""
    loop = asyncio.new_event_loop()
    folder = tmp_path_factory.mktemp("valkey")
    server = EmbeddedRedis(folder, persistent=False)
    try:
        with lasting(folder):
            loop.run_until_complete(server.start())
        yield server.url
    finally:
        loop.run_until_complete(server.stop())
        loop.close()


@pytest.fixture
async def redis(valkey: str) -> AsyncIterator[ArqRedis]:
    """Connection to the flushed server; checks expiries after the test."""
    connection = connect(valkey)
    try:
        await connection.flushall()
        yield connection
        assert await immortal(connection) == set()
    finally:
        await connection.aclose(close_connection_pool=True)


async def immortal(redis: ArqRedis) -> set[str]:
    """Keys without the expiry that they should have."""
    return {key for key in await endless(redis) if not key.startswith(EMPTIED)}


async def endless(redis: ArqRedis) -> set[str]:
    """Keys without expiry, except those of the deployment."""
    keys = [key.decode() async for key in redis.scan_iter()]
    return {key for key in keys if not key.startswith(PERMANENT) and await redis.ttl(key) == -1}
