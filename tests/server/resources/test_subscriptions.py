"""Listening, with the clocks and readers that no journey can wait for: a slow one, and one that stays for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from arq.connections import ArqRedis
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, ServerNotification, SubscriptionFilter, SubscriptionsListenRequestParams

from offloop.queue.client import Bounds, JobQueue
from offloop.queue.record import Progress
from offloop.redis import schema
from offloop.redis.connection import connect, connect_blocking
from offloop_server.resources import subscriptions as listenings
from offloop_server.resources.subscriptions import Listening
from offloop_server.runtime.background import Background
from offloop_server.waiting import inbox as inboxes
from offloop_server.waiting.inbox import Inbox
from offloop_server.web.auth import SCOPE_KEY
from support.caller import FRONT, Nothing, kind
from support.steps import Steps
from support.waiting import eventually

pytestmark = pytest.mark.anyio

UPDATED = "notifications/resources/updated"


@dataclass
class Reader:
    """The client's end of one request: accepts frames, or blocks their sender while it does not read."""

    frames: list[str] = field(default_factory=list)
    reads: asyncio.Event = field(default_factory=asyncio.Event)

    async def send_notification(self, notification: ServerNotification, related_request_id: object) -> None:
        """Take one frame."""
        assert related_request_id == "mine"
        await self.reads.wait()
        self.frames.append(notification.method)

    @property
    def notified(self) -> int:
        """Number of notifications."""
        return self.frames.count(UPDATED)


@asynccontextmanager
async def _open(url: str, queue: JobQueue) -> AsyncIterator[Inbox]:
    async with (
        asyncio.timeout(30),
        Background(grace=1) as background,
        Inbox(connect_blocking(url), queue, FRONT, background) as inbox,
    ):
        yield inbox


def _listen(listening: Listening, reader: Reader, *job_ids: str) -> Any:
    context = ServerRequestContext[Any](
        session=cast("Any", reader),
        lifespan_context={},
        protocol_version="2026-07-28",
        method="subscriptions/listen",
        request_id="mine",
        request=SimpleNamespace(scope={SCOPE_KEY: "alice"}),
    )
    uris = [f"offloop://jobs/{job_id}" for job_id in job_ids]
    wanted = SubscriptionFilter(resource_subscriptions=uris)
    return listening(context, SubscriptionsListenRequestParams(notifications=wanted))


async def _submit(queue: JobQueue, job_id: str) -> None:
    await queue.submit(kind, Nothing(), principal="alice", job_id=job_id)


async def test_many_changes_are_one_notification_to_a_slow_reader(valkey: str, queue: JobQueue, worker: Steps) -> None:
    reader = Reader()
    async with _open(valkey, queue) as inbox:
        await _submit(queue, "a")
        request = asyncio.create_task(_listen(Listening(queue, inbox), reader, "a"))
        taken = await worker.claim_one("a")
        await eventually(lambda: _seen(inbox, "a"))
        for done in range(1, 100):
            await worker.progress(taken, Progress(done, 100, ""))
        await worker.finish(taken)
        await eventually(lambda: _settled(inbox, "a"))
        reader.reads.set()
        result = await request
        assert reader.frames == ["notifications/subscriptions/acknowledged", UPDATED]
        assert result.meta == {"io.modelcontextprotocol/subscriptionId": "mine"}
        assert inbox._watches == {}


