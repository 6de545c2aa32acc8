"""Events of webhooks: the JSON of each end of a job, and what is left out of a body that is too large."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from offloop.artifacts.links import Links
from offloop.errors import JobError
from offloop.queue.record import EXPIRED, Cancelled, Done, Failed, Record
from offloop.webhooks.events import MAX_BODY, body, event, late_event

END = 1_700_000_000_123
CREATED = "2023-11-14T22:13:19.000Z"
STARTED = "2023-11-14T22:13:19.500Z"
FINISHED = "2023-11-14T22:13:20.123Z"
EXPIRES = "2023-11-15T22:13:20.123Z"
DAY_MS = 86_400_000


def record(outcome: Done | Failed | Cancelled | None, **changes: Any) -> Record:
    """The record of a job that has ended at `END`."""
    values: dict[str, Any] = {
        "job_id": "j",
        "principal": "alice",
        "kind": "count_words",
        "queue": "default",
        "state": outcome.state if outcome else None,
        "attempt": 2,
        "progress": None,
        "created": END - 1123,
        "started": END - 623,
        "finished": END,
        "expires": END + DAY_MS,
        "outcome": outcome,
    }
    return Record(**{**values, **changes})


def file(number: int = 0, name: str = "page.pdf") -> dict[str, Any]:
    """An artifact as an outcome holds it."""
    return {
        "artifact_id": f"{number:022}",
        "name": name,
        "mime_type": "application/pdf",
        "size": 7,
        "sha256": "0" * 64,
        "expires": END + DAY_MS,
        "blob": "the-name-in-the-store",
    }


def sent(outcome: Done | Failed | Cancelled, links: Links | None = None, **changes: Any) -> dict[str, Any]:
    """The body of the event, parsed."""
    packed = body(event(record(outcome, **changes)), links)
    assert len(packed) <= MAX_BODY < 20_000
    parsed: dict[str, Any] = json.loads(packed, parse_constant=pytest.fail)
    return parsed


NOTHING: dict[str, Any] = {"output": None, "artifacts": [], "warnings": [], "error": None, "omitted": []}


def ended(state: str, **fields: Any) -> dict[str, Any]:
    """The whole event of a job of `record`."""
    data = {
        "job_id": "j",
        "kind": "count_words",
        "state": state,
        "finished_at": FINISHED,
        "attempt": 2,
        "created_at": CREATED,
        "started_at": STARTED,
        "expires_at": EXPIRES,
    }
    return {"type": f"job.{state}", "timestamp": FINISHED, "data": {**data, **NOTHING, **fields}}


def error(code: str, message: str, *, retryable: bool) -> dict[str, Any]:
    return {"code": code, "message": message, "retryable": retryable}


def test_the_event_of_a_completed_job_has_its_output_artifacts_and_warnings() -> None:
    assert sent(Done({"words": 3}, (file(),), ("a page was empty",))) == ended(
        "completed",
        output={"words": 3},
        artifacts=[
            {
                "artifact_id": "0" * 22,
                "name": "page.pdf",
                "mime_type": "application/pdf",
                "size": 7,
                "sha256": "0" * 64,
                "expires_at": EXPIRES,
            }
        ],
        warnings=["a page was empty"],
    )


@pytest.mark.parametrize(
    ("failure", "wire"),
    [
        (JobError("no such page", code="bad_page"), error("bad_page", "no such page", retryable=False)),
        (JobError("killed", code="lost", retryable=True), error("lost", "killed", retryable=True)),
        (EXPIRED, error("expired", EXPIRED.message, retryable=True)),
    ],
    ids=["failed", "lost", "expired"],
)
def test_the_event_of_a_failed_job_has_its_error(failure: JobError, wire: dict[str, Any]) -> None:
    assert sent(Failed(failure)) == ended("failed", error=wire)


def test_the_event_of_a_cancelled_job_has_neither_output_nor_error() -> None:
    assert sent(Cancelled()) == ended("cancelled")


def test_a_body_is_compact_json() -> None:
    start = b'{"type":"job.cancelled","timestamp":"2023-11-14T22:13:20.123Z","data":{"job_id":"j","kind":"count_words",'
    assert body(event(record(Cancelled())), None).startswith(start)


def test_a_job_that_never_started_has_no_start() -> None:
    assert sent(Cancelled(), started=None) == ended("cancelled", started_at=None)


def test_a_record_without_an_end_is_dated_by_its_start() -> None:
    made = sent(Cancelled(), finished=None)
    assert (made["timestamp"], made["data"]["finished_at"]) == (CREATED, CREATED)


def test_the_event_of_an_expired_record_has_what_the_delivery_holds() -> None:
    message = "The job waited longer than jobs are kept, or its record expired before this could be sent."
    assert json.loads(body(late_event("j", "count_words", "failed", END), None)) == {
        "type": "job.failed",
        "timestamp": FINISHED,
        "data": {
            "job_id": "j",
            "kind": "count_words",
            "state": "failed",
            "finished_at": FINISHED,
            **NOTHING,
            "error": error("expired", message, retryable=True),
        },
    }


def test_the_blob_is_stored_with_no_event_and_links_are_made_for_each_attempt() -> None:
    made = event(record(Done({}, (file(), file(1)))))
    assert "blob" not in json.dumps(made)
    links = Links(b"k" * 32, "https://files.example.org/")
    files = json.loads(body(made, links))["data"]["artifacts"]
    for number, each in enumerate(files):
        url = urlsplit(each["download_url"])
        assert (url.netloc, url.path) == ("files.example.org", f"/files/{number:022}")
        assert parse_qs(url.query)["expires"] == [str((END + DAY_MS) // 1000)]
        assert {*each} == {"artifact_id", "name", "mime_type", "size", "sha256", "expires_at", "download_url"}
    assert body(made, None) == body(made, None)
    assert "download_url" not in body(made, None).decode()


LARGE = "x" * 50_000
SHORTENED = error("c", "job_status tells the reason.", retryable=False)


@pytest.mark.parametrize(
    ("outcome", "less"),
    [
        (Done({"text": "short"}), {}),
        (Done({"text": LARGE}), {"output": None}),
        (Done({"code": "c", "retryable": True, "text": LARGE}), {"output": None}),
        (Done({"number": float("nan")}), {"output": None}),
        (Done({"number": float("-inf")}), {"output": None}),
        (Done({}, (), ("w" * 1000,) * 50), {"warnings": []}),
        (Done({"a": 1}, (file(),), ("w" * 1000,) * 50), {"output": None, "warnings": []}),
        (Done({"a": 1}, tuple(file(n, "n" * 255) for n in range(100))), {"output": None, "artifacts": []}),
        (
            Failed(JobError("é" * 10_000, code="c")),
            {"error": error("c", "job_status tells the reason.", retryable=False)},
        ),
    ],
    ids=[
        "short",
        "output",
        "output like an error",
        "not a number",
        "infinite",
        "warnings",
        "both",
        "many files",
        "long error",
    ],
)
def test_a_large_body_leaves_out_output_then_warnings_then_artifacts_then_the_error(
    outcome: Done | Failed, less: dict[str, Any]
) -> None:
    data = sent(outcome)["data"]
    assert data["omitted"] == [*less]
    assert {name: data[name] for name in less} == less
    if isinstance(outcome, Done):
        whole = {"output": outcome.output, "warnings": [*outcome.warnings]}
        assert {name: data[name] for name in whole if name not in less} == {
            name: value for name, value in whole.items() if name not in less
        }
        assert len(data["artifacts"]) == (0 if "artifacts" in less else len(outcome.artifacts))


def test_links_that_make_a_body_too_large_leave_out_the_output_first() -> None:
    """The stored event fits; with a link for each file it does not."""
    outcome = Done({"text": "x" * 15_000}, tuple(file(number) for number in range(20)))
    assert sent(outcome)["data"]["omitted"] == []
    data = sent(outcome, Links(b"k" * 32, "https://files.example.org"))["data"]
    assert (data["omitted"], data["output"], len(data["artifacts"])) == (["output"], None, 20)


def test_a_body_of_exactly_the_limit_is_sent_whole() -> None:
    """Counted in bytes of JSON without spaces."""
    room = MAX_BODY - len(body(event(record(Done({"text": ""}))), None))
    for size, omitted in ((room, []), (room + 1, ["output"])):
        outcome = Done({"text": "x" * size})
        assert sent(outcome)["data"]["omitted"] == omitted
    assert len(body(event(record(Done({"text": "x" * room}))), None)) == MAX_BODY
