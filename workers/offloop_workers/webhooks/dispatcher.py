"""Sends what is due: takes deliveries with a lease, signs and posts them, and notes what came of it.

Every worker has a courier beside its engine; which of them sends a delivery does not matter. A courier that is lost
leaves a lease that lapses, and another sends the same again, under the same id. Two loops share its life: *dispatch*
blocks until something is due and takes as much as there is room for, *hold* keeps the leases of what is being sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from offloop import logs
from offloop.artifacts.links import Links, shared_key
from offloop.outbound.transport import guarded_client
from offloop.queue.record import Record
from offloop.queue.subscription import webhook_policy
from offloop.redis import codec, schema, scripts
from offloop.redis.connection import BLOCK_SECONDS
from offloop.redis.outage import AWAY, forever
from offloop.webhooks.deliveries import SECRET_MS
from offloop.webhooks.events import body, event, headers, late_event, new_secret
from offloop_workers.webhooks.sender import CUT_SHORT, SECONDS, DeliveryResult, WebhookSender

if TYPE_CHECKING:
    from offloop.redis import RedisClient
    from offloop.settings import Settings

SCHEDULE: Final = (5, 30, 120, 600, 3600, 3 * 3600, 6 * 3600, 12 * 3600)
"""Seconds before each retry: almost a day in all."""
LEASE_MS: Final = 5000
HOLD_SECONDS: Final = 1.5
MAX_DELIVERIES: Final = 32
"""What one courier has in flight; of one principal and for one host it is less, so that none holds up the others."""
MAX_PER_PRINCIPAL: Final = 16
MAX_PER_DESTINATION: Final = 4
FAILED_MS: Final = 3 * 86_400_000
"""How long a delivery that failed can be listed and replayed."""
GONE_MS: Final = 30 * 86_400_000
"""How long a URL that answered 410 is told nothing."""
GRACE_SECONDS: Final = 1.0
"""How long a stopping courier lets attempts end before it hands them back."""
_LARGE: Final = 65_536

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Taken:
    """A delivery that is ours to send, as the script answers it; `WebhookDispatcher` is the only reader."""

    delivery_id: str
    attempt: int
    step: int
    destination: str
    job_id: str
    kind: str
    url: str
    ended: str
    finished: int
    signers: list[str]
    event: bytes = b""
    snapshot: Sequence[Any] = ()

    @classmethod
    def read(cls, row: bytes) -> Self:
        """The delivery that the script returned as a row."""
        return cls(**codec.unpack_row(row, binary=("event", "snapshot")))

    @property
    def principal(self) -> str:
        return self.destination.partition("|")[2]

    def told(self) -> dict[str, Any]:
        """What to tell: as it was told before, or read from the job's record, or the little that is known."""
        if self.event:
            known: dict[str, Any] = codec.unpack(self.event)
            return known
        record = Record.from_redis(self.job_id, *self.snapshot) if self.snapshot else None
        return event(record) if record else late_event(self.job_id, self.kind, self.ended, self.finished)


