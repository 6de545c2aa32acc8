"""Names of the Lua scripts; the head comment of ``lua/<name>.lua`` is the contract of each.

Every script is safe to send twice (a connection may break after the server has executed it), and reads the time from
Redis, so the clocks of front ends and workers do not matter. Scripts build key names from ids, as arq does; this rules
out Redis Cluster.

A worker advertises its free slots. A submit assigns its job to the worker with the most of them; where there is none,
the job waits, and the next worker with a free slot claims it. A queue has two *levels*: ``interactive`` for jobs that a
call waits for, ``batch`` for the others. In each, every principal has a *subqueue*, and a *rotation* decides whose is
next. Free slots are only hints: each heartbeat counts them anew and claims what waits.

Words: *payload* arq's serialized job · *lease* a key that lives as long as its worker renews it · *token*
``owner:number``, the fence: written into the record at each claim, so that a late write of a lost attempt is refused ·
*pool* the workers that serve the same queues · *assigned* pushed to a worker that has not confirmed it yet.

Messages on a worker's control channel: ``{'run', row}`` (a job is assigned; see ``lua/lib/worker/claim.lua``),
``{'stop', token}`` (a job was cancelled), ``{'wake'}`` (a job waits), ``{'deliver'}`` (a delivery is due).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from offloop.redis import lua
from offloop.redis.lua import Script

if TYPE_CHECKING:
    from redis.asyncio import Redis

SUBMIT: Final = "job/submit"
READ: Final = "job/read"
MARK_DISCLOSED: Final = "job/mark_disclosed"
CANCEL: Final = "job/cancel"
ABANDON: Final = "job/abandon"
BEGIN: Final = "job/begin"
HEARTBEAT: Final = "job/heartbeat"
PROGRESS: Final = "job/progress"
FINISH: Final = "job/finish"
RELEASE: Final = "job/release"
SWEEP: Final = "job/sweep"

SUBMIT_BATCH: Final = "batch/submit"

CLAIM_DELIVERIES: Final = "delivery/claim"
RENEW_DELIVERIES: Final = "delivery/renew"
SETTLE_DELIVERY: Final = "delivery/settle"
REPLAY_DELIVERY: Final = "delivery/replay"
ROTATE_SECRET: Final = "delivery/rotate_secret"  # noqa: S105 -- the name of a script
SIGNING_SECRETS: Final = "delivery/signing_secrets"

CHARGE: Final = "quota/charge"
REFUND: Final = "quota/refund"
DELETE: Final = "quota/delete"
USAGE: Final = "quota/usage"

COMPLETE_UPLOAD: Final = "artifact/complete_upload"


def load(redis: Redis, name: str) -> Script:
    """One of the scripts above, ready to be called with ``keys=`` and ``args=``."""
    return Script(redis, lua.text(name))
