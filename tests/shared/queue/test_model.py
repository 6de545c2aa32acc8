"""Random interleavings of everything that can happen to jobs, against a model small enough to be seen to be right.

Each run is a seed; a failure names the seed and the steps that led to it.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

import pytest
from arq.connections import ArqRedis

from offloop.errors import Busy, JobError
from offloop.queue.client import Bounds, JobQueue, new_id
from offloop.queue.record import Cancelled, Done, Failed, Outcome, Progress, State
from offloop.redis import schema
from support.caller import Nothing, kind
from support.steps import LEASE_MS, LEVELS, Steps, Taken

JOBS = "abcdefghijkl"
STEPS = 240
MAX_JOBS = 4
MAX_OF_ONE = 3


@dataclass(slots=True)
class Expected:
    """A job as the model sees it."""

    principal: str
    level: str
    key: str | None
    state: State = State.QUEUED
    attempt: int = 0
    tries: int = 0
    holders: int = 1
    token: str | None = None
    leased: bool = False
    marked: bool = False
    timed: bool = False
    overdue: bool = False
    expired: bool = False
    outcome: Outcome | None = None

    @property
    def over(self) -> bool:
        """Nothing can happen to it any more."""
        return self.expired or self.state.terminal

    @classmethod
    def named(cls, job_id: str) -> Expected:
        """Principal, level and key follow from the id, so that a repeated request is the same one."""
        number = JOBS.index(job_id)
        level = LEVELS[number % 3 == 0]
        key = f"key {job_id}" if number % 4 == 1 else None
        timed = level == "interactive" and key is None
        return cls(("alice", "bob")[number % 5 > 2], level, key, timed=timed)


@dataclass(slots=True)
class World:
    """The real queue beside the model; each step changes both and compares the answers."""

    redis: ArqRedis
    queue: JobQueue
    workers: tuple[Steps, Steps]
    chance: random.Random
    jobs: dict[str, Expected] = field(default_factory=dict)
    subqueues: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    rotations: dict[str, list[str]] = field(default_factory=lambda: {level: [] for level in LEVELS})
    held: list[tuple[Steps, Taken]] = field(default_factory=list)
    ended: Counter[str] = field(default_factory=Counter)

    # --- the model ---

    def _subqueue(self, job: Expected) -> list[str]:
        return self.subqueues.setdefault((job.level, job.principal), [])

    def _waiting(self, principal: str | None = None) -> int:
        return sum(len(subqueue) for (_, owner), subqueue in self.subqueues.items() if principal in (None, owner))

    def _enqueue(self, job_id: str, *, front: bool) -> None:
        job = self.jobs[job_id]
        self._subqueue(job).insert(0 if front else len(self._subqueue(job)), job_id)
        if job.principal not in self.rotations[job.level]:
            self.rotations[job.level].append(job.principal)

    def _next(self, level: str) -> str | None:
        """The job that a claim takes; expired and cancelled jobs before it are dropped."""
        while rotation := self.rotations[level]:
            principal = rotation.pop(0)
            subqueue = self.subqueues[level, principal]
            job_id = subqueue.pop(0)
            if subqueue:
                rotation.append(principal)
            job = self.jobs[job_id]
            if job.expired:
                continue
            if not (job.marked or job.overdue):
                return job_id
            self._end(job_id, Cancelled())
        return None

    def _end(self, job_id: str, outcome: Outcome) -> None:
        job = self.jobs[job_id]
        job.state, job.outcome, job.leased = outcome.state, outcome, False
        self.ended[job_id] += 1

    def _requeue(self, job_id: str) -> None:
        job = self.jobs[job_id]
        job.state, job.token, job.leased = State.QUEUED, None, False
        self._enqueue(job_id, front=True)

    def _detach(self, job_id: str) -> int:
        """Detach one request; returns the number of requests that still share the job."""
        job = self.jobs[job_id]
        job.holders -= not job.over
        if job.over or job.holders > 0:
            return 0 if job.over else job.holders
        if job.state is State.RUNNING:
            job.marked = True
            return 0
        subqueue = self._subqueue(job)
        subqueue.remove(job_id)
        if not subqueue:
            self.rotations[job.level].remove(job.principal)
        self._end(job_id, Cancelled())
        return 0

    def _pick(self) -> tuple[Steps, Taken, Expected, bool] | None:
        """One of all tokens ever issued, its job, and whether it is the job's own now."""
        if not self.held:
            return None
        worker, taken = self.chance.choice(self.held[-8:])
        job = self.jobs[taken.job_id]
        return worker, taken, job, job.token == taken.token and job.state is State.RUNNING

    def _pick_job(self) -> tuple[str, Expected] | None:
        known = [(job_id, job) for job_id, job in self.jobs.items() if not job.expired]
        return self.chance.choice(known) if known else None

    # --- what can happen ---

    async def submit(self) -> None:
        """A new job, or a request that is sent a second time; or there are too many."""
        job_id = self.chance.choice(JOBS)
        job = self.jobs.get(job_id) or Expected.named(job_id)
        if job.expired:
            return
        full = self._waiting() >= MAX_JOBS or self._waiting(job.principal) >= MAX_OF_ONE
        wait_seconds = 5 if job.level == "interactive" else 0
        try:
            sent = await self.queue.submit(
                kind, Nothing(), principal=job.principal, job_id=job_id, key=job.key, wait_seconds=wait_seconds
            )
        except Busy:
            assert full
            assert job_id not in self.jobs
            return
        if job_id not in self.jobs:
            assert not full
            self.jobs[job_id] = job
            self._enqueue(job_id, front=False)
        assert (sent.record.state, sent.joined) == (job.state, False)

    async def join(self) -> None:
        """Another request with the key of a job."""
        for job_id, job in self.jobs.items():
            if job.key and not (job.marked or job.expired or job.state in (State.FAILED, State.CANCELLED)):
                sent = await self.queue.submit(
                    kind, Nothing(), principal=job.principal, job_id=new_id(), key=job.key, wait_seconds=5
                )
                assert (sent.record.job_id, sent.record.state, sent.joined) == (job_id, job.state, True)
                job.holders += 1
                return

    async def claim(self) -> None:
        """A worker has a free slot, and looks at a level."""
        worker, level = self.chance.choice(self.workers), self.chance.choice(LEVELS)
        job_id = self._next(level)
        found = await worker.claim(level=level)
        assert [taken.job_id for taken in found] == ([job_id] if job_id else [])
        if job_id:
            job = self.jobs[job_id]
            job.state, job.leased, job.token = State.RUNNING, True, found[0].token
            job.tries += 1
            job.attempt += job.tries <= kind.retries + 1
            assert (found[0].attempt, found[0].tries) == (job.attempt, job.tries)
            self.held.append((worker, found[0]))

    async def renew(self) -> None:
        """A heartbeat for one job."""
        if picked := self._pick():
            worker, taken, job, holds = picked
            lost, cancelled = await worker.renew(taken)
            assert (lost, cancelled) == ([] if holds else [taken.job_id], [taken.job_id] * (holds and job.marked))
            job.leased = job.leased or holds

    async def progress(self) -> None:
        """Progress is reported."""
        if picked := self._pick():
            worker, taken, _, holds = picked
            assert await worker.progress(taken, Progress(1, 2, taken.token)) is holds

    async def finish(self) -> None:
        """An outcome arrives, perhaps much too late."""
        if picked := self._pick():
            worker, taken, _, holds = picked
            outcomes: tuple[Outcome, ...] = (Done({"by": taken.token}), Failed(JobError(taken.token)), Cancelled())
            outcome = self.chance.choice(outcomes)
            assert await worker.finish(taken, outcome) is holds
            if holds:
                self._end(taken.job_id, outcome)

    async def release(self) -> None:
        """A worker drains, or a child has crashed."""
        if picked := self._pick():
            worker, taken, job, holds = picked
            counted = self.chance.random() < 0.5
            assert await worker.release(taken, counted=counted) is holds
            if holds:
                self._requeue(taken.job_id)
                job.tries -= not counted

    async def cancel(self) -> None:
        """Cancel a random job."""
        if picked := self._pick_job():
            job_id, job = picked
            left = self._detach(job_id)
            record, shared = await self.queue.cancel(job_id, principal=job.principal)
            assert (record.state, shared) == (job.state, left)

    async def leave(self) -> None:
        """A caller without the id disconnects."""
        if picked := self._pick_job():
            job_id, job = picked
            ends = not job.over and self._detach(job_id) == 0
            assert await self.queue.abandon(job_id, new_id()) is ends

    async def disclose(self) -> None:
        """The caller gets the id."""
        if picked := self._pick_job():
            job_id, job = picked
            job.timed = job.overdue = False
            await self.queue.mark_disclosed(job_id)

    async def outlast(self) -> None:
        """The time ends for which a job waits that was not disclosed."""
        if picked := self._pick_job():
            job_id, job = picked
            if job.timed:
                job.overdue = True
                await self.redis.hset(schema.RECORD + job_id, "deadline", "1")  # type: ignore[misc]

    async def expire(self) -> None:
        """A job that waits, or has ended, is older than its record is kept."""
        if (picked := self._pick_job()) and picked[1].state is not State.RUNNING:
            job_id, job = picked
            job.expired = True
            names = [schema.RECORD + job_id, schema.PAYLOAD + job_id, schema.RESULT + job_id]
            await self.redis.delete(*names, schema.idempotency_key(job.principal, job.key or ""))

    async def lapse(self) -> None:
        """A worker does not renew in time."""
        if picked := self._pick_job():
            job_id, job = picked
            await self.workers[0].lapse(job_id)
            job.leased = False

    async def sweep(self) -> None:
        """The jobs of lost workers go back to the front."""
        lapsed = sorted(job_id for job_id, job in self.jobs.items() if job.state is State.RUNNING and not job.leased)
        for job_id in lapsed:
            self._requeue(job_id)
        assert await self.workers[0].sweep() == len(lapsed)

    async def sweep_late(self) -> None:
        """After a pause of all sweeps, every lease gets half a term."""
        for job in self.jobs.values():
            job.leased = job.state is State.RUNNING
        assert await self.workers[0].sweep(idle_ms=LEASE_MS) == 0

    # --- the comparison ---

    async def check(self) -> None:
        """Records, subqueues, counts and leases are the model's."""
        worker = self.workers[0]
        leases, now = await worker.leased(), await worker.now()
        assert leases.keys() == {job_id for job_id, job in self.jobs.items() if job.state is State.RUNNING}
        for (level, principal), subqueue in self.subqueues.items():
            assert await worker.subqueue(principal, level) == subqueue
        principals = {principal: self._waiting(principal) for _, principal in self.subqueues}
        assert await worker.depth() == {
            owner: count for owner, count in (principals | {"*": self._waiting()}).items() if count
        }
        for level in LEVELS:
            rotation = await self.redis.zrange(f"{schema.ROTATION}default:{level}", 0, -1)
            assert [principal.decode() for principal in rotation] == self.rotations[level]
        for job_id, job in self.jobs.items():
            assert (leases.get(job_id, 0) > now) == job.leased
            assert job.leased or not await self.redis.exists(schema.LEASE + job_id)
            assert self.ended[job_id] == job.state.terminal
            if not job.expired:
                await self._check_record(job_id, job)

    async def _check_record(self, job_id: str, job: Expected) -> None:
        record = await self.queue.get(job_id, principal=job.principal)
        assert (record.state, record.attempt) == (job.state, job.attempt)
        queued = await self.redis.zscore(schema.queue_key("default"), job_id)
        assert (queued is None) == (job.state is not State.QUEUED)
        if isinstance(job.outcome, Failed):
            assert isinstance(record.outcome, Failed)
            assert record.outcome.error.to_wire() == job.outcome.error.to_wire()
        else:
            assert record.outcome == job.outcome


