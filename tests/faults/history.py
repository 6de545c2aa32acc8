"""What clients saw, and whether it could have happened that way.

A `History` takes in every answer a client got, with the times at which it asked and was answered: two answers are only
compared where the one came before the other was asked for. `check` finds what contradicts the promises:

* a terminal state is final, and its outcome never changes;
* attempts only grow, and progress only grows within an attempt;
* there is a result if and only if the job is completed, and it is that of the last attempt;
* an accepted id stays known, and in the end the job is terminal;
* each execution was counted: none without an attempt, exactly one where a kind that may not be retried completed;
* a key leads to one job that completes, and jobs that are poison end as failures that say so.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from offloop.kinds.kind import Kind
from offloop.queue.record import Done, Failed, Record

TERMINAL: Final = frozenset({"completed", "failed", "cancelled"})
POISON: Final = {
    "segfault": "crashed",
    "segfault_again": "crashed",
    "hog_memory": "limit_exceeded",
    "loop_in_c": "limit_exceeded",
    "flood": "limit_exceeded",
    "fill_disk": "limit_exceeded",
}
"""Kinds that cannot complete, and the code they fail with."""

_LOST: Final = ("lost with its worker", "(SIGKILL)")
"""What the failure of an innocent job may say: its worker, or the zygote of its child, was killed."""


@dataclass(frozen=True, slots=True)
class Sight:
    """One job as one answer showed it.

    Attributes:
        job_id: which.
        asked: when the client asked (monotonic seconds).
        answered: when it was answered.
        source: which client, by which means.
        state: as told; ``"unknown"`` where the id was not known.
        attempt: as told.
        progress: how far, None where nothing was told.
        output: what the job answered with, None where there was none.
        error: code and message of a failure, None where there was none.
        finished: when it ended, as told.
    """

    job_id: str
    asked: float
    answered: float
    source: str
    state: str
    attempt: int = 0
    progress: float | None = None
    output: str | None = None
    error: tuple[str, str] | None = None
    finished: int | None = None

    @property
    def ending(self) -> tuple[object, ...]:
        """All that may not change any more once the job has ended."""
        return self.state, self.attempt, self.output, self.error, self.finished


@dataclass(slots=True)
class Accepted:
    """A job that was accepted.

    Attributes:
        kind: its kind.
        key: the idempotency key, if any.
        cancelled: whether somebody asked for it to stop.
    """

    kind: str
    key: str | None = None
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken promise: which job, which promise, and what was seen."""

    job_id: str
    rule: str
    detail: str

    def __str__(self) -> str:
        return f"{self.rule}: job {self.job_id}: {self.detail}"


@dataclass
class History:
    """Everything that clients saw.

    Attributes:
        accepted: the jobs whose acceptance a client was told of, by id.
        sights: the answers about each job.
    """

    accepted: dict[str, Accepted] = field(default_factory=dict)
    sights: defaultdict[str, list[Sight]] = field(default_factory=lambda: defaultdict(list))

    def accept(self, job_id: str, kind: str, key: str | None = None) -> None:
        """Note that a client was told that its job is accepted."""
        self.accepted.setdefault(job_id, Accepted(kind, key))

    def see(self, source: str, asked: float, record: Record) -> Sight:
        """Note a record as the queue answered it, just now."""
        outcome = record.outcome
        return self.add(
            Sight(
                record.job_id,
                asked,
                time.monotonic(),
                source,
                record.state.value,
                record.attempt,
                record.progress.done if record.progress else None,
                _canonical(outcome.output) if isinstance(outcome, Done) else None,
                (outcome.error.reason, outcome.error.message) if isinstance(outcome, Failed) else None,
                record.finished,
            )
        )

    def see_answer(self, source: str, asked: float, answer: Mapping[str, Any]) -> Sight:
        """Note a job as a tool answered it over HTTP, just now."""
        progress, output, error = answer["progress"], answer["output"], answer["error"]
        at = answer["finished_at"]
        return self.add(
            Sight(
                answer["job_id"],
                asked,
                time.monotonic(),
                source,
                answer["state"],
                answer["attempt"],
                progress["done"] if progress else None,
                _canonical(output) if output is not None else None,
                (error["code"], error["message"]) if error else None,
                round(datetime.fromisoformat(at).timestamp() * 1000) if at else None,
            )
        )

    def miss(self, source: str, asked: float, job_id: str) -> None:
        """Note that a job was not known, just now."""
        self.add(Sight(job_id, asked, time.monotonic(), source, "unknown"))

    def add(self, sight: Sight) -> Sight:
        """Note an answer."""
        self.sights[sight.job_id].append(sight)
        return sight

    def last(self, job_id: str) -> Sight:
        """The newest answer about a job."""
        return max(self.sights[job_id], key=lambda sight: sight.answered)

    def told(self, job_id: str) -> str:
        """All answers about a job, for a person to read; each only where it differs from the one before it."""
        lines: list[str] = []
        before: Sight | None = None
        for sight in sorted(self.sights[job_id], key=lambda sight: sight.answered):
            if before is None or (sight.ending, sight.progress) != (before.ending, before.progress):
                shown = [
                    f"{sight.asked:.3f} to {sight.answered:.3f} {sight.source}: {sight.state} attempt {sight.attempt}"
                ]
                shown += [f"{name} {value}" for name in _SHOWN if (value := getattr(sight, name)) is not None]
                lines.append("  " + ", ".join(shown))
            before = sight
        return "\n".join([f"job {job_id} ({self.accepted.get(job_id)})", *lines])


