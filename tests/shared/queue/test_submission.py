"""Answers to a submit: a record, or an error that the caller understands."""

from __future__ import annotations

import pytest

from offloop.errors import BadInput, Busy, Conflict, NotFound, OffloopError
from offloop.queue.record import State
from offloop.queue.submission import Submission, found, submitted
from offloop.queue.subscription import WebhookSubscription, webhook_policy
from offloop.redis.schema import SNAPSHOT_FIELDS
from offloop.settings import load

QUEUED = [[{"state": b"queued", "principal": b"alice"}.get(name) for name in SNAPSHOT_FIELDS], None]
"""The snapshot of a job."""


def refused(*answer: object, key: str | None = None, subscription: WebhookSubscription | None = None) -> OffloopError:
    """The error of an answer."""
    with pytest.raises(OffloopError) as error:
        submitted([*answer], queue="pdf", key=key, subscription=subscription)
    return error.value


@pytest.mark.parametrize(
    ("pace", "seconds"),
    [(0, 1), (999, 1), (1000, 1), (1001, 2), (2500, 3), (60_000, 60), (60_001, 60), (9**9, 60)],
)
def test_a_full_queue_says_when_to_come_back_within_a_minute(pace: int, seconds: int) -> None:
    error = refused(b"busy", 7, pace, b"queue")
    assert isinstance(error, Busy)
    assert error.retry_after == seconds
    assert error.message == (
        "The queue 'pdf' is full (7 jobs wait in it); nothing was queued. "
        f"Try again in {seconds} seconds, or wait for a job of yours to end."
    )


def test_a_full_share_is_named_as_ones_own() -> None:
    assert "(7 of your jobs wait in it)" in refused(b"busy", 7, 1000, b"principal").message


def test_a_conflict_names_the_job_and_the_beginning_of_the_key() -> None:
    error = refused(b"conflict", b"other-job", key="k" * 200)
    assert isinstance(error, Conflict)
    assert error.message.startswith(f"idempotency_key '{'k' * 80}' already names job other-job with other arguments")


def test_an_answer_about_a_subscription_is_its_error() -> None:
    subscription = WebhookSubscription.to("https://example.org/hook", webhook_policy(load({})))
    assert isinstance(refused(b"endpoint-gone", subscription=subscription), BadInput)
    with pytest.raises(RuntimeError):
        submitted([b"endpoint-gone"], queue="pdf", key=None, subscription=None)


@pytest.mark.parametrize(("status", "joined"), [(b"new", False), (b"joined", True)])
def test_an_accepted_request_is_the_record_of_its_job(status: bytes, *, joined: bool) -> None:
    answer = submitted([status, b"a-job", QUEUED], queue="pdf", key=None, subscription=None)
    assert answer == Submission(found("a-job", QUEUED), joined)
    record = answer.record
    assert (record.job_id, record.principal, record.state) == ("a-job", "alice", State.QUEUED)


def test_a_job_without_a_record_is_not_found() -> None:
    for snapshot in (None, [[None] * len(SNAPSHOT_FIELDS), None]):
        with pytest.raises(NotFound, match="a-job"):
            found("a-job", snapshot)
