"""The life of a worker: it serves, drains, and closes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from offloop import logs
from offloop.redis.outage import AWAY
from offloop_workers.engine.arq import ArqWorker
from offloop_workers.engine.claiming import Claimer
from offloop_workers.engine.dispatch import Dispatch
from offloop_workers.engine.execution import Execution, Perform, Stop

if TYPE_CHECKING:
    from offloop.kinds.catalogue import Catalogue
    from offloop.redis import RedisClient

RELEASE_SECONDS: Final = 2
"""Most time of a drain for its last heartbeat, and again for the release of jobs that did not end."""

log = logs.get(__name__)


def new_owner() -> str:
    """A name for a worker that no other has; it says where the worker runs."""
    return f"{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(4)}"


class Worker(ArqWorker):
    """A worker for several queues on one event loop.

    Args:
        kinds: the kinds it knows.
        perform: runs one attempt.
        redis: the connection for commands; its owner closes it.
        subscriptions: the connections for channels; likewise.
        owner: its name, from `new_owner`.
        queues: the queues it serves.
        slots: attempts at the same time.
        retention_seconds: how long outcomes are kept.
        on_delivery: called when a webhook delivery is announced to this worker.
    """

    def __init__(  # noqa: PLR0913 -- all named, all needed
        self,
        kinds: Catalogue,
        perform: Perform,
        redis: RedisClient,
        subscriptions: RedisClient,
        *,
        owner: str,
        queues: Sequence[str],
        slots: int,
        retention_seconds: int,
        on_delivery: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(kinds, redis, queue=queues[0], slots=slots)
        self.owner = owner
        self._queues = queues
        self._closed = False
        claimer = Claimer(owner, queues, slots, retention_seconds)
        self.execution = Execution(perform, redis, claimer, tasks=self.tasks, run_job=self.run_job)
        self.dispatch = Dispatch(redis, subscriptions, claimer, self.execution, on_delivery)

    async def main(self) -> None:
        """Serve until cancelled, or closed."""
        log.info("worker ready", owner=self.owner, queues=self._queues, slots=self.max_jobs, kinds=len(self.functions))
        await super().main()

    async def drain(self, grace: float) -> None:
        """Take no more jobs, let the running ones end for `grace` seconds, and release the rest."""
        if self._closed:
            return
        self.allow_pick_jobs = False
        with contextlib.suppress(TimeoutError, *AWAY):
            async with asyncio.timeout(RELEASE_SECONDS):
                await self.dispatch.pause()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                while self.tasks:  # one that ends may have claimed another, in a request that was under way
                    await asyncio.wait(self.tasks.values())
        for token in list(self.tasks):
            self.execution.stop(token, Stop.DRAINED)
        if self.tasks:
            await asyncio.wait(self.tasks.values(), timeout=RELEASE_SECONDS)

    async def close(self) -> None:
        """End the loops and leave the list of living workers. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        if self.main_task and not self.main_task.done():
            self.main_task.cancel()
            await asyncio.wait([self.main_task])
        with contextlib.suppress(*AWAY):
            await self.dispatch.retire()
