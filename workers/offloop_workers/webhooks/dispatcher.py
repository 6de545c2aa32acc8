"""Webhook dispatcher: claims due deliveries, sends them, and stores the result of each attempt.

Every worker has one beside its engine; any of them may send a delivery. The lease of a dispatcher that is lost lapses,
and another one sends the same again, under the same id. Two loops share its life: *dispatch* claims as many deliveries
as there is room for, *renew* keeps the leases of those in flight.
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
from offloop.outbound.client import OutboundClient
from offloop.queue.record import Record
from offloop.queue.subscription import webhook_policy
from offloop.redis import codec, schema, scripts
from offloop.redis.outage import AWAY, forever
from offloop.webhooks.deliveries import SECRET_MS
from offloop.webhooks.events import body, event, late_event
from offloop.webhooks.signature import headers, new_secret
from offloop_workers.webhooks.sender import CUT_SHORT, SECONDS, DeliveryResult, WebhookSender

if TYPE_CHECKING:
    from offloop.redis import RedisClient
    from offloop.settings import Settings

SCHEDULE: Final = (5, 30, 120, 600, 3600, 3 * 3600, 6 * 3600, 12 * 3600)
"""Seconds before each retry: almost a day in all."""
LEASE_MS: Final = 5000
RENEW_SECONDS: Final = 1.5
POLL_SECONDS: Final = schema.DELIVERY_POLL_MS / 1000
MAX_DELIVERIES: Final = 32
"""Deliveries in flight from one dispatcher; fewer per principal and per host, so that none holds up the others."""
MAX_PER_PRINCIPAL: Final = 16
MAX_PER_DESTINATION: Final = 4
FAILED_MS: Final = 3 * 86_400_000
"""Retention of a failed delivery, for listing and replay."""
GONE_MS: Final = 30 * 86_400_000
"""Pause of deliveries to a URL that answered 410."""
GRACE_SECONDS: Final = 1.0
"""Grace of attempts when the dispatcher stops; after it they are cut short."""
_LARGE: Final = 65_536

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class DueDelivery:
    """A delivery that this dispatcher has leased.

    Attributes:
        delivery_id: the same at every attempt.
        attempt: number of this attempt, its fence.
        step: the step of the schedule, from 1.
        destination: host and principal, as ``host|principal``.
        job_id: the job that ended.
        kind: its kind.
        url: the address.
        ended: the state in which the job ended.
        finished: when it did, in ms.
        signers: the secrets that sign, newest first.
        event: the packed event of an earlier attempt, or empty.
        snapshot: the job's record where there is no event yet, as far as it is kept.
    """

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

    def content(self) -> dict[str, Any]:
        """The event: as sent before, or made from the job's record, or from the rest that is left of an expired one."""
        if self.event:
            known: dict[str, Any] = codec.unpack(self.event)
            return known
        record = Record.from_redis(self.job_id, *self.snapshot) if self.snapshot else None
        return event(record) if record else late_event(self.job_id, self.kind, self.ended, self.finished)