class WebhookDispatcher:
    """Sends deliveries while its block is open; hands back what it cannot end in time.

    Args:
        settings: who may be told, where links lead.
        redis: the connection for commands; its owner closes it.
        blocking: the connections for commands that block; likewise.
        schedule: seconds before each retry.
        seconds: how long one attempt may take.
    """

    def __init__(
        self,
        settings: Settings,
        redis: RedisClient,
        blocking: RedisClient,
        *,
        schedule: Sequence[float] = SCHEDULE,
        seconds: float = SECONDS,
    ) -> None:
        self._redis = redis
        self._blocking = blocking
        self._public_url = settings.public_url
        self._kept_ms = settings.retention_seconds * 1000
        self._client = guarded_client(webhook_policy(settings))
        self._postman = WebhookSender(self._client, schedule, seconds)
        self._take = scripts.load(self._redis, scripts.CLAIM_DELIVERIES)
        self._hold = scripts.load(self._redis, scripts.RENEW_DELIVERIES)
        self._settle = scripts.load(self._redis, scripts.SETTLE_DELIVERY)
        self._signers = scripts.load(self._redis, scripts.SIGNING_SECRETS)
        self._links: Links | None = None
        self._loops: list[asyncio.Task[Any]] = []
        self._sending: dict[asyncio.Task[None], Taken] = {}
        self._over = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._loops = [
            asyncio.create_task(forever(self._dispatch), name="deliveries"),
            asyncio.create_task(forever(self._keep_leases), name="delivery leases"),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Take no more, let attempts end for a moment, hand back the rest, close the connections."""
        dispatch, keep = self._loops
        await _end([dispatch])
        if self._sending:
            await asyncio.wait(self._sending, timeout=GRACE_SECONDS)
        left = dict(self._sending)
        await _end([*left, keep])
        with contextlib.suppress(*AWAY):
            for taken in left.values():
                await self._note(taken, CUT_SHORT, b"")
        await self._client.aclose()

    async def _dispatch(self) -> None:
        self._over.clear()
        if len(self._sending) >= MAX_DELIVERIES:
            await self._over.wait()
            return
        room = MAX_DELIVERIES - len(self._sending)
        routes = Counter(taken.destination for taken in self._sending.values())
        routes.update(taken.principal for taken in self._sending.values())
        rows, wait_ms, passed = await self._take(
            args=[LEASE_MS, room, MAX_PER_DESTINATION, MAX_PER_PRINCIPAL, codec.pack(dict(routes)), SECRET_MS]
        )
        for row in rows:
            self._begin(Taken.read(row))
        if not rows:
            await self._until_due(min(BLOCK_SECONDS, wait_ms / 1000), over=passed > 0)

    async def _until_due(self, seconds: float, *, over: bool) -> None:
        """Wait for a token, for the next retry, and where something due was passed over, for an attempt to end."""
        waits: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(self._blocking.blpop([schema.SENDERS], max(0.05, seconds)))  # type: ignore[arg-type]
        ]
        if over:
            waits.append(asyncio.ensure_future(self._over.wait()))
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _end(waits)
        for wait in done:
            wait.result()  # a broken connection is for `forever` to wait out

    def _begin(self, taken: Taken) -> None:
        task = asyncio.create_task(self._deliver(taken), name=f"delivery {taken.delivery_id}")
        self._sending[task] = taken
        task.add_done_callback(partial(self._ended, taken))

    def _ended(self, taken: Taken, task: asyncio.Task[None]) -> None:
        self._sending.pop(task, None)
        self._over.set()
        if not task.cancelled() and (error := task.exception()):
            log.error("the lease of a delivery lapses, it is sent again", id=taken.delivery_id, exc_info=error)

    async def _deliver(self, taken: Taken) -> None:
        links = await self._known_links()
        try:
            told = await self._told(taken)
            packed = body(told, links)
        except Exception:
            # Left to its lease, which lapses after seconds, it would be begun again and again for days.
            log.exception("what a delivery tells could not be put together", id=taken.delivery_id, job_id=taken.job_id)
            await self._note(taken, self._postman.retry(taken.step, 0, "what it tells could not be put together"), b"")
            return
        now = int(time.time())
        signed = headers(taken.delivery_id, now, taken.signers or await self._first_secret(taken.principal), packed)
        verdict = await self._postman.post(taken.url, signed, packed, taken.step)
        log.info(
            "→ delivery",
            id=taken.delivery_id,
            job_id=taken.job_id,
            attempt=taken.attempt,
            state=verdict.state,
            status=verdict.status,
            error=verdict.error,
        )
        await self._note(taken, verdict, codec.pack(told))

    async def _told(self, taken: Taken) -> dict[str, Any]:
        large = any(isinstance(part, bytes) and len(part) > _LARGE for part in taken.snapshot)
        return await asyncio.to_thread(taken.told) if large else taken.told()

    async def _note(self, taken: Taken, verdict: DeliveryResult, packed: bytes) -> None:
        kept = self._kept_ms if verdict.state == "delivered" else FAILED_MS
        what = [verdict.state, verdict.status, verdict.error, int(verdict.delay * 1000)]
        if not await self._settle(args=[taken.delivery_id, taken.attempt, *what, kept, packed, GONE_MS]):
            log.warning("another attempt has the delivery", id=taken.delivery_id, attempt=taken.attempt)

    async def _first_secret(self, principal: str) -> list[str]:
        """Nobody has asked for a secret yet: one is made, so that every delivery is signed."""
        return [secret.decode() for secret in await self._signers(args=[principal, new_secret(), SECRET_MS])]

    async def _known_links(self) -> Links | None:
        if self._links is None and self._public_url:
            self._links = Links(await shared_key(self._redis), self._public_url)
        return self._links

    async def _keep_leases(self) -> None:
        held = [part for taken in self._sending.values() for part in (taken.delivery_id, taken.attempt)]
        if held:
            await self._hold(args=[LEASE_MS, *held])
        await asyncio.sleep(HOLD_SECONDS)


async def _end(tasks: Sequence[asyncio.Future[Any]]) -> None:
    """Cancel them, and see them to their end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
