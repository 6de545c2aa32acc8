"""Worker process: opens what a worker needs, serves until a signal, drains."""

from __future__ import annotations

import asyncio
import random
import signal
from typing import TYPE_CHECKING, Final

from offloop import logs
from offloop.artifacts.quota import Quota
from offloop.artifacts.store import ArtifactStore
from offloop.errors import SettingsError, Unavailable
from offloop.kinds import catalogue
from offloop.redis.connection import connect, connect_blocking
from offloop_workers.children.fetching import Fetching
from offloop_workers.children.pool import Children
from offloop_workers.children.scratch import Scratch
from offloop_workers.engine.attempt import Performer
from offloop_workers.engine.worker import Worker, new_owner
from offloop_workers.webhooks.dispatcher import WebhookDispatcher

if TYPE_CHECKING:
    from collections.abc import Sequence

    from offloop.kinds.catalogue import Catalogue
    from offloop.settings import Settings

COLLECT_SECONDS: Final = 600

log = logs.get(__name__)


async def run(settings: Settings) -> None:
    """Run a worker until SIGTERM or SIGINT, then drain it.

    Raises:
        SettingsError: there is no Redis to work for, or a queue that no kind names.
    """
    kinds = catalogue.load(settings.job_modules, tightened=settings.limits)
    queues = settings.queues or kinds.queues
    if settings.redis_url is None:
        message = "OFFLOOP_REDIS_URL is not set: give it, or run `offloop up`, which brings its own server."
        raise SettingsError(message)
    stopped = _stop_signal()
    owner = new_owner()
    redis, subscriptions = connect(settings.redis_url), connect_blocking(settings.redis_url)
    store = ArtifactStore(
        settings.artifacts_location, redis, retention_seconds=settings.retention_seconds, quota=Quota.of(settings)
    )
    try:
        with Scratch() as scratch:
            async with (
                Children(_children(kinds, queues, settings.slots), tuple(queues), scratch.path("children")) as children,
                Fetching(settings) as fetching,
                WebhookDispatcher(settings, redis, owner) as deliveries,
            ):
                worker = Worker(
                    kinds,
                    Performer(kinds, children, store, scratch, fetching, roots=settings.file_roots),
                    redis,
                    subscriptions,
                    owner=owner,
                    queues=queues,
                    slots=settings.slots,
                    retention_seconds=settings.retention_seconds,
                    on_delivery=deliveries.wake,
                )
                await _until(stopped, worker, store, settings.drain_seconds)
    finally:
        for connections in (subscriptions, redis):
            await connections.aclose(close_connection_pool=True)


def _stop_signal() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    return stopped


def _children(kinds: Catalogue, queues: Sequence[str], slots: int) -> int:
    """Number of children: 0 for a worker whose kinds all run on its own loop."""
    return slots if any(kind.queue in queues and kind.isolation != "none" for kind in kinds.values()) else 0


async def _until(stopped: asyncio.Event, worker: Worker, store: ArtifactStore, grace: float) -> None:
    serving = asyncio.create_task(worker.main(), name="worker")
    collecting = asyncio.create_task(_collect(store), name="collect")
    waiting = asyncio.create_task(stopped.wait(), name="stop")
    try:
        await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            log.info("draining", running=len(worker.tasks))
            await worker.drain(grace)
    finally:
        for task in (serving, collecting, waiting):
            task.cancel()
        ended = await asyncio.gather(serving, collecting, waiting, return_exceptions=True)
        await worker.close()
    if isinstance(ended[0], Exception):
        raise ended[0]


async def _collect(store: ArtifactStore) -> None:
    """Delete expired artifacts from time to time; several workers doing so do each other no harm."""
    while True:
        await asyncio.sleep(COLLECT_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 -- spreads load, guards nothing
        try:
            if count := await store.collect():
                log.info("expired artifacts deleted", blobs=count)
        except Unavailable as error:
            log.warning("expired artifacts not deleted, trying again later", error=error.message)
