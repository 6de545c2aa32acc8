"""Messages of a child that breaks the protocol: the child is ended, and nothing of them is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgpack
import pytest

from offloop.errors import Crashed
from offloop.queue.record import Progress
from offloop_workers.children import result
from offloop_workers.children.pool import Children
from support.jobs import sample_jobs as jobs
from support.tasks import task_of

pytestmark = pytest.mark.anyio

BROKEN: dict[str, Any] = {
    "bytes that are no msgpack": b"\xc1",
    "a list": [1],
    "an unknown message": {"hello": 1},
    "progress without a number": {"progress": {"done": "many", "total": None, "message": ""}},
    "progress that is no number": {"progress": {"done": float("nan"), "total": None, "message": ""}},
    "a failure without a message": {"failed": {"code": "x", "message": None, "retryable": False}},
    "a result that is no map": {"done": 1},
}


@pytest.mark.parametrize("what", BROKEN)
async def test_a_child_that_breaks_the_protocol_is_ended(children: Children, tmp_path: Path, what: str) -> None:
    body = BROKEN[what] if isinstance(BROKEN[what], bytes) else msgpack.packb(BROKEN[what])
    noted: list[Progress] = []
    with pytest.raises(Crashed):
        await children.run(task_of(jobs.send_frame, {"text": body.hex()}, tmp_path / "folder"), noted.append)
    assert noted == []
    found = await children.run(task_of(jobs.echo, {"text": "still here"}, tmp_path / "other"), noted.append)
    assert found["output"]["text"] == "still here"


def test_a_failure_that_is_too_long_shows_that_it_was_cut() -> None:
    error = result.failure({"code": "failed", "message": "x" * (result.MAX_FAILURE + 1), "retryable": False})
    assert error.message == "x" * (result.MAX_FAILURE - 1) + "…"
