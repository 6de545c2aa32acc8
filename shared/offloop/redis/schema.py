"""Schema: names of keys, channels and fields, and the bounds that scripts hold.

arq's data (queue, payload, lease, result, abort) stays under arq's own keys, so that its tools and an unmodified client
of arq keep working; all other keys start with ``offloop:``. arq's queue holds the jobs of principals while they wait,
and those that a client of arq enqueued until they end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from arq.constants import abort_jobs_ss, in_progress_key_prefix, job_key_prefix, result_key_prefix

PAYLOAD = job_key_prefix
LEASE = in_progress_key_prefix
RESULT = result_key_prefix
ABORTED = abort_jobs_ss

RECORD = "offloop:job:"
JOINED = "offloop:joined:"
GONE = "offloop:gone:"
FENCE = "offloop:fence"
ROTATION_COUNTER = "offloop:rotation-counter"
QUEUE = "arq:queue:"
STOCK = "offloop:stock:"
FREE_SLOTS = "offloop:free-slots:"
POOLS = "offloop:pools:"
HELD = "offloop:held:"
SUBQUEUE = "offloop:subqueue:"
ROTATION = "offloop:rotation:"
DEPTH = "offloop:depth:"
LEASES = "offloop:leases:"
PACE = "offloop:pace:"
HEARTBEATS = "offloop:heartbeats:"
BATCH = "offloop:batch:"
PARENTS = "offloop:parents:"
DELIVERY = "offloop:delivery:"
DELIVERIES_OF_JOB = "offloop:deliveries-of:"
DESTINATION = "offloop:destination:"
DESTINATIONS = "offloop:destinations"
DISPATCHERS = "offloop:dispatchers"
SECRETS = "offloop:secrets:"
ENDPOINT_GONE = "offloop:endpoint-gone:"
REPLY_CHANNEL = "offloop:reply:"
CONTROL_CHANNEL = "offloop:control:"
SAME_INPUT = "offloop:same:"

DAY_MS: Final = 86_400_000

ALL: Final = "*"
"""The field of a queue's depth that counts the jobs of every principal."""

TOTAL: Final = "*"
"""The field of a principal's sizes that counts the bytes of all artifacts."""

INLINE_BYTES: Final = 16_384
"""A larger payload or result is fetched, not pushed: pushes share a bounded output buffer."""

LEASE_MS: Final = 4000
"""Lease of a running job. A killed worker's jobs start elsewhere after this plus the interval of a sweep."""

BATCH_KEPT_MS: Final = 8 * 86_400_000
"""Lifetime of a running batch and of its ended items, renewed at each change."""

MAX_BATCHES_PER_ITEM: Final = 20
"""Batches that may wait for one job; the next gets a job of its own."""

BATCH_NOTIFY_MS: Final = 250
"""Shortest time between two pushes of a batch's progress."""

DELIVERY_KEPT_MS: Final = 7 * 86_400_000
"""Lifetime of a delivery, renewed at each attempt to send it; before, its job's time in the queue is added."""

MAX_URLS: Final = 20
"""Deliveries of one job."""

MAX_WAITING_DELIVERIES: Final = 10_000
"""Deliveries of one principal that may wait for one host."""

DELIVERY_POLL_MS: Final = 1000
"""Poll interval of a webhook dispatcher; it is notified only of deliveries that are due before its next poll."""


def queue_key(queue: str) -> str:
    """Arq's sorted set of a queue: ids of jobs by the time at which they are due."""
    return QUEUE + queue


def pool_name(queues: Iterable[str]) -> str:
    """The pool of the workers that serve these queues."""
    return ",".join(sorted(queues))


def rotation_key(queue: str, level: str) -> str:
    """The sorted set of the principals that wait at a level of a queue, by their order in the rotation."""
    return f"{ROTATION}{queue}:{level}"


def sweep_keys(queue: str) -> list[str]:
    """The lock of a queue's sweep, the time of the last one, and the offset of its scan for stock jobs."""
    return [f"offloop:sweep:{queue}", f"offloop:swept:{queue}", f"offloop:scan:{queue}"]


def heartbeats_key(queue: str) -> str:
    """The sorted set of workers that serve a queue, by the time until which each counts as alive."""
    return HEARTBEATS + queue


def index_key(principal: str) -> str:
    """The sorted set of a principal's job ids by time of submission."""
    return f"offloop:jobs:{principal}"


def idempotency_key(principal: str, key: str) -> str:
    """The key that names the job of an idempotency key; the caller's text is hashed, so it may contain anything."""
    return f"offloop:key:{principal}:{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def same_input_key(principal: str, fingerprint: str) -> str:
    """The key that names a principal's job of a pure kind, by the fingerprint of its input."""
    return f"{SAME_INPUT}{principal}:{fingerprint}"


def deliveries_key(principal: str) -> str:
    """The sorted set of a principal's delivery ids by time of submission."""
    return f"offloop:deliveries:{principal}"


def artifact_key(artifact_id: str) -> str:
    """The record of an artifact."""
    return f"offloop:artifact:{artifact_id}"


def quota_keys(principal: str) -> list[str]:
    """The sorted set of a principal's artifact ids by expiry, and the hash of their sizes; ``*`` has the sum."""
    return [f"offloop:artifacts:{principal}", f"offloop:sizes:{principal}"]


SNAPSHOT_FIELDS: Final = [
    "principal",
    "kind",
    "queue",
    "state",
    "attempt",
    "progress",
    "created",
    "started",
    "finished",
    "expires",
]
"""Fields of the hash that a `Record` is read from, in the order in which the scripts answer them."""