_SHOWN: Final = ("progress", "output", "error", "finished")


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def check(history: History, kinds: Mapping[str, Kind[Any, Any]], runs: Mapping[str, list[int]]) -> list[Violation]:
    """What contradicts the promises.

    Args:
        history: what was seen; the last answers about each job must come from after the end of all faults.
        kinds: the kinds by name.
        runs: the attempts that each job's executions noted, of the kinds that note them.
    """
    found: list[Violation] = []
    for job_id, sights in history.sights.items():
        found += _in_order(sights)
        found += [violation for sight in sights for violation in _in_itself(sight)]
        last = history.last(job_id)
        if last.state not in TERMINAL:
            found.append(Violation(job_id, "lost", f"it never ended: {last.state} at attempt {last.attempt}"))
        if job_id not in history.accepted:
            continue  # a client lost its front end before it was told the id
        kind = kinds[history.accepted[job_id].kind]
        found += _effects(last, kind, runs.get(job_id, []))
        found += _ends_as_it_must(last, kind, cancelled=history.accepted[job_id].cancelled)
    found += [
        Violation(job_id, "lost", "nobody ever read it") for job_id in set(history.accepted) - set(history.sights)
    ]
    return found + list(_one_for_each_key(history))


def _in_order(sights: list[Sight]) -> Iterator[Violation]:
    """Compare each answer with what had been answered before it was asked for."""
    known: list[Sight] = sorted(sights, key=lambda sight: sight.answered)
    newest, position = _Newest(), 0
    for sight in sorted(sights, key=lambda sight: sight.asked):
        while known[position].answered < sight.asked:
            newest.take(known[position])
            position += 1
        yield from newest.compare(sight)


class _Newest:
    """The most that had been told of a job."""

    def __init__(self) -> None:
        self.attempt = 0
        self.progress: dict[int, float] = {}
        self.ended: Sight | None = None
        self.seen = False

    def take(self, sight: Sight) -> None:
        self.seen = self.seen or sight.state != "unknown"
        self.attempt = max(self.attempt, sight.attempt)
        if sight.progress is not None:
            self.progress[sight.attempt] = max(self.progress.get(sight.attempt, sight.progress), sight.progress)
        if sight.state in TERMINAL and self.ended is None:
            self.ended = sight

    def compare(self, sight: Sight) -> Iterator[Violation]:
        if sight.state == "unknown":
            yield Violation(sight.job_id, "lost", f"unknown to {sight.source}")
            return
        if self.ended and sight.ending != self.ended.ending:
            rule = "terminal flip" if sight.state != self.ended.state else "outcome changed"
            yield Violation(sight.job_id, rule, f"{self.ended.ending} became {sight.ending}")
        if sight.attempt < self.attempt:
            yield Violation(sight.job_id, "attempt fell", f"from {self.attempt} to {sight.attempt}")
        before = self.progress.get(sight.attempt)
        if before is not None and sight.state == "running" and (sight.progress is None or sight.progress < before):
            yield Violation(sight.job_id, "progress fell", f"from {before} to {sight.progress}")


def _in_itself(sight: Sight) -> Iterator[Violation]:
    """What one answer may not say."""
    if (sight.state == "completed") != (sight.output is not None):
        yield Violation(sight.job_id, "result", f"{sight.state} with output {sight.output}")
    if (sight.state == "failed") != (sight.error is not None):
        yield Violation(sight.job_id, "result", f"{sight.state} with error {sight.error}")
    if sight.output is not None and (told := json.loads(sight.output)["attempt"]) != sight.attempt:
        yield Violation(sight.job_id, "stale write", f"attempt {sight.attempt} has the result of attempt {told}")


def _effects(last: Sight, kind: Kind[Any, Any], runs: list[int]) -> Iterator[Violation]:
    if len(runs) > last.attempt or len(set(runs)) < len(runs):
        yield Violation(last.job_id, "effects", f"{last.attempt} attempts, executions of attempts {runs}")
    if last.state == "completed" and kind.name != "noop":
        if last.attempt not in runs:
            yield Violation(last.job_id, "effects", f"completed without an execution of attempt {last.attempt}: {runs}")
        if kind.retries == 0 and len(runs) != 1:
            yield Violation(last.job_id, "effects", f"completed after {len(runs)} executions, it may not be retried")


def _ends_as_it_must(last: Sight, kind: Kind[Any, Any], *, cancelled: bool) -> Iterator[Violation]:
    if last.state == "cancelled" and not cancelled:
        yield Violation(last.job_id, "ending", "cancelled, and nobody asked for it")
    lost = last.error is not None and any(words in last.error[1] for words in _LOST)
    expected = POISON.get(kind.name)
    if expected and not (last.state == "cancelled" or lost or (last.error and last.error[0] == expected)):
        yield Violation(last.job_id, "ending", f"{kind.name} ended as {last.state} with {last.error}")
    if last.error and not expected and not lost:
        yield Violation(last.job_id, "ending", f"{kind.name} failed although nothing is wrong with it: {last.error}")


def _one_for_each_key(history: History) -> Iterator[Violation]:
    completed: defaultdict[str, set[str]] = defaultdict(set)
    for job_id, job in history.accepted.items():
        if job.key and history.sights[job_id] and history.last(job_id).state == "completed":
            completed[job.key].add(job_id)
    for key, ids in completed.items():
        if len(ids) > 1:
            yield Violation(min(ids), "key", f"{len(ids)} jobs of the key {key} completed: {sorted(ids)}")
