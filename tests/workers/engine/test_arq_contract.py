"""What the engine relies on in arq, which is pinned: whoever raises the pin reads what changed, and notes it here."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest
from arq import constants, jobs, worker
from arq.connections import ArqRedis

from offloop.redis import codec, schema
from offloop.redis.connection import connect
from offloop_workers.engine import worker as engine


def test_arq_is_the_version_that_was_read() -> None:
    assert version("arq") == "0.28.0"


@pytest.mark.parametrize(
    ("function", "digest"),
    [
        (jobs.serialize_job, "1fc854cc50e16e5c87d1844690acf67aed89338ee28f456f61ecf504c96d99cd"),
        (jobs.deserialize_job_raw, "f330dfaff8e2160fda1b3a3a3735ae5e6d591571044da729a6f1c505c862b50c"),
        (jobs.serialize_result, "709b9d4709d5aa083f098619ca24c5b7b6159841a9902ec38ac8dc0ea411b942"),
        (jobs.deserialize_result, "500bdf28141b60f8fbd141d1b53772bc8e5fa59610d9319314c2b9c55499b13d"),
        (jobs.Job.result, "004dc5100e554432c0917c7660ac88a046a5b21f613d168da20a891c96486a67"),
        (jobs.Job.result_info, "befb175894204ee6ec903d8ec9d2e38916a363eb5a57c53ec2c3fc9cbcbd7ace"),
        (ArqRedis.__init__, "2e8bd7e180d895c86f26dd059f510cbd793c0ed1045e8b803e8decd79cbdaf4e"),
        (ArqRedis.enqueue_job, "7da8706a747c117172047b3ae7405bd450ead0c09b5043c65325661b580b1ce1"),
        (worker.func, "f44ddaf9b8a2bdbb75ce751afc51bc7f603e014adfc5f763f13e760d24f3e08f"),
        (worker.Worker.__init__, "edfb0cd7e05e77cf83392f7733ae03f3554c69f12df39da8833d2c5218d77f41"),
        (worker.Worker.pool.fget, "d6b9a7d2d5280e7fef6b3ad0939a9d1cea5cc1476a07d1c45a8a047a2db32f88"),  # type: ignore[attr-defined] # a property
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_what_is_called_in_arq_is_what_was_read(function: Callable[..., Any], digest: str) -> None:
    """Not only the signature: the formats are made in these bodies."""
    found = hashlib.sha256(inspect.getsource(function).encode()).hexdigest()
    assert found == digest, f"{function.__qualname__} of arq has changed: read it, then write {found}"


def test_the_names_of_arqs_keys_are_those_that_stay_valid_across_versions() -> None:
    """A worker and a front end of different versions share one Redis during an update."""
    assert (schema.PAYLOAD, schema.LEASE, schema.RESULT, schema.QUEUE) == (
        "arq:job:",
        "arq:in-progress:",
        "arq:result:",
        "arq:queue:",
    )
    assert (
        constants.job_key_prefix,
        constants.in_progress_key_prefix,
        constants.result_key_prefix,
        constants.default_queue_name + ":",
    ) == (schema.PAYLOAD, schema.LEASE, schema.RESULT, schema.QUEUE)


def test_a_job_survives_arqs_format() -> None:
    packed = jobs.serialize_job("kind", (), {"a": [1, None]}, None, 7, serializer=codec.pack)
    assert codec.unpack(packed) == {"t": None, "f": "kind", "a": [], "k": {"a": [1, None]}, "et": 7}
    raw: tuple[Any, ...] = jobs.deserialize_job_raw(packed, deserializer=codec.unpack)
    assert (raw[0], list(raw[1]), *raw[2:]) == ("kind", [], {"a": [1, None]}, None, 7)


@pytest.mark.anyio
async def test_arqs_worker_has_what_the_engine_uses(valkey: str) -> None:
    """Tables and counters of its own, which `main` and `run_job` of ours fill."""
    redis = connect(valkey)
    made = worker.Worker(
        [worker.func(engine._STOCK_ENTRY, name="kind")], redis_pool=redis, handle_signals=False, max_jobs=3
    )
    assert (made.tasks, made.job_tasks, made.job_counter, made.max_jobs, made.allow_pick_jobs) == ({}, {}, 0, 3, True)
    assert (made.jobs_complete, made.jobs_failed, made.jobs_retried) == (0, 0, 0)
    assert (made.pool, made._pool, set(made.functions)) == (redis, redis, {"kind"})
    assert made.loop is asyncio.get_running_loop()
    await redis.aclose(close_connection_pool=True)
