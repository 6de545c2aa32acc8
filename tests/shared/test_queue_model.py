"""Random interleavings of everything that can happen to jobs, against a model small enough to be seen to be right.

Each run is a seed; a failure names the seed and the steps that led to it.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

import pytest
from arq.connections import ArqRedis

from offloop import Model, declare, wire
from offloop.errors import JobError
from offloop.queue import JobQueue
from offloop.record import Cancelled, Done, Failed, Outcome, Progress, State
from parts.caller import ALICE
from parts.steps import Steps, Taken

JOBS = ("a", "b", "c")
STEPS = 120


class Nothing(Model):
    """An input without fields."""


kind = declare("do_nothing", Nothing, Nothing, description="d", retries=2)


@dataclass(slots=True)
class Expected:
    """A job as the model sees it."""

    state: State = State.QUEUED
    attempt: int = 0
    tries: int = 0
    token: str | None = None
    leased: bool = False
    marked: bool = False
    outcome: Outcome | None = None


@dataclass(slots=True)
class World:
    """The real queue beside the model; each step changes both and compares the answers."""

    redis: ArqRedis
    queue: JobQueue
    workers: tuple[Steps, Steps]
    chance: random.Random
    jobs: dict[str, Expected] = field(default_factory=dict)
    held: list[tuple[Steps, Taken]] = field(default_factory=list)
    ended: Counter[str] = field(default_factory=Counter)

    def _pick(self) -> tuple[Steps, Taken, Expected] | None:
        """One of all tokens ever handed out, current or stale."""
        if not self.held:
            return None
        worker, taken = self.chance.choice(self.held)
        return worker, taken, self.jobs[taken.job_id]

    def _end(self, job_id: str, outcome: Outcome) -> None:
        job = self.jobs[job_id]
        job.state, job.outcome, job.leased = outcome.state, outcome, False
        self.ended[job_id] += 1

    async def submit(self) -> None:
        """A new job, or a request that is sent a second time."""
        job_id = self.chance.choice(JOBS)
        job = self.jobs.setdefault(job_id, Expected())
        sent = await self.queue.submit(kind, Nothing(), principal=ALICE, job_id=job_id)
        assert (sent.record.state, sent.joined) == (job.state, False)

    async def claim(self) -> None:
        """A worker is woken for a job, rightly or not."""
        worker, job_id = self.chance.choice(self.workers), self.chance.choice(JOBS)
        job = self.jobs.get(job_id)
        found = await worker.claim(job_id)
        if job is None or job.state.terminal or job.leased:
            assert found == []
            return
        job.state, job.leased, job.token = State.RUNNING, True, found[0].token
        job.attempt += 1
        job.tries += 1
        assert (found[0].attempt, found[0].tries) == (job.attempt, job.tries)
        self.held.append((worker, found[0]))

    async def renew(self) -> None:
        """A heartbeat for one job."""
        if picked := self._pick():
            worker, taken, job = picked
            holds = job.token == taken.token and job.state is State.RUNNING
            lost, cancelled = await worker.renew(taken)
            assert (lost, cancelled) == ([] if holds else [taken.job_id], [taken.job_id] * (holds and job.marked))
            job.leased = job.leased or holds

    async def progress(self) -> None:
        """A step forward is told."""
        if picked := self._pick():
            worker, taken, job = picked
            holds = job.token == taken.token and job.state is State.RUNNING
            assert await worker.progress(taken, Progress(1, 2, taken.token)) is holds

    async def finish(self) -> None:
        """An outcome arrives, perhaps much too late."""
        if picked := self._pick():
            worker, taken, job = picked
            holds = job.token == taken.token and job.state is State.RUNNING
            outcomes: tuple[Outcome, ...] = (Done({"by": taken.token}), Failed(JobError(taken.token)), Cancelled())
            outcome = self.chance.choice(outcomes)
            assert await worker.finish(taken, outcome) is holds
            if holds:
                self._end(taken.job_id, outcome)

    async def release(self) -> None:
        """A worker drains, or a child has crashed."""
        if picked := self._pick():
            worker, taken, job = picked
            holds = job.token == taken.token and job.state is State.RUNNING
            counted = self.chance.random() < 0.5
            assert await worker.release(taken, counted=counted) is holds
            if holds:
                job.state, job.token, job.leased = State.QUEUED, None, False
                job.tries -= not counted

    async def cancel(self) -> None:
        """Somebody no longer wants it."""
        job_id = self.chance.choice(JOBS)
        if job := self.jobs.get(job_id):
            if job.state is State.QUEUED:
                self._end(job_id, Cancelled())
            elif job.state is State.RUNNING:
                job.marked = True
            assert (await self.queue.cancel(job_id, principal=ALICE)).state is job.state

    async def lapse(self) -> None:
        """A worker does not renew in time."""
        job_id = self.chance.choice(JOBS)
        await self.redis.delete(wire.LEASE + job_id)
        if job := self.jobs.get(job_id):
            job.leased = False

    async def sweep(self) -> None:
        """Whatever the lists have lost is found; afterwards the first in the queue is one that can be claimed."""
        await self.workers[0].sweep()
        woken = await self.workers[0].woken()
        free = [job_id for job_id, job in self.jobs.items() if not job.leased and not job.state.terminal]
        assert bool(free) == bool(woken)
        assert not woken or woken[0] in free

    async def check(self) -> None:
        """The records are the model's."""
        for job_id, job in self.jobs.items():
            record = await self.queue.get(job_id, principal=ALICE)
            assert (record.state, record.attempt) == (job.state, job.attempt)
            assert bool(await self.redis.exists(wire.LEASE + job_id)) == job.leased
            queued = await self.redis.zscore(wire.queue_key("default"), job_id)
            assert (queued is None) == job.state.terminal
            assert self.ended[job_id] == job.state.terminal
            if isinstance(job.outcome, Failed):
                assert isinstance(record.outcome, Failed)
                assert record.outcome.error.to_wire() == job.outcome.error.to_wire()
            else:
                assert record.outcome == job.outcome


@pytest.mark.anyio
@pytest.mark.parametrize("seed", range(8))
async def test_no_interleaving_breaks_the_life_of_a_job(redis: ArqRedis, seed: int) -> None:
    """An end is final, attempts only grow, a stale token changes nothing, and each job has exactly one outcome."""
    world = World(
        redis,
        JobQueue(redis, retention_seconds=60, max_queued=100),
        (Steps(redis, "one"), Steps(redis, "two")),
        random.Random(seed),  # noqa: S311 -- the same steps each time
    )
    moves = {world.claim: 5, world.submit: 3, world.renew: 3, world.lapse: 3, world.progress: 1}
    moves |= {world.finish: 1, world.release: 2, world.cancel: 1, world.sweep: 1}
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
