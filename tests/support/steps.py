"""Manual worker: each method runs one script, so that a test decides the order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from arq.connections import ArqRedis
from redis.asyncio.client import PubSub

from offloop.queue.record import Cancelled, Done, Outcome, Progress, pack_outcome, sweep_args
from offloop.redis import codec, schema, scripts

# Terms that outlast a test on a busy machine; a test that needs an expiry causes it: `Steps.lapse`.
KEEP_MS = 600_000
ALIVE_MS = 60_000
LEASE_MS = 60_000
LEVELS = ("interactive", "batch")
NO_PACES = codec.pack_for_lua({})


@dataclass(frozen=True, slots=True)
class Taken:
    """One claimed job."""

    job_id: str
    token: str
    tries: int
    allowed: int
    attempt: int
    principal: str
    kind: str
    queue: str
    payload: bytes | None = None
    references: bytes | None = None


class Steps:
    """Worker without loops of its own.

    Args:
        redis: a connection.
        owner: its name.
        queue: the queue that it serves.
    """

    def __init__(self, redis: ArqRedis, owner: str = "worker", queue: str = "default") -> None:
        self.owner = owner
        self.queue = queue
        self._redis = redis
        self._scripts = {
            name: scripts.load(redis, getattr(scripts, name))
            for name in ("BEGIN", "HEARTBEAT", "PROGRESS", "FINISH", "RELEASE", "SWEEP")
        }

    async def claim(self, most: int = 1, *, level: str | None = None) -> list[Taken]:
        """Claim at most so many jobs, interactive ones first; with `level`, only of that level."""
        taken: list[Taken] = []
        for each in (level,) if level else LEVELS:
            if len(taken) < most:
                taken += await self._claim(most - len(taken), each)
        return taken

    async def claim_one(self, job_id: str) -> Taken:
        """Claim one job; it must be this one."""
        (taken,) = await self.claim()
        assert taken.job_id == job_id
        return taken

    async def renew(self, *held: Taken) -> tuple[list[str], list[str]]:
        """Renew leases; returns the ids lost and the ids to be cancelled."""
        ids = {taken.token: taken.job_id for taken in held}
        parts = [part for taken in held for part in (taken.job_id, taken.token)]
        lost, cancelled, _ = await self._call("HEARTBEAT", 0, LEVELS, ALIVE_MS, NO_PACES, *parts)
        return [ids[token.decode()] for token in lost], [ids[token.decode()] for token in cancelled]

    async def advertise(self, slots: int, *held: Taken) -> list[Taken]:
        """Send a heartbeat that advertises so many free slots beyond the held jobs; returns the claimed jobs."""
        parts = [part for taken in held for part in (taken.job_id, taken.token)]
        _, _, rows = await self._call("HEARTBEAT", slots + len(held), LEVELS, ALIVE_MS, NO_PACES, *parts)
        return [_taken(row) for row in rows]

    async def free_slots(self) -> int:
        """Number of advertised slots."""
        found: Any = self._redis.zscore(schema.FREE_SLOTS + schema.pool_name([self.queue]), self.owner)
        return int(await found or 0)

    async def begin(self, taken: Taken) -> bool:
        """Begin an assigned job; False if the token is stale."""
        return bool(await self._run("BEGIN", [taken.job_id, taken.token]))

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Orders]:
        """Subscribe to the worker's control channel."""
        async with self._redis.pubsub() as channel:
            await channel.subscribe(schema.CONTROL_CHANNEL + self.owner)
            await channel.get_message(timeout=30)
            yield Orders(channel)

    async def progress(self, taken: Taken, progress: Progress) -> bool:
        return bool(await self._run("PROGRESS", [taken.job_id, taken.token, progress.pack()]))

    async def finish(self, taken: Taken, outcome: Outcome | None = None) -> bool:
        """Store the outcome of a job (default: done); False if the token is stale."""
        outcome = outcome or Done({"by": taken.token})
        packed = pack_outcome(outcome, job_id=taken.job_id, kind=taken.kind, queue=self.queue, attempt=taken.attempt)
        args = [taken.job_id, taken.token, outcome.state.value, packed, KEEP_MS]
        stored, _ = await self._call("FINISH", 0, LEVELS, *args)
        return bool(stored)

    async def finish_and_claim(self, done: Taken, *levels: str, slots: int = 1) -> list[Taken]:
        """Finish a job and claim the next ones of these levels, up to `slots`."""
        packed = pack_outcome(Done({}), job_id=done.job_id, kind=done.kind, queue=self.queue)
        stored, rows = await self._call("FINISH", slots, levels, done.job_id, done.token, "completed", packed, KEEP_MS)
        assert stored
        return [_taken(row) for row in rows]

    async def release(self, taken: Taken, *, counted: bool) -> bool:
        """Return a job to its queue; `counted`: whether the attempt uses up a try."""
        stored, _ = await self._call("RELEASE", 0, LEVELS, taken.job_id, taken.token, int(counted))
        return bool(stored)

    async def sweep(self, *, locked: bool = False, idle_ms: int = 0) -> int:
        """Sweep the queue; returns the number of jobs found.

        Args:
            locked: leave the lock of an earlier sweep where it is.
            idle_ms: pretend that the last sweep was so long ago.
        """
        lock, last, _ = keys = schema.sweep_keys(self.queue)
        if not locked:
            await self._redis.delete(lock)
        if idle_ms:
            await self._redis.set(last, await self.now() - idle_ms, px=KEEP_MS)
        args = sweep_args(self.queue, lock_ms=60_000, keep_ms=KEEP_MS, retention_ms=KEEP_MS)
        args[2] = LEASE_MS
        answer: int = await self._run("SWEEP", args, keys)
        return answer

    async def lapse(self, *job_ids: str) -> None:
        """Expire the leases of jobs."""
        for job_id in job_ids:
            await self._redis.delete(schema.LEASE + job_id)
            await self._redis.zadd(schema.LEASES + self.queue, {job_id: 1}, xx=True)

    async def lose(self, *job_ids: str) -> None:
        """Lose jobs: their leases lapse, and a sweep requeues them.

        A living worker may renew a lease between the two, so the steps are repeated for the attempts that still run.
        """
        attempts = {job_id: await self._attempt(job_id) for job_id in job_ids}
        left = list(job_ids)
        for _ in range(100):
            await self.lapse(*left)
            await self.sweep()
            left = [job_id for job_id in left if await self._attempt(job_id) == attempts[job_id]]
            if not any(attempts[job_id] for job_id in left):
                break

    async def _attempt(self, job_id: str) -> bytes | None:
        """The token of a job that runs."""
        found: Any = self._redis.hmget(schema.RECORD + job_id, ["state", "token"])
        state, token = await found
        return token if state == b"running" else None

    async def subqueue(self, principal: str, level: str = "interactive") -> list[str]:
        """Ids in a principal's subqueue, the next one first."""
        found: Any = self._redis.lrange(f"{schema.SUBQUEUE}{self.queue}:{level}:{principal}", 0, -1)
        return [job_id.decode() for job_id in await found]

    async def depth(self) -> dict[str, int]:
        """Number of queued jobs by principal, and (``*``) in all."""
        found: Any = self._redis.hgetall(schema.DEPTH + self.queue)
        return {principal.decode(): int(count) for principal, count in (await found).items()}

    async def leased(self) -> dict[str, int]:
        """End of each lease, in ms, by job id."""
        found = await self._redis.zrange(schema.LEASES + self.queue, 0, -1, withscores=True)
        return {job_id.decode(): int(until) for job_id, until in found}

    async def now(self) -> int:
        """Time of the server in ms."""
        seconds, micros = await self._redis.time()
        return int(seconds) * 1000 + int(micros) // 1000

    async def pace(self, milliseconds: int) -> None:
        """Report the average duration of the queue's jobs."""
        await self._call("HEARTBEAT", 0, LEVELS, ALIVE_MS, codec.pack_for_lua({self.queue: milliseconds}))

    async def _claim(self, most: int, level: str) -> list[Taken]:
        found: Any = self._redis.scard(schema.HELD + self.owner)
        _, _, rows = await self._call("HEARTBEAT", await found + most, (level,), ALIVE_MS, NO_PACES, alive=False)
        # Only `advertise` leaves free slots.
        await self._redis.delete(schema.FREE_SLOTS + schema.pool_name([self.queue]))
        return [_taken(row) for row in rows]

    def worker_args(
        self, slots: int, levels: Sequence[str] = LEVELS, *, alive: bool = True
    ) -> tuple[list[str], list[str | bytes | int]]:
        """Keys and first arguments of a script that may return claims.

        Args:
            slots: the number of jobs it may hold in all.
            levels: levels to claim from.
            alive: whether the worker is recorded as alive.
        """
        terms = {
            "queues": [self.queue] if alive else [],
            "lanes": [(self.queue, level) for level in levels],
            "lease": LEASE_MS,
            "retention": KEEP_MS,
            "abandoned": pack_outcome(Cancelled(), job_id="", kind="", queue=""),
        }
        keys = [schema.rotation_key(self.queue, level) for level in levels]
        return keys, [self.owner, schema.pool_name([self.queue]), slots, KEEP_MS, codec.pack_for_lua(terms)]

    async def _call(self, name: str, slots: int, levels: Sequence[str], *args: Any, alive: bool = True) -> Any:
        keys, first = self.worker_args(slots, levels, alive=alive)
        return await self._run(name, [*first, *args], keys)

    async def _run(self, name: str, args: list[Any], keys: list[str] | None = None) -> Any:
        return await self._scripts[name](keys=keys or [], args=args)


class Orders:
    """Messages on a worker's control channel, in order."""

    def __init__(self, channel: PubSub) -> None:
        self._channel = channel

    async def next(self) -> tuple[str, Any]:
        """Next message: its name, and the assigned job, or the token of the attempt to be stopped."""
        message = await self._channel.get_message(timeout=30)
        assert message, "no message came"
        order, *args = codec.unpack_order(message["data"])
        match order:
            case b"run":
                return "run", _taken(args[0])
            case b"stop":
                return "stop", args[0].decode()
        return order.decode(), None

    async def none(self) -> None:
        """Assert that no message is unread."""
        await self._channel.ping()
        message = await self._channel.get_message(timeout=30)
        assert message
        assert message["type"] == "pong", message


def _taken(row: bytes) -> Taken:
    return Taken(**codec.unpack_row(row, binary=("payload", "references")))
