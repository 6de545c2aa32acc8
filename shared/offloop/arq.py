"""For users of arq: a pool that enqueues jobs for offloop's workers. `create_pool` is what `arq.create_pool` is."""

from __future__ import annotations

from arq.connections import ArqRedis
from arq.jobs import Job

from offloop.redis import codec, schema
from offloop.redis.connection import connect
from offloop.redis.outage import answering


async def create_pool(url: str, *, queue: str = "default") -> ArqRedis:
    """Open arq's own client for the workers' Redis, with their serializer and the name of a queue.

    Args:
        url: as ``OFFLOOP_REDIS_URL``; Sentinel and TLS work as they do there.
        queue: the queue that `enqueue_job` uses by default, such as ``pdf``; each kind names its own.

    Raises:
        SettingsError: the URL is not one of Redis.
        Unavailable: Redis does not answer.
    """
    pool = ArqRedis(
        connect(url).connection_pool,
        job_serializer=codec.pack,
        job_deserializer=codec.unpack,
        default_queue_name=queue_name(queue),
    )
    pool.auto_close_connection_pool = True  # as for a pool that arq makes
    try:
        async with answering():
            await pool.ping()
    except BaseException:
        await pool.aclose()
        raise
    return pool


def queue_name(queue: str) -> str:
    """The key of a queue, as arq's ``_queue_name`` takes it."""
    return schema.queue_key(queue)


def job(job_id: str, pool: ArqRedis) -> Job:
    """The job of an id, in a process that did not enqueue it."""
    return Job(job_id, pool, pool.default_queue_name, pool.job_deserializer)
