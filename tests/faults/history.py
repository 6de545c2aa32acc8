"""History checker: records the clients' observations and finds violated guarantees.

A `History` records every answer with the times of its request and its response. Two observations are compared only if
one response came before the other request. `check` reports violations of these guarantees:

* a terminal state is final, and its outcome never changes;
* attempts never decrease, and progress never decreases within an attempt;
* a job has a result if and only if it is completed, and the result is that of the last attempt;
* an accepted id stays known, and its job ends;
* every execution belongs to an attempt; a kind without retries completes after exactly one execution;
* at most one job of an idempotency key completes, and poison jobs fail with the right error.
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
"""Kinds that cannot complete, with their error codes."""

_LOST: Final = ("lost with its worker", "(SIGKILL)")
"""Messages allowed for any other job: its worker, or the zygote of its child, was killed."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One job in one answer.

    Attributes:
        job_id: id of the job.
        requested: time of the request, in monotonic seconds.
        answered: time of the response, in monotonic seconds.
        source: client and operation.
        state: state in the answer; ``"unknown"`` if the id was unknown.
        attempt: attempt in the answer.
        progress: progress in the answer, if any.
        output: output of the job, if any.
        error: code and message of a failure, if any.
        finished: time of the end, in milliseconds, if any.
    """

    job_id: str
    requested: float
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
        """The fields that may not change after the end of the job."""
        return self.state, self.attempt, self.output, self.error, self.finished


@dataclass(slots=True)
class Accepted:
    """An accepted job.

    Attributes:
        kind: its kind.
        key: its idempotency key, if any.
        cancelled: whether a client requested its cancellation.
    """

    kind: str
    key: str | None = None
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Violation:
    """A violated guarantee: job, rule, and the observation."""

    job_id: str
    rule: str
    detail: str

    def __str__(self) -> str:
        return f"{self.rule}: job {self.job_id}: {self.detail}"


@dataclass
class History:
    """All observations of the clients.

    Attributes:
        accepted: jobs whose ids clients received, by id.
        observations: observations of each job, by id.
    """

    accepted: dict[str, Accepted] = field(default_factory=dict)
    observations: defaultdict[str, list[Observation]] = field(default_factory=lambda: defaultdict(list))

    def accept(self, job_id: str, kind: str, key: str | None = None) -> None:
        """Record that a client received the id of its job."""
        self.accepted.setdefault(job_id, Accepted(kind, key))

    def observe(self, source: str, requested: float, record: Record) -> Observation:
        """Record a job as just read from the queue."""
        outcome = record.outcome
        return self.add(
            Observation(
                record.job_id,
                requested,
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

    def observe_answer(self, source: str, requested: float, answer: Mapping[str, Any]) -> Observation:
        """Record a job as just answered by a tool over HTTP."""
        progress, output, error = answer["progress"], answer["output"], answer["error"]
        at = answer["finished_at"]
        return self.add(
            Observation(
                answer["job_id"],
                requested,
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

    def observe_missing(self, source: str, requested: float, job_id: str) -> None:
        """Record that the id was just reported as unknown."""
        self.add(Observation(job_id, requested, time.monotonic(), source, "unknown"))

    def add(self, observation: Observation) -> Observation:
        """Record an observation."""
        self.observations[observation.job_id].append(observation)
        return observation

    def last(self, job_id: str) -> Observation:
        """The latest observation of a job."""
        return max(self.observations[job_id], key=lambda observation: observation.answered)

    def describe(self, job_id: str) -> str:
        """The observations of a job as text; each only if it differs from the one before."""
        lines: list[str] = []
        before: Observation | None = None
        for observation in sorted(self.observations[job_id], key=lambda observation: observation.answered):
            if before is None or (observation.ending, observation.progress) != (before.ending, before.progress):
                fields = [
                    (
                        f"{observation.requested:.3f} to {observation.answered:.3f} {observation.source}: "
                        f"{observation.state} attempt {observation.attempt}"
                    )
                ]
                fields += [
                    f"{name} {value}" for name in _DESCRIBED if (value := getattr(observation, name)) is not None
                ]
                lines.append("  " + ", ".join(fields))
            before = observation
        return "\n".join([f"job {job_id} ({self.accepted.get(job_id)})", *lines])


_DESCRIBED: Final = ("progress", "output", "error", "finished")


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def check(history: History, kinds: Mapping[str, Kind[Any, Any]], runs: Mapping[str, list[int]]) -> list[Violation]:
    """Find all violations.

    Args:
        history: the history; the last observation of each job must be later than all faults.
        kinds: kinds by name.
        runs: attempts of the recorded executions of each job.
    """
    found: list[Violation] = []
    for job_id, observations in history.observations.items():
        found += _check_order(observations)
        found += [violation for observation in observations for violation in _check_one(observation)]
        last = history.last(job_id)
        if last.state not in TERMINAL:
            found.append(Violation(job_id, "lost", f"it never ended: {last.state} at attempt {last.attempt}"))
        if job_id not in history.accepted:
            continue  # the front end died before the client received the id
        kind = kinds[history.accepted[job_id].kind]
        found += _check_effects(last, kind, runs.get(job_id, []))
        found += _check_ending(last, kind, cancelled=history.accepted[job_id].cancelled)
    found += [
        Violation(job_id, "lost", "it was never read") for job_id in set(history.accepted) - set(history.observations)
    ]
    return found + list(_check_keys(history))


def _check_order(observations: list[Observation]) -> Iterator[Violation]:
    """Compare each observation with those whose response came before its request."""
    known: list[Observation] = sorted(observations, key=lambda observation: observation.answered)
    latest, position = _Latest(), 0
    for observation in sorted(observations, key=lambda observation: observation.requested):
        while known[position].answered < observation.requested:
            latest.add(known[position])
            position += 1
        yield from latest.compare(observation)


class _Latest:
    """The most advanced state observed of a job."""

    def __init__(self) -> None:
        self.attempt = 0
        self.progress: dict[int, float] = {}
        self.ended: Observation | None = None
        self.seen = False

    def add(self, observation: Observation) -> None:
        self.seen = self.seen or observation.state != "unknown"
        self.attempt = max(self.attempt, observation.attempt)
        if observation.progress is not None:
            self.progress[observation.attempt] = max(
                self.progress.get(observation.attempt, observation.progress), observation.progress
            )
        if observation.state in TERMINAL and self.ended is None:
            self.ended = observation

    def compare(self, observation: Observation) -> Iterator[Violation]:
        if observation.state == "unknown":
            yield Violation(observation.job_id, "lost", f"unknown to {observation.source}")
            return
        if self.ended and observation.ending != self.ended.ending:
            rule = "terminal flip" if observation.state != self.ended.state else "outcome changed"
            yield Violation(observation.job_id, rule, f"{self.ended.ending} became {observation.ending}")
        if observation.attempt < self.attempt:
            yield Violation(observation.job_id, "attempt fell", f"from {self.attempt} to {observation.attempt}")
        before = self.progress.get(observation.attempt)
        if (
            before is not None
            and observation.state == "running"
            and (observation.progress is None or observation.progress < before)
        ):
            yield Violation(observation.job_id, "progress fell", f"from {before} to {observation.progress}")


def _check_one(observation: Observation) -> Iterator[Violation]:
    """Contradictions within one observation."""
    if (observation.state == "completed") != (observation.output is not None):
        yield Violation(observation.job_id, "result", f"{observation.state} with output {observation.output}")
    if (observation.state == "failed") != (observation.error is not None):
        yield Violation(observation.job_id, "result", f"{observation.state} with error {observation.error}")
    if observation.output is not None and (attempt := json.loads(observation.output)["attempt"]) != observation.attempt:
        yield Violation(
            observation.job_id, "stale write", f"attempt {observation.attempt} has the result of attempt {attempt}"
        )


def _check_effects(last: Observation, kind: Kind[Any, Any], runs: list[int]) -> Iterator[Violation]:
    if len(runs) > last.attempt or len(set(runs)) < len(runs):
        yield Violation(last.job_id, "effects", f"{last.attempt} attempts, executions of attempts {runs}")
    if last.state == "completed" and kind.name != "noop":
        if last.attempt not in runs:
            yield Violation(last.job_id, "effects", f"completed without an execution of attempt {last.attempt}: {runs}")
        if kind.retries == 0 and len(runs) != 1:
            yield Violation(last.job_id, "effects", f"completed after {len(runs)} executions, it may not be retried")


def _check_ending(last: Observation, kind: Kind[Any, Any], *, cancelled: bool) -> Iterator[Violation]:
    if last.state == "cancelled" and not cancelled:
        yield Violation(last.job_id, "ending", "cancelled without a request")
    lost = last.error is not None and any(words in last.error[1] for words in _LOST)
    expected = POISON.get(kind.name)
    if expected and not (last.state == "cancelled" or lost or (last.error and last.error[0] == expected)):
        yield Violation(last.job_id, "ending", f"{kind.name} ended as {last.state} with {last.error}")
    if last.error and not expected and not lost:
        yield Violation(last.job_id, "ending", f"{kind.name} failed although nothing is wrong with it: {last.error}")


def _check_keys(history: History) -> Iterator[Violation]:
    completed: defaultdict[str, set[str]] = defaultdict(set)
    for job_id, job in history.accepted.items():
        if job.key and history.observations[job_id] and history.last(job_id).state == "completed":
            completed[job.key].add(job_id)
    for key, ids in completed.items():
        if len(ids) > 1:
            yield Violation(min(ids), "key", f"{len(ids)} jobs of the key {key} completed: {sorted(ids)}")
