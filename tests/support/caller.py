"""Minimal front end: it submits jobs and waits for pushes; and a kind for its jobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from arq.connections import ArqRedis
from redis.asyncio.client import PubSub

from offloop.kinds.kind import Kind, Model, declare
from offloop.queue.client import Bounds, JobQueue, new_id, read_push
from offloop.queue.record import Record, State
from offloop.redis import schema

FRONT = "front"
"""Name of the front end."""
ALICE = "alice"
BOUNDS = Bounds(retention_seconds=600, max_queued=10_000, max_queued_per_principal=10_000)


class Nothing(Model):
    """Input without fields."""


kind = declare("do_nothing", Nothing, Nothing, description="d", retries=2)


class Caller:
    """Principal `ALICE` behind one front end.

    Attributes:
        queue: client of the queue, with this front end's name.
        seen: the pushed records, in order.
    """

    def __init__(self, redis: ArqRedis, channel: PubSub, name: str) -> None:
        self.queue = JobQueue(redis, BOUNDS, front_end=name)
        self.seen: list[Record] = []
        self._channel = channel

    async def submit(self, kind: Kind[Any, Any], value: Model, **options: Any) -> str:
        """Submit a job whose changes are pushed (unless ``wait_seconds=0``); returns its id."""
        options = {"principal": ALICE, "job_id": new_id(), "wait_seconds": 20, **options}
        return (await self.queue.submit(kind, value, **options)).record.job_id

    async def get(self, job_id: str) -> Record:
        """The current record of a job."""
        return await self.queue.get(job_id, principal=ALICE)

    async def pushed(self, seconds: float = 60) -> Record:
        """Record of the next push; read from Redis if it was too large to push."""
        async with asyncio.timeout(seconds):
            while (message := await self._channel.get_message(ignore_subscribe_messages=True, timeout=5)) is None:
                pass
        job_id, record = read_push(message["data"])
        self.seen.append(record or await self.get(job_id))
        return self.seen[-1]

    async def until(self, job_id: str, *states: State) -> Record:
        """Wait for a push of the job in one of the states; by default, a terminal one."""
        wanted = set(states) or {state for state in State if state.terminal}
        for record in self.seen:
            if record.job_id == job_id and record.state in wanted:
                return record
        while (record := await self.pushed()).job_id != job_id or record.state not in wanted:
            pass
        return record

    async def progress(self, job_id: str) -> Record:
        """Wait for a push that has the job's progress."""
        while not any(record.job_id == job_id and record.progress for record in self.seen):
            await self.pushed()
        return next(record for record in self.seen if record.job_id == job_id and record.progress)


@asynccontextmanager
async def calling(redis: ArqRedis, name: str = FRONT) -> AsyncIterator[Caller]:
    """Front end that is subscribed to its channel."""
    async with redis.pubsub() as channel:
        await channel.subscribe(schema.REPLY_CHANNEL + name)
        yield Caller(redis, channel, name)


@pytest.fixture
async def caller(redis: ArqRedis) -> AsyncIterator[Caller]:
    """Principal `ALICE` behind the front end `FRONT`."""
    async with calling(redis) as found:
        yield found
