"""Event of a delivery: the JSON that a destination receives.

The event is created at the first attempt and stored with the delivery: a retry sends the same event, even if the job's
record has expired meanwhile. Only the links to files are created for each attempt, since they expire after minutes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from offloop.artifacts.store import Artifact
from offloop.queue.record import Done, Failed, Record
from offloop.redis.codec import timestamp

if TYPE_CHECKING:
    from offloop.artifacts.links import Links

MAX_BODY: Final = 20_000 - 1
"""Bytes of a body; receivers may refuse larger ones."""

_EXPIRED: Final = {
    "code": "expired",
    "message": "The job waited longer than jobs are kept, or its record expired before this could be sent.",
    "retryable": True,
}


def event(record: Record) -> dict[str, Any]:
    """The event of a job that has ended, as plain data of a bounded size; without the links."""
    done = record.outcome if isinstance(record.outcome, Done) else None
    return _event(
        record.job_id,
        record.kind,
        record.state.value,
        finished=record.finished or record.created,
        attempt=record.attempt,
        created_at=timestamp(record.created),
        started_at=timestamp(record.started) if record.started else None,
        expires_at=timestamp(record.expires),
        output=done.output if done else None,
        artifacts=[_plain(Artifact(**made)) for made in (done.artifacts if done else ())],
        warnings=list(done.warnings) if done else [],
        error=record.outcome.error.to_wire() if isinstance(record.outcome, Failed) else None,
    )


def late_event(job_id: str, kind: str, state: str, finished: int) -> dict[str, Any]:
    """The event of a job whose record has expired: only the fields that the delivery holds."""
    lost: dict[str, Any] = {"output": None, "artifacts": [], "warnings": [], "error": _EXPIRED}
    return _event(job_id, kind, state, finished=finished, **lost)


def body(content: dict[str, Any], links: Links | None) -> bytes:
    """The event as JSON of at most `MAX_BODY` bytes; what is too large is left out, and named in ``data.omitted``.

    Args:
        content: from `event`.
        links: makes links to the files, where clients have an address to reach them by.
    """
    artifacts = [_linked(artifact, links) for artifact in content["data"]["artifacts"]]
    return _json(_bounded({**content, "data": {**content["data"], "artifacts": artifacts}}))


def _event(job_id: str, kind: str, state: str, *, finished: int, **more: Any) -> dict[str, Any]:
    at = timestamp(finished)
    data = {"job_id": job_id, "kind": kind, "state": state, "finished_at": at, **more, "omitted": []}
    return _bounded({"type": f"job.{state}", "timestamp": at, "data": data})


def _bounded(content: dict[str, Any]) -> dict[str, Any]:
    """The event without what makes it too large, or what no JSON can hold."""
    for name in ("output", "warnings", "artifacts", "error"):
        try:
            if len(_json(content)) <= MAX_BODY:
                break
        except ValueError:
            pass  # a number in the output that is none, such as NaN
        data = content["data"]
        if data[name]:
            content = {**content, "data": {**data, name: _less(name, data[name]), "omitted": [*data["omitted"], name]}}
    return content


def _plain(artifact: Artifact) -> dict[str, Any]:
    return {name: value for name, value in artifact.to_wire().items() if name != "blob"}


def _linked(artifact: dict[str, Any], links: Links | None) -> dict[str, Any]:
    linked = {**artifact, "expires_at": timestamp(artifact["expires"])}
    del linked["expires"]
    if links:
        linked["download_url"] = links.download(Artifact(**artifact, blob=""))
    return linked


def _less(name: str, value: Any) -> Any:
    """By the field's name: an output may have the keys of an error."""
    if name == "error":
        return {**value, "message": "job_status tells the reason."}
    return None if name == "output" else []


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
