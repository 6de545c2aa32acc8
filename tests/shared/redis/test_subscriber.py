"""Subscriber: order, breaks, silence, and that all messages published before are handled."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from arq.connections import ArqRedis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from offloop.processes.embedded_redis import EmbeddedRedis
from offloop.redis import subscriber as channel
from offloop.redis.connection import connect, connect_blocking
from offloop.redis.outage import forever
from offloop.redis.subscriber import Subscriber
from support.waiting import eventually

pytestmark = pytest.mark.anyio


class Listener:
    """Listens, and keeps the messages it receives."""

    def __init__(self, url: str) -> None:
        self.received: list[bytes] = []
        self.begun = 0
        self.redis = connect_blocking(url)
        self.channel = Subscriber(self.redis, "news", self.received.append, self._begin)

    def _begin(self) -> None:
        self.begun += 1

    async def has_begun(self, times: int = 1) -> bool:
        """Whether it has subscribed so often."""
        return self.begun >= times


@asynccontextmanager
async def _listening(url: str) -> AsyncIterator[Listener]:
    listener = Listener(url)
    task = asyncio.create_task(forever(listener.channel.listen))
    try:
        await eventually(listener.has_begun)
        yield listener
    finally:
        task.cancel()
        await asyncio.wait([task])
        await listener.redis.aclose(close_connection_pool=True)


async def test_messages_are_handled_in_their_order(redis: ArqRedis, valkey: str) -> None:
    async with _listening(valkey) as listener:
        sent = [b"%d" % number for number in range(500)] + [b"x" * 1_000_000]
        for text in sent:
            await redis.publish("news", text)
        await listener.channel.flush()
        assert listener.received == sent


async def test_without_a_subscription_all_is_handled(valkey: str) -> None:
    listener = Listener(valkey)
    await listener.channel.flush()
    await listener.redis.aclose(close_connection_pool=True)


async def test_a_broken_subscription_begins_again_and_leaves_no_connection(redis: ArqRedis, valkey: str) -> None:
    async with _listening(valkey) as listener:
        before = len(await redis.client_list())
        await redis.client_kill_filter(_type="pubsub")
        await eventually(lambda: listener.has_begun(2))
        assert len(await redis.client_list()) == before
        await redis.publish("news", b"again")
        await listener.channel.flush()
        assert listener.received == [b"again"]


async def test_a_break_is_raised(redis: ArqRedis, valkey: str) -> None:
    listener = Listener(valkey)
    listening = asyncio.create_task(listener.channel.listen())
    await eventually(listener.has_begun)
    await redis.client_kill_filter(_type="pubsub")
    with pytest.raises(RedisConnectionError):
        await listening
    await listener.redis.aclose(close_connection_pool=True)


async def test_an_idle_subscription_is_pinged_and_a_silent_one_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A half-open connection looks idle for ever."""
    monkeypatch.setattr(channel, "SILENT_SECONDS", 0.2)
    async with EmbeddedRedis(tmp_path) as server:
        listener, redis = Listener(server.url), connect(server.url)
        listening = asyncio.create_task(listener.channel.listen())
        await eventually(listener.has_begun)
        assert server.pid

        async def asked() -> bool:
            return int((await redis.info("commandstats")).get("cmdstat_ping", {}).get("calls", 0)) > 0

        await eventually(asked)
        os.kill(server.pid, signal.SIGSTOP)
        try:
            with pytest.raises(RedisTimeoutError, match="gone silent"):
                await listening
        finally:
            os.kill(server.pid, signal.SIGCONT)
        for used in (listener.redis, redis):
            await used.aclose(close_connection_pool=True)


async def test_a_refused_subscription_is_raised_and_leaves_no_connection(redis: ArqRedis, valkey: str) -> None:
    """As by an access control list that names no channel."""
    await redis.acl_setuser("deaf", enabled=True, nopass=True, keys=["*"], categories=["+@all"], reset_channels=True)
    listener = Listener(valkey.replace("unix://", "unix://deaf@"))
    try:
        with pytest.raises(NoPermissionError):
            await listener.channel.listen()
        assert listener.begun == 0
        assert "deaf" not in {client["user"] for client in await redis.client_list()}
    finally:
        await listener.redis.aclose(close_connection_pool=True)
        await redis.acl_deluser("deaf")


async def test_a_break_fails_those_who_wait_for_earlier_messages(tmp_path: Path) -> None:
    """Also after the wait of one of them was cancelled."""
    async with EmbeddedRedis(tmp_path, persistent=False) as server, _listening(server.url) as listener:
        assert server.pid
        os.kill(server.pid, signal.SIGSTOP)
        cancelled, waiting = (asyncio.create_task(listener.channel.flush()) for _ in range(2))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.wait([cancelled])
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(RedisConnectionError):
            await waiting


async def test_a_cancelled_wait_leaves_the_answers_of_later_ones_in_place(redis: ArqRedis, valkey: str) -> None:
    async with _listening(valkey) as listener:
        for number in range(20):
            cancelled = asyncio.create_task(listener.channel.flush())
            await asyncio.sleep(0)
            cancelled.cancel()
            await redis.publish("news", b"%d" % number)
            await listener.channel.flush()
            assert listener.received[-1] == b"%d" % number
