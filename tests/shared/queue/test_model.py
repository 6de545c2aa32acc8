"""Interleavings of everything that can happen to jobs and to requests that share them, against a small model."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from offloop.errors import Busy, Conflict, JobError, NotFound
from offloop.kinds.kind import declare
from offloop.queue.client import Bounds, JobQueue
from offloop.queue.record import Cancelled, Done, Failed, Outcome, Progress, State
from offloop.redis import schema
from support.caller import Nothing, kind
from support.fuzzing import Looped, RedisModel, explore
from support.steps import LEASE_MS, LEVELS, Steps, Taken

JOBS = "abcdefghijkl"
REQUESTS = "xyz"
MAX_JOBS = 4
MAX_OF_ONE = 3
NUMBERS = st.integers(0, 11)
another = declare("do_something_else", Nothing, Nothing, description="d", retries=2)


@dataclass(slots=True)
class Expected:
    """A job as the model sees it."""

    principal: str
    level: str
    key: str | None
    state: State = State.QUEUED
    attempt: int = 0
    tries: int = 0
    joined: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
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
        key = f"key {job_id}" if number % 2 == 1 else None
        timed = level == "interactive" and key is None
        return cls(("alice", "bob")[number % 5 > 2], level, key, timed=timed)


class JobModel(RedisModel):
    """Two workers and two principals whose steps come in any order."""

    def __init__(self, looped: Looped) -> None:
        super().__init__(looped)
        bounds = Bounds(retention_seconds=600, max_queued=MAX_JOBS, max_queued_per_principal=MAX_OF_ONE)
        self.queue = JobQueue(self.redis, bounds)
        self.workers = (Steps(self.redis, "one"), Steps(self.redis, "two"))
        self.jobs: dict[str, Expected] = {}
        self.subqueues: dict[tuple[str, str], list[str]] = {}
        self.rotations: dict[str, list[str]] = {level: [] for level in LEVELS}
        self.held: list[tuple[Steps, Taken]] = []
        self.ended: Counter[str] = Counter()

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

    def _detach(self, job_id: str, request: str) -> int:
        """Detach one request, which counts once; returns the number of requests that still share the job."""
        job = self.jobs[job_id]
        if job.over:
            return 0
        job.gone.add(request)
        left = 1 + len(job.joined) - len(job.gone)
        if left > 0:
            return left
        if job.state is State.RUNNING:
            job.marked = True
            return 0
        subqueue = self._subqueue(job)
        subqueue.remove(job_id)
        if not subqueue:
            self.rotations[job.level].remove(job.principal)
        self._end(job_id, Cancelled())
        return 0

    def _pick(self, number: int) -> tuple[Steps, Taken, Expected, bool]:
        """One of the last tokens issued, its job, and whether it is the job's own now."""
        worker, taken = self.held[-1 - number % min(8, len(self.held))]
        job = self.jobs[taken.job_id]
        return worker, taken, job, job.token == taken.token and job.state is State.RUNNING

    @property
    def known(self) -> dict[str, Expected]:
        """Jobs whose records are kept."""
        return {job_id: job for job_id, job in self.jobs.items() if not job.expired}

    def _pick_job(self, number: int) -> tuple[str, Expected]:
        return list(self.known.items())[number % len(self.known)]

    # --- what can happen ---

    @rule(job_id=st.sampled_from(JOBS))
    def submit(self, job_id: str) -> None:
        """A new job, or a request that is sent a second time; or there are too many."""
        job = self.jobs.get(job_id) or Expected.named(job_id)
        if job.expired:
            return
        full = self._waiting() >= MAX_JOBS or self._waiting(job.principal) >= MAX_OF_ONE
        wait_seconds = 600 if job.level == "interactive" else 0
        submit = self.queue.submit(
            kind, Nothing(), principal=job.principal, job_id=job_id, key=job.key, wait_seconds=wait_seconds
        )
        try:
            sent = self.run(submit)
        except Busy:
            assert full
            assert job_id not in self.jobs
            return
        if job_id not in self.jobs:
            assert not full
            self.jobs[job_id] = job
            self._enqueue(job_id, front=False)
        assert (sent.record.state, sent.joined) == (job.state, False)

    @precondition(lambda self: any(job.key for job in self.known.values()))
    @rule(number=NUMBERS, request=st.sampled_from(REQUESTS), other=st.booleans())
    def join(self, number: int, request: str, other: bool) -> None:  # noqa: FBT001 -- drawn
        """A request with the key of a job, sent once or twice; with another kind it is a conflict."""
        keyed = [(job_id, job) for job_id, job in self.known.items() if job.key]
        job_id, job = keyed[number % len(keyed)]
        if job.marked or job.state in (State.FAILED, State.CANCELLED):
            return
        submit = self.queue.submit(
            another if other else kind,
            Nothing(),
            principal=job.principal,
            job_id=f"{job_id}-{request}",
            key=job.key,
            wait_seconds=600,
        )
        if other:
            with pytest.raises(Conflict):
                self.run(submit)
            return
        sent = self.run(submit)
        assert (sent.record.job_id, sent.record.state, sent.joined) == (job_id, job.state, True)
        job.joined.add(f"{job_id}-{request}")

    @rule(number=st.integers(0, 1), level=st.sampled_from(LEVELS))
    def claim(self, number: int, level: str) -> None:
        """A worker has a free slot, and looks at a level."""
        worker = self.workers[number]
        job_id = self._next(level)
        found = self.run(worker.claim(level=level))
        assert [taken.job_id for taken in found] == ([job_id] if job_id else [])
        if job_id:
            job = self.jobs[job_id]
            job.state, job.leased, job.token = State.RUNNING, True, found[0].token
            job.tries += 1
            job.attempt += job.tries <= kind.retries + 1
            assert (found[0].attempt, found[0].tries) == (job.attempt, job.tries)
            self.held.append((worker, found[0]))

    @precondition(lambda self: self.held)
    @rule(number=NUMBERS)
    def renew(self, number: int) -> None:
        """A heartbeat for one job."""
        worker, taken, job, holds = self._pick(number)
        lost, cancelled = self.run(worker.renew(taken))
        assert (lost, cancelled) == ([] if holds else [taken.job_id], [taken.job_id] * (holds and job.marked))
        job.leased = job.leased or holds

    @precondition(lambda self: self.held)
    @rule(number=NUMBERS)
    def progress(self, number: int) -> None:
        """Progress is reported."""
        worker, taken, _, holds = self._pick(number)
        assert self.run(worker.progress(taken, Progress(1, 2, taken.token))) is holds

    @precondition(lambda self: self.held)
    @rule(number=NUMBERS, state=st.sampled_from([State.COMPLETED, State.FAILED, State.CANCELLED]))
    def finish(self, number: int, state: State) -> None:
        """An outcome arrives, perhaps much too late."""
        worker, taken, _, holds = self._pick(number)
        outcomes: dict[State, Outcome] = {
            State.COMPLETED: Done({"by": taken.token}),
            State.FAILED: Failed(JobError(taken.token)),
            State.CANCELLED: Cancelled(),
        }
        assert self.run(worker.finish(taken, outcomes[state])) is holds
        if holds:
            self._end(taken.job_id, outcomes[state])

    @precondition(lambda self: self.held)
    @rule(number=NUMBERS, counted=st.booleans())
    def release(self, number: int, counted: bool) -> None:  # noqa: FBT001 -- drawn
        """A worker drains, or a child has crashed."""
        worker, taken, job, holds = self._pick(number)
        assert self.run(worker.release(taken, counted=counted)) is holds
        if holds:
            self._requeue(taken.job_id)
            job.tries -= not counted

    @precondition(lambda self: self.known)
    @rule(number=NUMBERS)
    def cancel(self, number: int) -> None:
        """Cancel a job; for another principal there is none."""
        job_id, job = self._pick_job(number)
        with pytest.raises(NotFound):
            self.run(self.queue.cancel(job_id, principal=_other(job.principal)))
        left = self._detach(job_id, f"cancel {len(job.gone)}")
        record, shared = self.run(self.queue.cancel(job_id, principal=job.principal))
        assert (record.state, shared) == (job.state, left)

    @precondition(lambda self: self.known)
    @rule(number=NUMBERS, request=st.sampled_from(REQUESTS))
    def leave(self, number: int, request: str) -> None:
        """A caller without the id disconnects, and is counted once, also when that is sent twice."""
        job_id, job = self._pick_job(number)
        ends = not job.over and self._detach(job_id, f"{job_id}-{request}") == 0
        assert self.run(self.queue.abandon(job_id, f"{job_id}-{request}")) is ends

    @precondition(lambda self: self.known)
    @rule(number=NUMBERS)
    def disclose(self, number: int) -> None:
        """The caller gets the id."""
        job_id, job = self._pick_job(number)
        job.timed = job.overdue = False
        self.run(self.queue.mark_disclosed(job_id))

    @precondition(lambda self: self.known)
    @rule(number=NUMBERS)
    def outlast(self, number: int) -> None:
        """The time ends for which a job waits that was not disclosed."""
        job_id, job = self._pick_job(number)
        if job.timed:
            job.overdue = True
            self.run(self.redis.hset(schema.RECORD + job_id, "deadline", "1"))  # type: ignore[arg-type]

    @precondition(lambda self: self.known)
    @rule(number=NUMBERS)
    def expire(self, number: int) -> None:
        """A job that waits, or has ended, is older than its record is kept."""
        job_id, job = self._pick_job(number)
        if job.state is not State.RUNNING:
            job.expired = True
            names = [schema.RECORD + job_id, schema.PAYLOAD + job_id, schema.RESULT + job_id]
            self.run(self.redis.delete(*names, schema.idempotency_key(job.principal, job.key or "")))

    @precondition(lambda self: self.known)
    @rule(number=NUMBERS)
    def lapse(self, number: int) -> None:
        """A worker does not renew in time."""
        job_id, job = self._pick_job(number)
        self.run(self.workers[0].lapse(job_id))
        job.leased = False

    @rule()
    def sweep(self) -> None:
        """The jobs of lost workers go back to the front."""
        lapsed = sorted(job_id for job_id, job in self.jobs.items() if job.state is State.RUNNING and not job.leased)
        for job_id in lapsed:
            self._requeue(job_id)
        assert self.run(self.workers[0].sweep()) == len(lapsed)

    @rule()
    def sweep_late(self) -> None:
        """After a pause of all sweeps, every lease gets half a term."""
        for job in self.jobs.values():
            job.leased = job.state is State.RUNNING
        assert self.run(self.workers[0].sweep(idle_ms=LEASE_MS)) == 0

    # --- the comparison ---

    @invariant()
    def all_is_the_models(self) -> None:
        """Records, subqueues, counts and leases."""
        self.run(self._check())

    async def _check(self) -> None:
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
        with pytest.raises(NotFound):
            await self.queue.get(job_id, principal=_other(job.principal))
        assert (record.state, record.attempt) == (job.state, job.attempt)
        if not job.over:
            for prefix, requests in ((schema.JOINED, job.joined), (schema.GONE, job.gone)):
                found: Any = self.redis.scard(prefix + job_id)
                assert await found == len(requests)
        queued = await self.redis.zscore(schema.queue_key("default"), job_id)
        assert (queued is None) == (job.state is not State.QUEUED)
        if isinstance(job.outcome, Failed):
            assert isinstance(record.outcome, Failed)
            assert record.outcome.error.to_wire() == job.outcome.error.to_wire()
        else:
            assert record.outcome == job.outcome


def _other(principal: str) -> str:
    return {"alice": "bob", "bob": "alice"}[principal]


@pytest.mark.slow
@pytest.mark.fuzz
def test_no_interleaving_breaks_the_life_of_a_job(looped: Looped) -> None:
    """An end is final, attempts only grow, a stale token changes nothing, and each job has exactly one outcome.

    Subqueues and rotations keep their order, and counts are exact. A shared job ends with its last request, and other
    principals never see it.
    """
    explore(JobModel, looped)