@pytest.mark.anyio
@pytest.mark.parametrize("seed", range(8))
async def test_no_interleaving_breaks_the_life_of_a_job(redis: ArqRedis, seed: int) -> None:
    """An end is final, attempts only grow, a stale token changes nothing, and each job has exactly one outcome.

    Subqueues and rotations keep their order, and counts are exact.
    """
    world = World(
        redis,
        JobQueue(redis, Bounds(retention_seconds=60, max_queued=MAX_JOBS, max_queued_per_principal=MAX_OF_ONE)),
        (Steps(redis, "one"), Steps(redis, "two")),
        random.Random(seed),  # noqa: S311 -- the same steps each time
    )
    moves = {world.submit: 6, world.claim: 6, world.renew: 4, world.lapse: 4, world.sweep: 3, world.release: 3}
    moves |= dict.fromkeys((world.join, world.progress, world.finish, world.cancel, world.leave), 1)
    moves |= dict.fromkeys((world.disclose, world.outlast, world.expire, world.sweep_late), 1)
    steps: list[str] = []
    try:
        for _ in range(STEPS):
            (move,) = world.chance.choices(list(moves), list(moves.values()))
            steps.append(move.__name__)
            await move()
            await world.check()
    except AssertionError as error:
        error.add_note(f"seed {seed}: {' '.join(steps)}")
        raise
