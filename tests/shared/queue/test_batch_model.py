"""Batches against a model: items that end in any order, shared by batches, cancelled, expired and run again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from offloop import Model, declare
from offloop.errors import Busy, JobError, NotFound
from offloop.queue import batches
from offloop.queue.batches import Batches
from offloop.queue.client import Bounds, JobQueue, new_id
from offloop.queue.record import Cancelled, Done, Failed, Outcome, State
from offloop.redis import schema
from support.fuzzing import Looped, RedisModel, explore
from support.steps import Steps, Taken

ALICE = "alice"
MAX_JOBS = 6
OUTCOMES: dict[str, Outcome] = {"done": Done({}), "failed": Failed(JobError("no")), "cancelled": Cancelled()}


class Text(Model):
    """An input."""

    text: str


kind = declare("count_words", Text, Text, description="d", retries=2)
pure = declare("read_words", Text, Text, description="d", pure=True, retries=2)


@dataclass(slots=True)
class Item:
    """A job as the model sees it; `parents` are the batches that wait for it, with the indices it stands for."""

    state: State = State.QUEUED
    marked: bool = False
    expired: bool = False
    joined: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    parents: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Whole:
    """A batch as the model sees it."""

    items: list[str]
    stop: bool
    counts: dict[State, int]
    state: State = State.RUNNING
    code: str = ""
    cancelled: bool = False
    stopped: bool = False


class BatchModel(RedisModel):
    """Batches of one principal, and two workers whose steps come in any order."""

    def __init__(self, looped: Looped) -> None:
        super().__init__(looped)
        bounds = Bounds(retention_seconds=600, max_queued=MAX_JOBS, max_queued_per_principal=MAX_JOBS)
        self.batches = Batches(self.redis, bounds)
        self.queue = JobQueue(self.redis, bounds)
        self.worker = Steps(self.redis, "one")
        self.items: dict[str, Item] = {}
        self.wholes: dict[str, Whole] = {}
        self.waiting: list[str] = []
        self.held: list[Taken] = []
        self.same: dict[str, str] = {}

    # --- the model ---

    def _shareable(self, text: str) -> str | None:
        """The job of equal input that another batch may share."""
        job_id = self.same.get(text)
        item = self.items[job_id] if job_id else None
        lost = item is None or item.expired or item.marked or item.state in (State.FAILED, State.CANCELLED)
        return None if lost else job_id

    def _conclude(self, job_id: str, state: State) -> None:
        self.items[job_id].state = state
        self._item_ended(job_id, state)

    def _item_ended(self, job_id: str, state: State) -> None:
        parents, self.items[job_id].parents = self.items[job_id].parents, {}
        for batch, indices in parents.items():
            self._count(batch, state, indices)

    def _count(self, batch: str, state: State, indices: int) -> None:
        whole = self.wholes[batch]
        if whole.state.terminal:
            return
        whole.counts[state] += indices
        if sum(whole.counts.values()) == len(whole.items):
            whole.state, whole.code = _ending(whole)
        elif state is State.FAILED and whole.stop:
            self._stop(batch, stopped=True)

    def _stop(self, batch: str, *, stopped: bool = False, cancelled: bool = False) -> None:
        whole = self.wholes[batch]
        before = whole.stopped or whole.cancelled
        whole.stopped, whole.cancelled = whole.stopped or stopped, whole.cancelled or cancelled
        for job_id in reversed([] if before else whole.items):
            item = self.items[job_id]
            indices = item.parents.get(batch)
            if indices and item.expired:
                self._item_ended(job_id, State.FAILED)
            elif indices and self._detach(job_id, batch):
                item.parents.pop(batch, None)
                self._count(batch, State.CANCELLED, indices)

    def _detach(self, job_id: str, request: str) -> int:
        """Detach one request from a job; returns how many are left."""
        item = self.items[job_id]
        if item.state.terminal:
            return 0
        item.gone.add(request)
        left = 1 + len(item.joined) - len(item.gone)
        if left > 0:
            return left
        if item.state is State.RUNNING:
            item.marked = True
        else:
            self.waiting.remove(job_id)
            self._conclude(job_id, State.CANCELLED)
        return 0

    def _requeue(self, job_id: str) -> None:
        self.items[job_id].state = State.QUEUED
        self.waiting.insert(0, job_id)
        self.held = [taken for taken in self.held if taken.job_id != job_id]

    # --- what can happen ---

    @rule(words=st.lists(st.sampled_from("abc"), min_size=1, max_size=4), shared=st.booleans(), stop=st.booleans())
    def submit(self, words: list[str], shared: bool, stop: bool) -> None:  # noqa: FBT001 -- drawn
        """A batch; equal items of a pure kind share a job."""
        batch, of = new_id(), pure if shared else kind
        distinct = list(dict.fromkeys(words)) if shared else words
        found = {word: self._shareable(word) for word in distinct} if shared else {}
        full = len(self.waiting) + sum(not found.get(word) for word in distinct) > MAX_JOBS
        values = [Text(text=word) for word in words]
        submit = self.batches.submit(of, values, principal=ALICE, job_id=batch, stop_on_error=stop)
        try:
            self.run(submit)
        except Busy:
            assert full
            return
        assert not full
        page = self.run(batches.read(self.redis, batch))
        assert page is not None
        ids = [item.job_id for item in page.items]
        self.wholes[batch] = Whole(ids, stop, dict.fromkeys((State.COMPLETED, State.FAILED, State.CANCELLED), 0))
        for number, job_id in enumerate(dict.fromkeys(ids)):
            assert found.get(distinct[number]) in (None, job_id)
            if job_id not in self.items:
                self.items[job_id] = Item()
                self.waiting.append(job_id)
                if shared:
                    self.same[distinct[number]] = job_id
            elif not self.items[job_id].state.terminal:
                self.items[job_id].joined.add(batch)
            self.items[job_id].parents[batch] = ids.count(job_id)
        for job_id in dict.fromkeys(ids):
            if self.items[job_id].state.terminal:
                indices = self.items[job_id].parents.pop(batch)
                self._count(batch, self.items[job_id].state, indices)

    @rule()
    def claim(self) -> None:
        """A worker has a free slot; expired and cancelled items before the next one are dropped."""
        expected = None
        while self.waiting and not expected:
            job_id = self.waiting.pop(0)
            item = self.items[job_id]
            if item.expired:
                self._item_ended(job_id, State.FAILED)
            elif item.marked:
                self._conclude(job_id, State.CANCELLED)
            else:
                item.state, expected = State.RUNNING, job_id
        found = self.run(self.worker.claim(level="batch"))
        assert [taken.job_id for taken in found] == ([expected] if expected else [])
        self.held += found

    @precondition(lambda self: self.held)
    @rule(number=st.integers(0, 9), how=st.sampled_from(sorted(OUTCOMES)))
    def finish(self, number: int, how: str) -> None:
        """An item ends."""
        taken = self.held.pop(number % len(self.held))
        assert self.run(self.worker.finish(taken, OUTCOMES[how]))
        self._conclude(taken.job_id, OUTCOMES[how].state)
        assert not self.run(self.worker.finish(taken, OUTCOMES["done"])), "an item ended twice"

    @precondition(lambda self: self.held)
    @rule(number=st.integers(0, 9), lost=st.booleans())
    def run_again(self, number: int, lost: bool) -> None:  # noqa: FBT001 -- drawn
        """A worker gives an item back, or is lost."""
        taken = self.held[number % len(self.held)]
        if lost:
            self.run(self.worker.lapse(taken.job_id))
            assert self.run(self.worker.sweep()) == 1
        else:
            assert self.run(self.worker.release(taken, counted=False))
        self._requeue(taken.job_id)

    @precondition(lambda self: self.wholes)
    @rule(number=st.integers(0, 9))
    def cancel(self, number: int) -> None:
        """The principal cancels a batch."""
        batch = list(self.wholes)[number % len(self.wholes)]
        with pytest.raises(NotFound):
            self.run(self.queue.cancel(batch, principal="bob"))
        if not self.wholes[batch].state.terminal:
            self._stop(batch, cancelled=True)
        record, left = self.run(self.queue.cancel(batch, principal=ALICE))
        assert (record.state, left) == (self.wholes[batch].state, 0)

    @precondition(lambda self: self.items)
    @rule(number=st.integers(0, 9))
    def cancel_item(self, number: int) -> None:
        """The principal cancels one item by its own id."""
        job_id = list(self.items)[number % len(self.items)]
        if not self.items[job_id].expired:
            left = self._detach(job_id, new_id())
            record, shared = self.run(self.queue.cancel(job_id, principal=ALICE))
            assert (record.state, shared) == (self.items[job_id].state, left)

    @precondition(lambda self: self.waiting)
    @rule(number=st.integers(0, 9))
    def expire(self, number: int) -> None:
        """An item waits for longer than its record is kept."""
        job_id = self.waiting[number % len(self.waiting)]
        self.items[job_id].expired = True
        keys = [prefix + job_id for prefix in (schema.RECORD, schema.PAYLOAD, schema.RESULT)]
        self.run(self.redis.delete(*keys))

    # --- the comparison ---

    @invariant()
    def queue_is_the_models(self) -> None:
        """Items wait in their order, and are counted."""
        assert self.run(self.worker.subqueue(ALICE, "batch")) == self.waiting
        assert self.run(self.worker.depth()).get("*", 0) == len(self.waiting)

    @invariant()
    def items_know_their_batches(self) -> None:
        """Each item counts once in each batch that waits for it, and in no other."""
        for job_id, item in self.items.items():
            reading: Any = self.redis.hgetall(schema.PARENTS + job_id)
            found = {batch.decode(): int(indices) for batch, indices in self.run(reading).items()}
            assert found == item.parents

    @invariant()
    def batches_are_the_models(self) -> None:
        """Counts, states, pages and outcomes."""
        for batch, whole in self.wholes.items():
            record = self.run(self.queue.get(batch, principal=ALICE))
            page = self.run(batches.read(self.redis, batch))
            assert page is not None
            assert (page.total, page.after) == (len(whole.items), None)
            assert [page.succeeded, page.failed, page.cancelled] == list(whole.counts.values())
            assert [item.job_id for item in page.items] == whole.items
            states = [State.FAILED if self.items[each].expired else self.items[each].state for each in whole.items]
            assert [item.state for item in page.items] == states
            failed = [index for index, state in enumerate(states) if state is State.FAILED]
            assert [item.index for item in page.failures] == (failed if page.failed else [])
            assert record.state is whole.state
            code = record.outcome.error.reason if isinstance(record.outcome, Failed) else ""
            assert code == whole.code
            if isinstance(record.outcome, Done):
                assert record.outcome.output["succeeded"] == page.succeeded


def _ending(whole: Whole) -> tuple[State, str]:
    """State and code of a batch whose items have all ended."""
    total = len(whole.items)
    if whole.counts[State.COMPLETED] != total:
        if whole.cancelled or whole.counts[State.CANCELLED] == total:
            return State.CANCELLED, ""
        if whole.stop and whole.counts[State.FAILED]:
            return State.FAILED, "batch_stopped"
        if not whole.counts[State.COMPLETED]:
            return State.FAILED, "batch_failed"
    return State.COMPLETED, ""


@pytest.mark.slow
@pytest.mark.fuzz
def test_a_batch_counts_each_item_once_and_ends_once(looped: Looped) -> None:
    explore(BatchModel, looped)
