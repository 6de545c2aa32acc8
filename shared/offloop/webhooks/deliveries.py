"""Webhook deliveries as their principal sees them, and the secrets that sign them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from offloop.errors import Conflict, NotFound
from offloop.redis import schema, scripts
from offloop.redis.outage import answering
from offloop.redis.paging import Index, decode_cursor
from offloop.webhooks.signature import new_secret

if TYPE_CHECKING:
    from offloop.redis import RedisClient

OVERLAP_SECONDS: Final = 24 * 3600
"""Time for which a replaced secret continues to sign."""

SECRET_MS: Final = 400 * 86_400_000
"""Retention of secrets that are not used, in ms."""

_SHOWN: Final = ["job", "kind", "url", "state", "attempts", "status", "error", "created", "next"]


class DeliveryState(StrEnum):
    """State of a delivery."""

    WAITING = "waiting"
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery.

    Attributes:
        delivery_id: the ``webhook-id`` that receivers get.
        job_id: its job.
        kind: of the job.
        url: the destination, without the query, which may hold secrets.
        state: ``waiting`` for the job to end, ``pending`` (to be sent, now or again), ``delivered``, ``failed`` (after
            the last retry) or ``disabled`` (the URL has answered 410).
        attempts: how often it was sent.
        status: the last HTTP status, if there was an answer.
        error: error of the last attempt, ``""`` if there was none.
        created: when the job was submitted, in ms.
        next_attempt: time of the next attempt, in ms, while it is pending.
    """

    delivery_id: str
    job_id: str
    kind: str
    url: str
    state: DeliveryState
    attempts: int
    status: int | None
    error: str
    created: int
    next_attempt: int | None

    @classmethod
    def from_redis(cls, delivery_id: str, fields: Mapping[str, str]) -> Delivery:
        """Read the hash, as text."""
        state = DeliveryState(fields["state"])
        return cls(
            delivery_id=delivery_id,
            job_id=fields["job"],
            kind=fields["kind"],
            url=_without_query(fields["url"]),
            state=state,
            attempts=int(fields["attempts"]),
            status=int(fields.get("status", 0)) or None,
            error=fields.get("error", ""),
            created=int(fields["created"]),
            next_attempt=int(fields["next"]) if state is DeliveryState.PENDING else None,
        )


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """A page of a principal's deliveries, newest first, and the cursor of the next page (None at the end)."""

    deliveries: list[Delivery]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A new secret; it cannot be read again.

    Attributes:
        secret: ``whsec_…``.
        until: when the last of the earlier secrets stops signing, in ms; None if there is none.
    """

    secret: str
    until: int | None


class Webhooks:
    """Deliveries, as front ends handle them.

    Args:
        redis: holds them.
    """

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis
        self._replay = scripts.load(redis, scripts.REPLAY_DELIVERY)
        self._rotate = scripts.load(redis, scripts.ROTATE_SECRET)

    async def deliveries(
        self,
        *,
        principal: str,
        job_id: str | None = None,
        state: DeliveryState | None = None,
        limit: int = 20,
        cursor: str | None = None,
    ) -> DeliveryPage:
        """A principal's deliveries, newest first.

        Args:
            principal: the owner.
            job_id: only those of this job.
            state: only those in this state.
            limit: most deliveries in the answer.
            cursor: the cursor of the page before.

        Raises:
            BadInput: the cursor is not one of ours.
            Unavailable: Redis does not answer.
        """
        start = decode_cursor(cursor, "list_deliveries")

        def matches(delivery: Delivery) -> bool:
            return job_id in (None, delivery.job_id) and state in (None, delivery.state)

        filtered = matches if job_id or state else None
        async with answering():
            index = Index(self._redis, schema.deliveries_key(principal), self._read)
            page = await index.page(filtered, start=start, limit=limit)
        return DeliveryPage(page.items, page.cursor)

    async def replay(self, delivery_id: str, *, principal: str) -> Delivery:
        """Send a delivery again, under the same id; a URL that had answered 410 counts as back.

        Raises:
            NotFound: the principal has no such delivery.
            Conflict: its job has not ended.
            Unavailable: Redis does not answer.
        """
        async with answering():
            before = await self._replay(args=[delivery_id, principal])
            delivery = (await self._read([delivery_id]))[0] if before else None
        if delivery is None:
            raise NotFound.delivery(delivery_id)
        if before == b"waiting":
            message = (
                f"delivery {delivery_id} waits for job {delivery.job_id} to end, and is sent then. "
                f'Call job_status(job_id="{delivery.job_id}") to see how far it is.'
            )
            raise Conflict(message)
        return delivery

    async def rotate(self, *, principal: str, overlap_seconds: int = OVERLAP_SECONDS) -> NewSecret:
        """Give a principal a new secret; the earlier ones continue to sign for `overlap_seconds`.

        Raises:
            Unavailable: Redis does not answer.
        """
        secret = new_secret()
        async with answering():
            untils = await self._rotate(args=[principal, secret, overlap_seconds * 1000, SECRET_MS])
        return NewSecret(secret, int(float(untils[0])) if untils else None)

    async def _read(self, ids: list[str]) -> list[Delivery | None]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in ids:
                pipe.hmget(schema.DELIVERY + name, _SHOWN)
            rows = await pipe.execute()
        texts = [{name: value.decode() for name, value in zip(_SHOWN, row, strict=True) if value} for row in rows]
        return [Delivery.from_redis(name, text) if text else None for name, text in zip(ids, texts, strict=True)]


def _without_query(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}" + ("?…" if parts.query else "")
