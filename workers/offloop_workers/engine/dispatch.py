"""Dispatch: how jobs reach a worker.

Three loops share one life; a broken connection ends none of them:

* *heartbeat* renews the leases, shows that the worker lives, reports lost leases and cancellations, claims what waits,
  and advertises the slots that stay free;
* *listen* receives assigned jobs, cancellations, requests to look, and announcements of webhook deliveries;
* *sweep* finds jobs that no message announced.

Messages only save time: all they say is seen by the next heartbeat or sweep as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from offloop import logs
from offloop.queue.record import sweep_args
from offloop.redis import codec, schema, scripts
from offloop.redis.outage import forever
from offloop.redis.subscriber import Subscriber
from offloop_workers.engine.claiming import Claim
from offloop_workers.engine.execution import Stop

if TYPE_CHECKING:
    from offloop.redis import RedisClient
    from offloop_workers.engine.claiming import Claimer
    from offloop_workers.engine.execution import Execution

HEARTBEAT_SECONDS: Final = 1.0
ALIVE_MS: Final = 5000
"""A worker without a heartbeat for this long does not count as alive."""
SWEEP_SECONDS: Final = 1.0

log = logs.get(__name__)


class Dispatch:
    """Gives an execution the jobs of one worker's queues.

    Args:
        redis: the connection for commands.
        subscriptions: the connections for channels.
        claimer: the worker's claims.
        execution: what runs them.
        on_delivery: called when a webhook delivery is announced, or may have been missed.
    """

    def __init__(
        self,
        redis: RedisClient,
        subscriptions: RedisClient,
        claimer: Claimer,
        execution: Execution,
        on_delivery: Callable[[], object],
    ) -> None:
        self._redis = redis
        self._claimer = claimer
        self._execution = execution
        self._on_delivery = on_delivery
        channel = schema.CONTROL_CHANNEL + claimer.owner
        self._channel = Subscriber(subscriptions, channel, self._receive, ready=self._wake)
        self._renew_leases = scripts.load(redis, scripts.HEARTBEAT)
        self._sweep = scripts.load(redis, scripts.SWEEP)

    async def serve(self) -> None:
        """Dispatch jobs, and store their progress, until cancelled."""
        async with asyncio.TaskGroup() as loops:
            # Heartbeats come first when the server is back: the sweep gives them half a lease.
            loops.create_task(forever(self._keep_alive, pause=0.5), name="heartbeat")
            loops.create_task(forever(self._listen), name="listen")
            loops.create_task(forever(self._execution.report), name="progress")
            loops.create_task(forever(self._sweep_queues), name="sweep")

    async def pause(self) -> None:
        """Claim no more jobs, advertise no more slots, and return when all jobs assigned before have started.

        Raises:
            RedisError: the server is away; jobs may still arrive.
        """
        self._claimer.paused = True
        await self._heartbeat()
        await self._channel.flush()

    async def retire(self) -> None:
        """Take the worker off the lists of living ones."""
        for queue in self._claimer.queues:
            await self._redis.zrem(schema.heartbeats_key(queue), self._claimer.owner)

    async def _keep_alive(self) -> None:
        self._claimer.due.clear()
        await self._heartbeat()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                await self._claimer.due.wait()

    async def _heartbeat(self) -> None:
        """Renew the leases, claim what waits, and advertise the slots that stay free."""
        held = [part for token, attempt in self._execution.running.items() for part in (attempt.claim.job_id, token)]
        durations = codec.pack_for_lua(self._execution.mean_durations())
        lost, cancelled, rows = await self._claimer(self._renew_leases, ALIVE_MS, durations, *held)
        for token in lost:
            self._execution.stop(token.decode(), Stop.LOST)
        for token in cancelled:
            self._execution.stop(token.decode(), Stop.CANCELLED)
        for claim in self._claimer.read(rows):
            self._execution.start(claim)

    async def _listen(self) -> None:
        # Jobs are assigned only to workers whose channel has a subscriber.
        await self._channel.listen()

    def _receive(self, message: bytes) -> None:
        order, *rest = codec.unpack_order(message)
        match order:
            case b"run":
                self._execution.start(Claim.read(*rest, assigned=True))
            case b"stop":
                self._execution.stop(rest[0].decode(), Stop.CANCELLED)
            case b"wake":
                self._claimer.due.set()
            case b"deliver":
                self._on_delivery()

    def _wake(self) -> None:
        """Check for jobs and deliveries whose messages were published before this worker had a subscription."""
        self._claimer.due.set()
        self._on_delivery()

    async def _sweep_queues(self) -> None:
        for queue in self._claimer.queues:
            found = await self._sweep(
                keys=schema.sweep_keys(queue),
                args=sweep_args(
                    queue,
                    lock_ms=int(SWEEP_SECONDS * 500),
                    keep_ms=self._claimer.pending_ms,
                    retention_ms=self._claimer.retention_ms,
                ),
            )
            if found > 0:
                log.info("found forgotten jobs", queue=queue, count=found)
        await asyncio.sleep(SWEEP_SECONDS * random.uniform(0.9, 1.1))  # noqa: S311 -- spreads load, guards nothing
