"""Answers: one structured shape for a job in every state, and a text that names the next step."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from mcp_types import CallToolResult, ResourceLink, TextContent

from offloop.artifacts.links import Links
from offloop.artifacts.store import Artifact
from offloop.errors import JobError
from offloop.queue.record import Cancelled, Done, Failed, Progress, Record, State
from offloop.redis.codec import timestamp
from offloop_server.toolkit.answers import JobAnswer, JobsAnswer, answer, answer_many, refusal

links = Links(b"k", "http://test")
QUEUED = Record("the-id", "alice", "count_words", "default", State.QUEUED, 0, None, 1000, None, None, 9000, None)
RUNNING = replace(QUEUED, state=State.RUNNING, attempt=1, started=2000, progress=Progress(1, 4, "page 1 of 4"))
ARTIFACT = Artifact("0123456789abcdef", "ü.pdf", "application/pdf", 12, "ab", int(time.time() * 1000) + 10**7, "blob")
COMPLETED = replace(
    RUNNING,
    state=State.COMPLETED,
    finished=3000,
    outcome=Done({"words": 3}, (ARTIFACT.to_wire(),), ("a picture was left out",)),
)
FAILED = replace(
    RUNNING, state=State.FAILED, finished=3000, outcome=Failed(JobError("send less", code="own", retryable=True))
)
CANCELLED = replace(QUEUED, state=State.CANCELLED, finished=3000, outcome=Cancelled())


def _text(result: CallToolResult) -> str:
    first = result.content[0]
    assert isinstance(first, TextContent)
    return first.text


@pytest.mark.parametrize("record", [QUEUED, RUNNING, COMPLETED, FAILED, CANCELLED], ids=lambda r: r.state)
def test_every_state_has_the_one_shape(record: Record) -> None:
    result = answer(record, links)
    assert result.structured_content is not None
    described = JobAnswer[dict[str, Any]].model_validate(result.structured_content)
    assert (described.job_id, described.kind, described.state) == ("the-id", "count_words", record.state)
    assert (described.poll_after_ms is None) == record.state.terminal
    assert (described.output is not None) == (record.state is State.COMPLETED)
    assert (described.error is not None) == (record.state is State.FAILED)
    assert bool(result.is_error) == (record.state is State.FAILED)
    assert "alice" not in str(result.structured_content)
    assert "the-id" in _text(result)


def test_the_answer_of_a_running_job_names_the_call_that_waits_for_it() -> None:
    assert 'job_status(job_id="the-id", wait_seconds=' in _text(answer(QUEUED, links))
    assert "waits for a worker" in _text(answer(QUEUED, links))
    assert "is running (25%, page 1 of 4)" in _text(answer(RUNNING, links))
    endless = replace(RUNNING, progress=Progress(7, None, "counting"))
    assert "is running;" in _text(answer(endless, links))


def test_notes_follow_the_text() -> None:
    assert _text(answer(QUEUED, links, notes=("No worker is running.",))).endswith("\nNo worker is running.")


def test_a_completed_job_links_its_files_and_names_its_warnings() -> None:
    result = answer(COMPLETED, links)
    text = _text(result)
    assert "words 3" in text
    assert "artifact:0123456789abcdef" in text
    assert "a picture was left out" in text
    (link,) = (part for part in result.content if isinstance(part, ResourceLink))
    assert (link.name, link.mime_type, link.size) == ("ü.pdf", "application/pdf", 12)
    assert str(link.uri).startswith("http://test/files/0123456789abcdef?")
    assert "blob" not in str(result.structured_content)


def test_warnings_beyond_the_first_five_are_counted_in_the_text() -> None:
    warned = replace(COMPLETED, outcome=Done({}, (), tuple(f"warning {number}." for number in range(8))))
    result = answer(warned, links)
    assert _text(result).endswith("warning 4. (and 3 more in warnings)")
    assert result.structured_content is not None
    assert len(result.structured_content["warnings"]) == 8


def test_the_answer_of_a_failed_job_has_its_reason_and_whether_to_retry() -> None:
    assert _text(answer(FAILED, links)).endswith("failed: send less The same call may succeed later.")
    final = replace(FAILED, outcome=Failed(JobError("never")))
    assert _text(answer(final, links)).endswith("failed: never")


def test_an_outcome_that_has_expired_is_no_crash() -> None:
    assert "the reason is not known" in _text(answer(replace(FAILED, outcome=None), links))
    assert "is completed." in _text(answer(replace(COMPLETED, outcome=None), links))


def test_a_long_output_is_cut_in_the_text_and_whole_in_the_structure() -> None:
    long = replace(COMPLETED, outcome=Done({"text": "x" * 50_000}))
    result = answer(long, links)
    assert len(_text(result)) < 2000
    assert result.structured_content is not None
    assert len(result.structured_content["output"]["text"]) == 50_000


def test_a_list_names_the_call_for_its_next_page() -> None:
    result = answer_many([QUEUED, COMPLETED], links, cursor="next")
    assert result.structured_content is not None
    assert len(JobsAnswer.model_validate(result.structured_content).jobs) == 2
    assert "cursor='next'" in _text(result)
    assert _text(answer_many([], links)) == "No jobs match."


def test_a_refusal_is_an_error_with_its_words() -> None:
    assert (refusal("no").is_error, _text(refusal("no"))) == (True, "no")


def test_times_are_utc_to_the_millisecond() -> None:
    assert timestamp(1_700_000_000_123) == "2023-11-14T22:13:20.123Z"