async def test_the_start_of_a_job_is_notified_immediately(
    valkey: str, queue: JobQueue, worker: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only when the front end polls it, which it does once a second."""
    monkeypatch.setattr(inboxes, "POLL_SECONDS", 60)
    reader = Reader()
    reader.reads.set()
    async with _open(valkey, queue) as inbox:
        await _submit(queue, "a")
        request = asyncio.create_task(_listen(Listening(queue, inbox), reader, "a"))
        await eventually(lambda: _notified(reader, 1))
        taken = await worker.claim_one("a")
        await eventually(lambda: _notified(reader, 2))
        await worker.finish(taken)
        await request
        assert reader.notified == 3


async def _seen(inbox: Inbox, job_id: str) -> bool:
    return any(watch.record for watch in inbox._watches.get(job_id, ()))


async def _settled(inbox: Inbox, job_id: str) -> bool:
    return any(watch.settled for watch in inbox._watches.get(job_id, ()))


@pytest.mark.parametrize("reads", [True, False])
async def test_a_request_ends_in_good_order_after_the_longest_time(
    valkey: str, queue: JobQueue, monkeypatch: pytest.MonkeyPatch, *, reads: bool
) -> None:
    """Also where the client does not read; the job is left as it was."""
    monkeypatch.setattr(listenings, "MAX_SECONDS", 0.3)
    reader = Reader()
    if reads:
        reader.reads.set()
    async with _open(valkey, queue) as inbox:
        listening = Listening(queue, inbox)
        await _submit(queue, "a")
        result = await _listen(listening, reader, "a")
        assert result.meta == {"io.modelcontextprotocol/subscriptionId": "mine"}
        assert reader.notified == (1 if reads else 0)
        assert inbox._watches == {}
        assert not listening._open
        assert (await queue.get("a", principal="alice")).state == "queued"


async def test_a_job_that_is_gone_is_notified_and_ends_its_part(
    redis: ArqRedis, valkey: str, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inboxes, "POLL_SECONDS", 0.05)
    reader = Reader()
    reader.reads.set()
    async with _open(valkey, queue) as inbox:
        await _submit(queue, "a")
        request = asyncio.create_task(_listen(Listening(queue, inbox), reader, "a"))
        await eventually(lambda: _notified(reader, 1))
        await redis.delete(schema.RECORD + "a")
        await request
        assert reader.notified == 2


async def _notified(reader: Reader, times: int) -> bool:
    return reader.notified >= times


async def test_a_dropped_connection_leaves_no_watch_and_no_open_request(valkey: str, queue: JobQueue) -> None:
    """In the middle of a frame, and between two."""
    async with _open(valkey, queue) as inbox:
        listening = Listening(queue, inbox)
        await _submit(queue, "a")
        for reads in (True, False):
            reader = Reader()
            if reads:
                reader.reads.set()
            request = asyncio.create_task(_listen(listening, reader, "a", "b"))
            await eventually(lambda: _seen(inbox, "a"))
            if reads:
                await eventually(lambda reader=reader: _notified(reader, 1))  # type: ignore[misc]
            request.cancel()
            with pytest.raises(asyncio.CancelledError):
                await request
            assert inbox._watches == {}
            assert not listening._open
        assert (await queue.get("a", principal="alice")).state == "queued"


async def test_a_front_end_that_stops_acknowledges_and_ends(valkey: str, queue: JobQueue) -> None:
    reader = Reader()
    reader.reads.set()
    async with _open(valkey, queue) as inbox:
        await _submit(queue, "a")
        inbox.stop_waiting()
        await _listen(Listening(queue, inbox), reader, "a")
        assert reader.notified == 1


async def test_without_redis_the_request_is_refused_in_words(valkey: str, queue: JobQueue) -> None:
    away = connect("unix:///nowhere/r.sock", retries=0)
    try:
        async with _open(valkey, queue) as inbox:
            listening = Listening(JobQueue(away, Bounds(60, 100, 100), front_end=FRONT), inbox)
            with pytest.raises(MCPError, match="Redis") as refused:
                await _listen(listening, Reader(), "a")
            assert refused.value.code == INTERNAL_ERROR
            assert inbox._watches == {}
            assert not listening._open
    finally:
        await away.aclose(close_connection_pool=True)


async def test_many_watches_of_one_job_cost_one_look(
    redis: ArqRedis, valkey: str, queue: JobQueue, worker: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And an ended job is not polled any more."""
    monkeypatch.setattr(inboxes, "POLL_SECONDS", 60)
    async with _open(valkey, queue) as inbox, inbox.watch("a", "alice") as one, inbox.watch("a", "alice") as other:
        await _submit(queue, "a")

        async def polls() -> int:
            before = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
            await inbox._read(["a"])
            return int((await redis.info("commandstats"))["cmdstat_evalsha"]["calls"] - before)

        await inbox._read(["a"])
        assert one.record
        assert one.record == other.record
        assert await polls() == 1
        await worker.finish(await worker.claim_one("a"))
        await inbox._read(["a"])
        assert one.settled
        assert await polls() == 0
