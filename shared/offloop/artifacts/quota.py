"""Storage quota: artifacts and bytes of each principal, counted and bounded.

The counts lie in Redis, so they hold over every front end and worker. An artifact is counted from before its bytes are
kept until it expires; a process that dies in between leaves it counted until then, and no longer. So a quota may for a
while be stricter than it says, but never laxer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from offloop.errors import NotFound, QuotaExceeded
from offloop.redis import schema, scripts
from offloop.redis.codec import timestamp
from offloop.redis.outage import answering

if TYPE_CHECKING:
    from collections.abc import Sequence

    from offloop.redis import RedisClient
    from offloop.settings import Settings


@dataclass(frozen=True, slots=True)
class Quota:
    """Quota of one principal.

    Attributes:
        artifacts: how many; an upload that has not arrived counts as one.
        bytes: of all of them together.
    """

    artifacts: int = 10_000
    bytes: int = 10_240 << 20

    @classmethod
    def of(cls, settings: Settings) -> Quota:
        """From the settings."""
        return cls(settings.max_artifacts_per_principal, settings.max_stored_mb_per_principal << 20)


@dataclass(frozen=True, slots=True)
class Usage:
    """Usage of one principal."""

    artifacts: int
    bytes: int


class Quotas:
    """Quotas of all principals.

    Args:
        redis: holds the counts.
        quota: quota of each principal.
    """

    def __init__(self, redis: RedisClient, quota: Quota) -> None:
        self._redis = redis
        self._quota = quota
        self._charge = scripts.load(redis, scripts.CHARGE)
        self._refund = scripts.load(redis, scripts.REFUND)
        self._delete = scripts.load(redis, scripts.DELETE)
        self._read_usage = scripts.load(redis, scripts.USAGE)

    async def charge(self, principal: str, sizes: dict[str, int], *, expires: int) -> None:
        """Count artifacts in, all of them or none; one that is counted already may grow.

        Args:
            principal: the owner.
            sizes: bytes by artifact id.
            expires: until when they are kept, in ms.

        Raises:
            QuotaExceeded: that would be more than the quota; nothing was counted.
            Unavailable: Redis does not answer.
        """
        await self._charged(principal, sizes, expires)

    async def charge_upload(self, principal: str, artifact_id: str, size: int, *, expires: int) -> None:
        """Count the bytes of an upload that has arrived, unless it was deleted meanwhile.

        Raises:
            NotFound: it has no record any more; nothing was counted.
            QuotaExceeded: that would be more than the quota; nothing was counted.
            Unavailable: Redis does not answer.
        """
        if not await self._charged(principal, {artifact_id: size}, expires, schema.artifact_key(artifact_id)):
            raise NotFound.artifact(artifact_id)

    async def delete(self, principal: str, ids: Sequence[str]) -> list[str]:
        """Delete the records of a principal's artifacts and count them out, in one step; returns the ids that existed.

        Raises:
            Unavailable: Redis does not answer.
        """
        keys = [*schema.quota_keys(principal), *map(schema.artifact_key, ids)]
        async with answering():
            deleted = await self._delete(keys=keys, args=[principal, *ids])
        return [artifact_id.decode() for artifact_id in deleted]

    async def refund(self, principal: str, ids: Sequence[str]) -> None:
        """Count artifacts out.

        Raises:
            Unavailable: Redis does not answer; they are counted until they expire.
        """
        async with answering():
            await self._refund(keys=schema.quota_keys(principal), args=[*ids])

    async def usage(self, principal: str) -> Usage:
        """Usage of a principal.

        Raises:
            Unavailable: Redis does not answer.
        """
        async with answering():
            count, held = await self._read_usage(keys=schema.quota_keys(principal))
        return Usage(count, held)

    async def check_room(self, principal: str, size: int) -> None:
        """Refuse a file that cannot fit, before its bytes are received.

        Raises:
            QuotaExceeded: it would be more than the quota.
            Unavailable: Redis does not answer.
        """
        used = await self.usage(principal)
        if used.bytes + size > self._quota.bytes:
            raise self._over(used, size)

    async def ids(self, principal: str, start: int, count: int) -> list[str]:
        """Ids of a principal's artifacts from position `start`, latest expiry first.

        Raises:
            Unavailable: Redis does not answer.
        """
        async with answering():
            found = await self._redis.zrevrange(schema.quota_keys(principal)[0], start, start + count - 1)
        return [artifact_id.decode() for artifact_id in found]

    async def _charged(self, principal: str, sizes: dict[str, int], expires: int, *records: str) -> bool:
        quota = self._quota
        pairs = [part for item in sizes.items() for part in item]
        async with answering():
            answer = await self._charge(
                keys=[*schema.quota_keys(principal), *records],
                args=[expires, quota.artifacts, quota.bytes, *pairs],
            )
        status, count, held, oldest = answer
        if status in (b"artifacts", b"bytes"):
            asked = 0 if status == b"artifacts" else sum(sizes.values())
            raise self._over(Usage(count, held), asked, full=not asked, oldest=int(float(oldest)))
        return bool(status == b"charged")

    def _over(self, used: Usage, asked: int, *, full: bool = False, oldest: int = 0) -> QuotaExceeded:
        if full:
            limit = f"{self._quota.artifacts} files may be kept at a time (OFFLOOP_MAX_ARTIFACTS_PER_PRINCIPAL)"
            state = f"{used.artifacts} are"
        else:
            limit = f"{_mib(self._quota.bytes)} MiB may be kept at a time (OFFLOOP_MAX_STORED_MB_PER_PRINCIPAL)"
            state = f"{_mib(used.bytes)} MiB are, and this needs {_mib(asked)} more"
        when = f" The oldest file goes at {timestamp(oldest)}." if oldest else ""
        return QuotaExceeded(
            f"Your storage is full: {limit}; {state}. Nothing was kept.{when} Try again when files have expired, "
            "delete some with delete_artifact, make fewer or smaller ones, or ask the operator to raise the limit."
        )


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.10g}" if size % (1 << 20) == 0 else f"{size / (1 << 20):.2f}"
