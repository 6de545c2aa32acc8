"""History checker: each violated guarantee, written as an observation of a client, is one violation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from faults.cluster import KINDS
from faults.history import History, Observation, check

RUNNING = Observation("j", 1.0, 1.1, "poll", "running", attempt=1, progress=2.0)
DONE = Observation("j", 2.0, 2.1, "poll", "completed", attempt=1, output='{"attempt": 1, "number": 0}', finished=7)
FAILED = Observation(
    "j", 2.0, 2.1, "poll", "failed", attempt=1, error=("crashed", "nap was lost with its worker"), finished=7
)
LAST = replace(DONE, requested=9.0, answered=9.1)


def _rules(
    *observations: Observation, kind: str = "effect", runs: tuple[int, ...] = (1,), cancelled: bool = False
) -> list[str]:
    history = History()
    history.accept("j", kind)
    history.accepted["j"].cancelled = cancelled
    for observation in observations:
        history.add(observation)
    return [violation.rule for violation in check(history, KINDS, {"j": list(runs)})]


def test_a_correct_history_has_no_violation() -> None:
    assert _rules(RUNNING, DONE, LAST) == []


@pytest.mark.parametrize(
    ("rule", "observations"),
    [
        ("terminal flip", [FAILED, LAST]),
        ("outcome changed", [DONE, replace(LAST, finished=8)]),
        ("attempt fell", [replace(RUNNING, attempt=2), LAST]),
        ("progress fell", [RUNNING, replace(RUNNING, requested=1.2, answered=1.3, progress=1.0), LAST]),
        ("progress fell", [RUNNING, replace(RUNNING, requested=1.2, answered=1.3, progress=None), LAST]),
        ("result", [RUNNING, replace(LAST, output=None)]),
        ("result", [replace(RUNNING, output='{"attempt": 1, "number": 0}'), LAST]),
        ("lost", [DONE, Observation("j", 3.0, 3.1, "poll", "unknown"), LAST]),
        ("lost", [RUNNING]),
        ("lost", []),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_each_violated_guarantee_is_found(rule: str, observations: list[Observation]) -> None:
    assert _rules(*observations) == [rule]


def test_a_result_of_a_lost_attempt_is_a_stale_write() -> None:
    assert _rules(replace(LAST, attempt=2), kind="effect_again", runs=(1, 2)) == ["stale write"]


@pytest.mark.parametrize("runs", [(), (1, 1), (1, 2)])
def test_missing_and_surplus_executions_are_found(runs: tuple[int, ...]) -> None:
    assert set(_rules(LAST, runs=runs)) == {"effects"}


def test_a_kind_without_retries_completes_after_exactly_one_execution() -> None:
    second = replace(LAST, attempt=2, output='{"attempt": 2, "number": 0}')
    assert _rules(second, runs=(1, 2)) == ["effects"]
    assert _rules(second, kind="effect_again", runs=(1, 2)) == []


def test_observations_that_overlap_in_time_are_not_compared() -> None:
    """A long poll may return a state that is older than the request of a quicker client."""
    assert _rules(DONE, replace(RUNNING, answered=3.0), LAST) == []


def test_poison_jobs_must_fail_with_their_own_error() -> None:
    assert _rules(LAST, kind="hog_memory") == ["ending"]
    assert _rules(replace(FAILED, error=("limit_exceeded", "…")), kind="hog_memory") == []
    assert _rules(replace(FAILED, error=("crashed", "…")), kind="hog_memory") == ["ending"]


def test_other_jobs_may_neither_fail_nor_be_cancelled_without_a_cause() -> None:
    assert _rules(replace(FAILED, error=("crashed", "SIGSEGV"))) == ["ending"]
    cancelled = replace(FAILED, state="cancelled", error=None)
    assert _rules(cancelled) == ["ending"]
    assert _rules(cancelled, cancelled=True) == []


def test_at_most_one_job_of_a_key_completes() -> None:
    history = History()
    for job_id in ("j", "k"):
        history.accept(job_id, "effect_again", "key")
        history.add(replace(LAST, job_id=job_id))
    assert [violation.rule for violation in check(history, KINDS, {"j": [1], "k": [1]})] == ["key"]
