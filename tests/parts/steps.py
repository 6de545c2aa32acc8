"""The steps of a worker, one script each, taken by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from arq.connections import ArqRedis

from offloop import scripts, wire
from offloop.record import Cancelled, Done, Outcome, Progress, pack_outcome

KEEP_MS = 60_000
LEASE_MS = 30_000
LEVELS = ("interactive", "batch")


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
        self.queue = queue
        self._redis = redis
        self._scripts = {
            name: scripts.load(redis, getattr(scripts, name))
            for name in ("CLAIM", "RENEW", "PROGRESS", "FINISH", "RELEASE", "SWEEP")
        }

    async def claim(self, most: int = 1, *, level: str | None = None) -> list[Taken]:
        """Take jobs, those somebody waits for first; with `level`, only of that one."""
        taken: list[Taken] = []
        for each in (level,) if level else LEVELS:
            if len(taken) < most:
                taken += await self._claim(most - len(taken), each)
        return taken

    async def claim_one(self, job_id: str) -> Taken:
        """Take the job that is to be next."""
        (taken,) = await self.claim()
        assert taken.job_id == job_id
        return taken

    async def renew(self, *held: Taken) -> tuple[list[str], list[str]]:
        """Renew leases; answers the ids lost and the ids to be cancelled."""
        parts = [part for taken in held for part in (taken.job_id, taken.token)]
        args = [LEASE_MS, KEEP_MS, self.owner, 5000, *parts]
        lost, cancelled = await self._run("RENEW", args, [wire.beats_key(self.queue)])
        return [job_id.decode() for job_id in lost], [job_id.decode() for job_id in cancelled]

    async def progress(self, taken: Taken, progress: Progress) -> bool:
        """Tell progress."""
        return bool(await self._run("PROGRESS", [taken.job_id, taken.token, progress.pack()]))

    async def finish(self, taken: Taken, outcome: Outcome | None = None) -> bool:
        """End a job."""
        outcome = outcome or Done({"by": taken.token})
        packed = pack_outcome(outcome, job_id=taken.job_id, kind=taken.kind, queue=self.queue, attempt=taken.attempt)
        args = [taken.job_id, taken.token, outcome.state.value, packed, KEEP_MS, b""]
        stored, _ = await self._run("FINISH", args)
        return bool(stored)

    async def finish_and_take(self, done: Taken, *lanes: tuple[str, str]) -> tuple[list[Taken], bool]:
        """End a job and take the next one of these lanes; answers it, and whether more wait."""
        packed = pack_outcome(Done({}), job_id=done.job_id, kind=done.kind, queue=self.queue)
        args = [done.job_id, done.token, "completed", packed, KEEP_MS, self._want(1, *lanes, woken=False)]
        stored, (rows, more) = await self._run("FINISH", args)
        assert stored
        return [_taken(row) for row in rows], bool(more)

    async def release(self, taken: Taken, *, counted: bool) -> bool:
        """Hand a job back."""
        return bool(await self._run("RELEASE", [taken.job_id, taken.token, int(counted)]))

    async def sweep(self, *, locked: bool = False, idle_ms: int = 0) -> int:
        """Find forgotten jobs.

        Args:
            locked: leave the lock of an earlier sweep where it is.
            idle_ms: act as if the last sweep were so long ago.
        """
        lock, last, _ = keys = wire.sweep_keys(self.queue)
        if not locked:
            await self._redis.delete(lock)
        if idle_ms:
            await self._redis.set(last, await self.now() - idle_ms, px=KEEP_MS)
        answer: int = await self._run("SWEEP", [self.queue, 60_000, LEASE_MS, KEEP_MS], keys)
        return answer

    async def lapse(self, *job_ids: str) -> None:
        """Let the leases of jobs end now."""
        for job_id in job_ids:
            await self._redis.delete(wire.LEASE + job_id)
            await self._redis.zadd(wire.LEASES + self.queue, {job_id: 1}, xx=True)

    async def lose(self, *job_ids: str) -> None:
        """Let jobs be taken from their worker: their leases lapse, and a sweep finds that."""
        await self.lapse(*job_ids)
        await self.sweep()

    async def tokens(self, level: str = "interactive") -> int:
        """How many idle workers would be woken for a level now."""
        # redis-py's types answer either a value or something to await.
        waiting: Any = self._redis.llen(wire.wake_key(self.queue, level))
        return int(await waiting)

    async def forget_tokens(self) -> None:
        """Lose all tokens, as when a worker dies that was just woken."""
        await self._redis.delete(*(wire.wake_key(self.queue, level) for level in LEVELS))

    async def line(self, principal: str, level: str = "interactive") -> list[str]:
        """The ids in a principal's line, the next one first."""
        found: Any = self._redis.lrange(f"{wire.LINE}{self.queue}:{level}:{principal}", 0, -1)
        return [job_id.decode() for job_id in await found]

    async def depth(self) -> dict[str, int]:
        """How many jobs wait, by principal and (``*``) in all."""
        found: Any = self._redis.hgetall(wire.DEPTH + self.queue)
        return {who.decode(): int(count) for who, count in (await found).items()}

    async def leased(self) -> dict[str, int]:
        """Until when each running job is somebody's, in ms."""
        found = await self._redis.zrange(wire.LEASES + self.queue, 0, -1, withscores=True)
        return {job_id.decode(): int(until) for job_id, until in found}

    async def now(self) -> int:
        """The server's time in ms."""
        seconds, micros = await self._redis.time()
        return int(seconds) * 1000 + int(micros) // 1000

    async def _claim(self, most: int, level: str) -> list[Taken]:
        rows, _ = await self._run("CLAIM", [self._want(most, (self.queue, level), woken=True)])
        return [_taken(row) for row in rows]

    def _want(self, most: int, *lanes: tuple[str, str], woken: bool) -> bytes:
        abandoned = pack_outcome(Cancelled(), job_id="", kind="", queue="")
        terms = {"owner": self.owner, "lease": LEASE_MS, "keep": KEEP_MS, "retention": KEEP_MS, "abandoned": abandoned}
        return wire.pack_for_lua({**terms, "lanes": lanes, "most": most, "woken": woken})

    async def _run(self, name: str, args: list[Any], keys: list[str] | None = None) -> Any:
        return await self._scripts[name](keys=keys or [], args=args)


def _taken(row: list[Any]) -> Taken:
    job_id, token, payload, tries, allowed, attempt, principal, kind, _ = row
    return Taken(job_id.decode(), token.decode(), payload, tries, allowed, attempt, principal.decode(), kind.decode())
