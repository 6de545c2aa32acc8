"""The steps of a worker, one script each, taken by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from arq.connections import ArqRedis

from offloop import scripts, wire
from offloop.record import Done, Outcome, Progress, pack_outcome

KEEP_MS = 60_000
LEASE_MS = 30_000


@dataclass(frozen=True, slots=True)
class Taken:
    """What a claim answers for one job."""

    job_id: str
    token: str
    payload: bytes
    tries: int
    allowed: int
    attempt: int
    principal: str
    kind: str


class Steps:
    """A worker that does nothing by itself.

    Args:
        redis: where.
        owner: its name.
        queue: what it serves.
    """

    def __init__(self, redis: ArqRedis, owner: str = "worker", queue: str = "default") -> None:
        """Load the scripts."""
        self.owner = owner
        self._redis = redis
        self._queue, self._wake = wire.queue_key(queue), wire.wake_key(queue)
        self._sweep_lock, self._beats = wire.sweep_key(queue), wire.beats_key(queue)
        self._scripts = {
            name: scripts.load(redis, getattr(scripts, name))
            for name in ("CLAIM", "RENEW", "PROGRESS", "FINISH", "RELEASE", "SWEEP")
        }

    async def claim(self, *job_ids: str) -> list[Taken]:
        """Take jobs."""
        rows = await self._run("CLAIM", [self._queue], [self.owner, LEASE_MS, KEEP_MS, *job_ids])
        return [
            Taken(job_id.decode(), token.decode(), payload, tries, allowed, attempt, principal.decode(), kind.decode())
            for job_id, token, payload, tries, allowed, attempt, principal, kind in rows
        ]

    async def claim_one(self, job_id: str) -> Taken:
        """Take a job that can be taken."""
        (taken,) = await self.claim(job_id)
        return taken

    async def renew(self, *held: Taken) -> tuple[list[str], list[str]]:
        """Renew leases; answers the ids lost and the ids to be cancelled."""
        parts = [part for taken in held for part in (taken.job_id, taken.token)]
        lost, cancelled = await self._run("RENEW", [self._beats], [LEASE_MS, KEEP_MS, self.owner, 5000, *parts])
        return [job_id.decode() for job_id in lost], [job_id.decode() for job_id in cancelled]

    async def progress(self, taken: Taken, progress: Progress) -> bool:
        """Tell progress."""
        return bool(await self._run("PROGRESS", [], [taken.job_id, taken.token, progress.pack()]))

    async def finish(self, taken: Taken, outcome: Outcome | None = None) -> bool:
        """End a job."""
        outcome = outcome or Done({"by": taken.token})
        packed = pack_outcome(outcome, job_id=taken.job_id, kind=taken.kind, queue=self._queue, attempt=taken.attempt)
        return bool(
            await self._run("FINISH", [self._queue], [taken.job_id, taken.token, outcome.state.value, packed, KEEP_MS])
        )

    async def release(self, taken: Taken, *, counted: bool) -> bool:
        """Hand a job back."""
        return bool(await self._run("RELEASE", [self._queue, self._wake], [taken.job_id, taken.token, int(counted)]))

    async def sweep(self, *, locked: bool = False) -> int:
        """Wake somebody for forgotten jobs; `locked` leaves the lock of an earlier sweep where it is."""
        if not locked:
            await self._redis.delete(self._sweep_lock)
        answer: int = await self._run("SWEEP", [self._queue, self._wake, self._sweep_lock], [60_000, 20_000])
        return answer

    async def woken(self) -> list[str]:
        """The ids of which somebody would be woken now, in order."""
        found: Any = self._redis.lrange(self._wake, 0, -1)
        return [job_id.decode() for job_id in await found]

    async def lapse(self, job_id: str) -> None:
        """Let the lease of a job end now."""
        await self._redis.delete(wire.LEASE + job_id)

    async def _run(self, name: str, keys: list[str], args: list[Any]) -> Any:
        return await self._scripts[name](keys=keys, args=args)
