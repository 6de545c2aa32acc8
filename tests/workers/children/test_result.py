"""Validation of a child's result against its kind."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import Field, computed_field
from structlog.testing import capture_logs

from offloop import Kind, Model
from offloop.artifacts.store import ArtifactStore
from offloop.errors import JobError, LimitExceeded
from offloop.kinds.job_context import MAX_WARNING_LENGTH, MAX_WARNINGS
from offloop.kinds.limits import Limits
from offloop_workers.children.child import MAX_OUTPUT
from offloop_workers.children.result import copy_file, validated
from offloop_workers.engine.attempt import Performer
from offloop_workers.engine.claiming import Claim


class Part(Model):
    """A part of an answer that is written in another way than it is read."""

    size: float = Field(alias="bytes", default=0.0)
    where: tuple[int, int] = (0, 0)

    @computed_field  # type: ignore[prop-decorator] # pydantic's own way of writing it
    @property
    def double(self) -> float:
        """Twice the size."""
        return self.size * 2


class Answer(Model):
    """An answer with all sorts of values."""

    text: str
    created: datetime | None = None
    data: bytes = b""
    parts: list[Part] = Field([])


CLAIM = Claim("a-job", "answer", "default", "token", b"", 1, 1, 1, "alice")
KIND: Kind[Any, Any] = Kind(name="answer", description="Answer.", input=Answer, output=Answer)
FILE: dict[str, Any] = {"path": "/a", "name": "a", "mime_type": "text/plain", "sha256": "0"}


def done(**changed: Any) -> dict[str, Any]:
    """A valid result of a child, with changes."""
    return {"output": {"text": "x"}, "warnings": [], "artifacts": [], **changed}


def test_a_valid_result_passes_unchanged() -> None:
    part = Part.model_validate({"bytes": float("inf"), "where": (1, 2)})
    output = Answer(text="x", created=datetime(2026, 1, 2, tzinfo=UTC), data=b"y", parts=[part]).model_dump(mode="json")
    result = validated(KIND, done(output=output, artifacts=[FILE]))
    assert result.output == output
    assert result.artifacts[0].path == "/a"


@pytest.mark.parametrize(
    "reported",
    [
        "nothing",
        {},
        done(output="x"),
        done(output={}),
        done(output={"text": 1}),
        done(output={"text": "x", "more": 1}),
        done(output={"text": "x", "parts": [{"where": [1]}]}),
        done(output={"text": "x", "data": b"\xff"}),
        done(warnings="x"),
        done(warnings=[{"x": 1}]),
        done(artifacts=[{**FILE, "path": 1}]),
        done(artifacts=[{**FILE, "name": "n" * 2000}]),
        done(more=1),
    ],
    ids=lambda reported: str(reported)[:80],
)
def test_an_answer_that_does_not_fit_is_a_failure(reported: Any) -> None:
    with pytest.raises(JobError, match="answered something else than its kind declares") as failed:
        validated(KIND, reported)
    assert failed.value.reason == "bad_result"


def test_a_nest_too_deep_is_a_failure() -> None:
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(JobError, match="something else"):
        validated(KIND, done(output={"text": "x", "parts": deep}))


def test_an_output_has_a_limit_regardless_of_its_sender() -> None:
    with pytest.raises(LimitExceeded, match="more than 1048576 bytes"):
        validated(KIND, done(output={"text": "x" * (MAX_OUTPUT + 1)}))


def test_warnings_are_few_and_short() -> None:
    result = validated(KIND, done(warnings=[f"{number} {'x' * 600}\nx" for number in range(1000)]))
    assert len(result.warnings) == MAX_WARNINGS
    assert max(map(len, result.warnings)) == MAX_WARNING_LENGTH
    assert result.warnings[-1].startswith("There were more than 100 warnings")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of an attempt, with a file beside it that is none of its own."""
    (tmp_path / "secret").write_text("the worker's")
    (folder := tmp_path / "work").mkdir()
    return folder


def test_a_file_is_copied_out_of_the_reach_of_the_child(folder: Path, tmp_path: Path) -> None:
    (folder / "a").write_bytes(b"first")
    digest = copy_file(folder / "a", folder, tmp_path / "kept", print, 0)
    (folder / "a").write_bytes(b"later")
    assert digest == hashlib.sha256(b"first").hexdigest()
    assert (tmp_path / "kept").read_bytes() == b"first"


@pytest.mark.parametrize("name", ["link", "hole", "pipe", "none", "..", "../secret", "hole/../../secret", "deeper/a"])
def test_nothing_but_a_file_of_the_attempt_is_taken(folder: Path, tmp_path: Path, name: str) -> None:
    (folder / "link").symlink_to("../secret")
    (folder / "hole").mkdir()
    os.mkfifo(folder / "pipe")
    with pytest.raises(JobError, match="not a file of its own") as refused:
        copy_file(folder / name, folder, tmp_path / "kept", print, 0)
    assert refused.value.reason == "bad_result"
    assert not (tmp_path / "kept").exists()


def test_a_folder_that_leads_elsewhere_is_not_followed(folder: Path, tmp_path: Path) -> None:
    folder.rmdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a").touch()
    folder.symlink_to("elsewhere")
    with pytest.raises(JobError, match="not a file of its own"):
        copy_file(folder / "a", folder, tmp_path / "kept", print, 0)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("limits", "message"),
    [(Limits(artifacts=2), r"more than 2 files"), (Limits(output_mb=1), r"more than 1 MiB together")],
)
async def test_files_are_counted_regardless_of_their_maker_and_none_is_kept(
    store: ArtifactStore, folder: Path, limits: Limits, message: str
) -> None:
    reported = []
    for number in range(3):
        (folder / f"{number}").write_bytes(bytes(500_000))
        reported.append({**FILE, "path": str(folder / f"{number}")})
    performer = Performer({}, cast("Any", None), store, cast("Any", None))
    answer, kind = validated(KIND, done(artifacts=reported)), replace(KIND, limits=limits)
    with pytest.raises(LimitExceeded, match=message):
        await performer._keep(answer, kind, CLAIM, str(folder.parent))
    assert await store.quotas.ids("alice", 0, 10) == []


def test_a_copy_that_finds_no_room_says_so(folder: Path) -> None:
    (folder / "a").write_bytes(b"x")
    with capture_logs() as logged, pytest.raises(JobError, match="no room for the result") as refused:
        copy_file(folder / "a", folder, Path("/dev/full/kept"), print, 0)
    assert refused.value.reason == "no_space"
    assert refused.value.retryable
    assert [line["event"] for line in logged] == ["a result could not be copied"]