class WebhookDispatcher:
    """Sends deliveries while its block is open; releases what it cannot end in time.

    Args:
        settings: which URLs may be asked, and the base of links.
        redis: the connection for commands; its owner closes it.
        owner: the name of the worker; `wake` is to be called when its control channel announces a delivery.
        schedule: seconds before each retry.
        seconds: how long one attempt may take.
    """

    def __init__(
        self,
        settings: Settings,
        redis: RedisClient,
        owner: str,
        *,
        schedule: Sequence[float] = SCHEDULE,
        seconds: float = SECONDS,
    ) -> None:
        self._redis = redis
        self._owner = owner
        self._public_url = settings.public_url
        self._kept_ms = settings.retention_seconds * 1000
        self._client = OutboundClient(webhook_policy(settings))
        self._sender = WebhookSender(self._client, schedule, seconds)
        self._claim = scripts.load(redis, scripts.CLAIM_DELIVERIES)
        self._renew = scripts.load(redis, scripts.RENEW_DELIVERIES)
        self._settle = scripts.load(redis, scripts.SETTLE_DELIVERY)
        self._signing_secrets = scripts.load(redis, scripts.SIGNING_SECRETS)
        self._links: Links | None = None
        self._loops: list[asyncio.Task[Any]] = []
        self._sending: dict[asyncio.Task[None], DueDelivery] = {}
        self._due = asyncio.Event()
        self._held_back = False

    async def __aenter__(self) -> Self:
        self._loops = [
            asyncio.create_task(forever(self._dispatch), name="deliveries"),
            asyncio.create_task(forever(self._keep_leases), name="delivery leases"),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Claim no more, let attempts end for a moment, release the rest."""
        dispatch, keep = self._loops
        await _end([dispatch])
        if self._sending:
            await asyncio.wait(self._sending, timeout=GRACE_SECONDS)
        left = dict(self._sending)
        await _end([*left, keep])
        with contextlib.suppress(*AWAY):
            for delivery in left.values():
                await self._store(delivery, CUT_SHORT, b"")
        await self._client.aclose()

    def wake(self) -> None:
        """Look for due deliveries now."""
        self._due.set()

    async def _dispatch(self) -> None:
        """Claim what is due, or wait: for an announcement, the next retry, or an attempt that frees room."""
        self._due.clear()
        wait = POLL_SECONDS
        room = MAX_DELIVERIES - len(self._sending)
        self._held_back = True  # while it is not known whether an attempt that ends lets another begin
        if room:
            in_flight = Counter(delivery.destination for delivery in self._sending.values())
            in_flight.update(delivery.principal for delivery in self._sending.values())
            bounds = [LEASE_MS, room, MAX_PER_DESTINATION, MAX_PER_PRINCIPAL]
            rows, wait_ms, passed = await self._claim(
                args=[*bounds, codec.pack(dict(in_flight)), SECRET_MS, self._owner]
            )
            for row in rows:
                self._begin(DueDelivery.read(row))
            if rows:
                return
            wait = min(POLL_SECONDS, max(0.05, wait_ms / 1000))
            self._held_back = passed > 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._due.wait()

    def _begin(self, delivery: DueDelivery) -> None:
        task = asyncio.create_task(self._deliver(delivery), name=f"delivery {delivery.delivery_id}")
        self._sending[task] = delivery
        task.add_done_callback(partial(self._ended, delivery))

    def _ended(self, delivery: DueDelivery, task: asyncio.Task[None]) -> None:
        self._sending.pop(task, None)
        if self._held_back:
            self._due.set()
        if not task.cancelled() and (error := task.exception()):
            log.error("the lease of a delivery lapses, it is sent again", id=delivery.delivery_id, exc_info=error)

    async def _deliver(self, delivery: DueDelivery) -> None:
        links = await self._known_links()
        try:
            content = await self._content(delivery)
            packed = body(content, links)
        except Exception:
            # Left to its lease, which lapses after seconds, it would be begun again and again for days.
            log.exception("the event of a delivery could not be made", id=delivery.delivery_id, job_id=delivery.job_id)
            result = self._sender.retry(delivery.step, 0, "its event could not be made")
            await self._store(delivery, result, b"")
            return
        signers = delivery.signers or await self._first_secret(delivery.principal)
        signed = headers(delivery.delivery_id, int(time.time()), signers, packed)
        result = await self._sender.post(delivery.url, signed, packed, delivery.step)
        log.info(
            "→ delivery",
            id=delivery.delivery_id,
            job_id=delivery.job_id,
            attempt=delivery.attempt,
            state=result.state,
            status=result.status,
            error=result.error,
        )
        await self._store(delivery, result, codec.pack(content))

    async def _content(self, delivery: DueDelivery) -> dict[str, Any]:
        large = any(isinstance(part, bytes) and len(part) > _LARGE for part in delivery.snapshot)
        return await asyncio.to_thread(delivery.content) if large else delivery.content()

    async def _store(self, delivery: DueDelivery, result: DeliveryResult, packed: bytes) -> None:
        keep = self._kept_ms if result.state == "delivered" else FAILED_MS
        outcome = [result.state, result.status, result.error, int(result.delay * 1000)]
        if not await self._settle(args=[delivery.delivery_id, delivery.attempt, *outcome, keep, packed, GONE_MS]):
            log.warning("another attempt has the delivery", id=delivery.delivery_id, attempt=delivery.attempt)

    async def _first_secret(self, principal: str) -> list[str]:
        """A secret made for a principal that has none yet, so that every delivery is signed."""
        found = await self._signing_secrets(args=[principal, new_secret(), SECRET_MS])
        return [secret.decode() for secret in found]

    async def _known_links(self) -> Links | None:
        if self._links is None and self._public_url:
            self._links = Links(await shared_key(self._redis), self._public_url)
        return self._links

    async def _keep_leases(self) -> None:
        held = [part for each in self._sending.values() for part in (each.delivery_id, each.attempt)]
        if held:
            await self._renew(args=[LEASE_MS, *held])
        await asyncio.sleep(RENEW_SECONDS)


async def _end(tasks: Sequence[asyncio.Future[Any]]) -> None:
    """Cancel tasks, and wait for their end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
