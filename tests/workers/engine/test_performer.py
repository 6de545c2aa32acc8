"""Attempts: what a child gets, what is kept of its answer, how each failure ends. Children and store are recorded."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from arq.jobs import serialize_job

from offloop import FileReference, Model, declare, job
from offloop.artifacts.store import Artifact
from offloop.errors import Crashed, JobError, NotFound, QuotaExceeded, Unavailable
from offloop.queue.record import EXPIRED, Done, Failed, Outcome, Progress
from offloop.redis import codec
from offloop_workers.children.result import ChildResult
from offloop_workers.children.scratch import Scratch
from offloop_workers.children.task import Task
from offloop_workers.engine import loop_jobs
from offloop_workers.engine.attempt import AGAIN, Again, Performer
from offloop_workers.engine.claiming import Claim

pytestmark = pytest.mark.anyio


class Files(Model):
    """Names files."""

    files: tuple[FileReference, ...] = ()


class Text(Model):
    """An output."""

    text: str = ""


kind = declare("read_files", Files, Text, description="d", retries=2, artifacts=2, output_mb=1, seconds=30)
hasty = declare("hurry", Files, Text, description="d", seconds=0.05)


@job(isolation="none")
async def inside(files: Files) -> Text:
    """Stay in the worker."""
    return Text(text=str(len(files.files)))


KINDS: Final = {each.name: each for each in (kind, hasty, inside)}
ONE, TWO, ROOT = f"artifact:{'1' * 22}", f"artifact:{'2' * 22}", "root:docs/a"
URL: Final = "https://example.org/a"


def payload(*files: str, name: str = "read_files") -> bytes:
    """A job as it is queued."""
    packed = serialize_job(name, (), {"files": list(files)}, None, 0, serializer=codec.pack)
    assert packed
    return packed


CLAIM: Final = Claim("job", "read_files", "pdf", "me:1", payload(), 1, 3, 4, "alice", [])


class Store:
    """A store with two artifacts of alice's.

    Attributes:
        kept: name, media type, digest, bytes, principal and job of what was stored.
        forgotten: names of artifacts that were deleted again, with their principal.
        full_after: artifacts that find room.
    """

    def __init__(self) -> None:
        self.kept: list[tuple[str, str, str, bytes, str, str]] = []
        self.forgotten: list[tuple[list[str], str]] = []
        self.full_after = 99
        self.error: Exception = QuotaExceeded("full")
        self.away = False
        self.asked: list[str] = []
        self.sizes = {"1" * 22: 3, "2" * 22: 3}
        self.hangs = False

    async def get(self, artifact_id: str, *, principal: str) -> Artifact:
        self.asked.append(artifact_id)
        if self.hangs:
            await asyncio.Event().wait()
        if principal != "alice" or artifact_id not in self.sizes:
            raise NotFound.artifact(artifact_id)
        return Artifact(artifact_id, "n", "x/y", self.sizes[artifact_id], "0" * 64, 0, f"blob-{artifact_id[0]}")

    async def local_path(self, artifact: Artifact, folder: Path) -> Path:
        assert os.stat(folder).st_mode & 0o7777 == 0o700  # noqa: PTH116 -- no time
        return folder / artifact.blob

    async def put(  # noqa: PLR0913 -- as the store has it
        self, path: Path, *, principal: str, name: str, mime_type: str, digest: str, job: str
    ) -> Artifact:
        content = await asyncio.to_thread(path.read_bytes)
        if len(self.kept) >= self.full_after:
            raise self.error
        self.kept.append((name, mime_type, digest, content, principal, job))
        return Artifact(f"id-{len(self.kept)}", name, mime_type, len(content), digest, 5, "blob")

    async def forget(self, artifacts: list[Artifact], principal: str) -> None:
        self.forgotten.append(([each.name for each in artifacts], principal))
        if self.away:
            message = "Redis is away"
            raise Unavailable(message)


ANSWER: Final[dict[str, Any]] = {"output": {"text": "a"}, "warnings": [], "artifacts": []}


class Children:
    """Children whose answer is a function of the task.

    Attributes:
        tasks: the tasks they got.
    """

    def __init__(self) -> None:
        self.tasks: list[Task] = []
        self.answer: Callable[[Task], dict[str, Any]] = lambda _: {**ANSWER}

    async def run(self, task: Task, on_progress: Callable[[Progress], None]) -> dict[str, Any]:
        self.tasks.append(task)
        on_progress(Progress(1, 2, "half"))
        return self.answer(task)


class Bench:
    """A performer with its parts."""

    def __init__(self, folder: Path) -> None:
        self.children, self.store, self.scratch = Children(), Store(), Scratch(folder)
        self.steps: list[Progress] = []
        self.performer = Performer(
            KINDS,
            self.children,  # type: ignore[arg-type]
            self.store,  # type: ignore[arg-type]
            self.scratch,
            roots={"docs": Path("/docs")},
        )

    async def run(self, claim: Claim) -> Outcome | Again:
        with self.scratch:
            outcome = await self.performer(claim, self.steps.append)
            assert [*self.scratch.path("").iterdir()] == [], "the folder of the attempt is deleted"
        return outcome

    async def fails(self, claim: Claim) -> dict[str, Any]:
        """The error of a failed attempt, as callers get it."""
        outcome = await self.run(claim)
        assert isinstance(outcome, Failed)
        assert type(outcome.error).__mro__[1] is not Exception
        assert isinstance(outcome.error, JobError)
        return outcome.error.to_wire()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """With a folder of its own."""
    return Bench(tmp_path / "scratch")


async def test_a_child_gets_the_payload_as_it_is_and_its_answer_is_the_outcome(bench: Bench) -> None:
    bench.children.answer = lambda _: {"output": {"text": "x"}, "warnings": ["w"], "artifacts": []}
    assert await bench.run(CLAIM) == Done({"text": "x"}, (), ("w",))
    [task] = bench.children.tasks
    assert (task.kind, task.job_id, task.attempt, task.payload, task.inputs) == (kind, "job", 4, CLAIM.payload, {})
    assert 0 <= task.spent < 20
    assert task.budget
    assert (task.budget.fetching, task.budget.kind, task.budget.limits) == (None, "read_files", kind.limits)
    assert task.budget.folder == task.folder.removesuffix("/work") + "/fetched"
    assert bench.steps == [Progress(1, 2, "half")]
    assert bench.store.asked == []


async def test_artifacts_that_the_input_names_are_local_files_each_once(bench: Bench) -> None:
    """References of the claim are used as they are; the child opens roots and data itself."""
    await bench.run(replace(CLAIM, references=[ONE, TWO, ONE, ROOT, "data:text/plain;base64,YQ=="]))
    [task] = bench.children.tasks
    folder = Path(task.folder).parent
    assert task.inputs == {ONE: str(folder / "blob-1"), TWO: str(folder / "blob-2")}
    assert bench.store.asked == ["1" * 22, "2" * 22]


async def test_the_references_of_a_job_of_stock_arq_are_read_from_its_input(bench: Bench) -> None:
    claim = replace(CLAIM, references=None)
    await bench.run(replace(claim, payload=payload(TWO, ROOT)))
    assert [*bench.children.tasks[0].inputs] == [TWO]
    assert (await bench.fails(replace(claim, payload=b"\xc1")))["code"] == "bad_input"


async def test_urls_are_fetched_once_and_refused_by_a_worker_that_fetches_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = replace(CLAIM, references=[URL, URL, f"{URL}b"])
    assert (await bench.fails(claim))["code"] == "refused"
    fetched: list[str] = []

    async def fetch(_: object, url: str) -> tuple[str, None]:
        fetched.append(url)
        return (f"/fetched-{len(fetched)}", None)

    monkeypatch.setattr("offloop_workers.children.fetching.FetchBudget.fetch_input", fetch)
    await bench.run(claim)
    assert bench.children.tasks[0].inputs == {URL: "/fetched-1", f"{URL}b": "/fetched-2"}
    assert fetched == [URL, f"{URL}b"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"references": [f"artifact:{'3' * 22}"]}, "not_found"),
        ({"references": [ONE], "principal": "bob"}, "not_found"),
        ({"payload": b"", "tries": 9}, EXPIRED.reason),
        ({"payload": None}, EXPIRED.reason),
        ({"kind": "unknown"}, "unknown_kind"),
    ],
)
async def test_a_job_that_cannot_be_run_is_not_given_to_a_child(
    bench: Bench, change: dict[str, Any], code: str
) -> None:
    assert (await bench.fails(replace(CLAIM, **change)))["code"] == code
    assert bench.children.tasks == []


async def test_an_upload_that_has_not_arrived_is_refused(bench: Bench) -> None:
    bench.store.sizes["1" * 22] = -1
    assert "has no bytes yet" in (await bench.fails(replace(CLAIM, references=[ONE])))["message"]


async def test_the_time_of_the_files_counts_as_time_of_the_job(bench: Bench) -> None:
    bench.store.hangs = True
    error = await bench.fails(replace(CLAIM, kind="hurry", references=[ONE]))
    assert error["code"] == "limit_exceeded"
    assert error["message"].startswith("hurry was stopped after its limit of 0.05 seconds, before its files had come")


@pytest.mark.parametrize(
    ("change", "message", "retryable"),
    [
        (
            {"tries": 2, "allowed": 1},
            "read_files was lost with its worker 1 time(s); it is not run again, because i",
            True,
        ),
        ({"tries": 4}, "read_files was lost with its worker 3 time(s); it is not run again, because it seems", False),
        ({"tries": 3, "allowed": 2, "kind": ""}, "The job was lost with its worker 2 time(s)", False),
    ],
)
async def test_a_job_that_was_lost_too_often_is_not_run_again(
    bench: Bench, change: dict[str, Any], message: str, *, retryable: bool
) -> None:
    """Its payload, which may be what ended the workers, is not read."""
    claim = replace(CLAIM, **change)
    error = await bench.fails(replace(claim, payload=b"\xc1", references=None))
    assert (error["code"], error["retryable"]) == ("crashed", retryable)
    assert error["message"].startswith(message)
    assert ("allows no retries" in error["message"]) == retryable
    assert ("end every worker" in error["message"]) != retryable
    assert isinstance(await bench.run(replace(claim, tries=claim.allowed)), Done)


@pytest.mark.parametrize(("tries", "again"), [(1, True), (2, True), (3, False)])
async def test_a_crash_is_repeated_as_often_as_the_kind_allows(bench: Bench, tries: int, *, again: bool) -> None:
    crash = Crashed("read_files crashed")

    def answer(_: Task) -> dict[str, Any]:
        raise crash

    bench.children.answer = answer
    outcome = await bench.run(replace(CLAIM, tries=tries))
    assert outcome == (AGAIN if again else Failed(crash))


async def test_a_fault_of_the_worker_fails_the_job_and_is_not_repeated(bench: Bench) -> None:
    bench.children.answer = lambda _: ANSWER["missing"]
    error = await bench.fails(CLAIM)
    assert (error["code"], error["retryable"]) == ("worker_failed", True)


def making(*sizes: int, outside: bool = False) -> Callable[[Task], dict[str, Any]]:
    """A child that makes files of some sizes."""

    def answer(task: Task) -> dict[str, Any]:
        folder = Path(task.folder)
        folder.mkdir(parents=True)
        artifacts = []
        for number, size in enumerate(sizes):
            path = folder / f"{number}"
            path.write_bytes(bytes([number]) * size)
            named = folder.parent.parent / "else" if outside else path
            artifacts.append({"path": str(named), "name": f"n{number}", "mime_type": "x/y", "sha256": "untrusted"})
        return {"output": {"text": ""}, "warnings": [], "artifacts": artifacts}

    return answer


async def test_files_of_the_answer_are_artifacts_of_the_principal(bench: Bench) -> None:
    """Copied first, and with the digest of the copy."""
    bench.children.answer = making(3, 5)
    outcome = await bench.run(CLAIM)
    contents = [bytes([number]) * size for number, size in enumerate((3, 5))]
    digests = [hashlib.sha256(content).hexdigest() for content in contents]
    assert bench.store.kept == [
        (f"n{number}", "x/y", digests[number], contents[number], "alice", "job") for number in range(2)
    ]
    made = [Artifact(f"id-{n + 1}", f"n{n}", "x/y", len(contents[n]), digests[n], 5, "blob") for n in range(2)]
    assert outcome == Done({"text": ""}, tuple(artifact.to_wire() for artifact in made), ())
    assert bench.store.forgotten == []


MIB: Final = 1 << 20


@pytest.mark.parametrize(
    ("sizes", "code", "kept"),
    [
        ((1, 1, 1), "limit_exceeded", None),
        ((MIB + 1,), "limit_exceeded", 0),
        ((MIB // 2, MIB // 2 + 1), "limit_exceeded", 1),
        ((MIB // 2, MIB // 2), None, 2),
        ((0, 0), None, 2),
    ],
    ids=["too many", "too large", "too large together", "as large as allowed", "empty"],
)
async def test_files_beyond_the_limits_fail_the_job_and_leave_nothing(
    bench: Bench, sizes: tuple[int, ...], code: str | None, kept: int | None
) -> None:
    bench.children.answer = making(*sizes)
    outcome = await bench.run(CLAIM)
    assert len(bench.store.kept) == (kept or 0)
    if code is None:
        assert isinstance(outcome, Done)
        assert bench.store.forgotten == []
    else:
        assert isinstance(outcome, Failed)
        assert outcome.error.reason == code
        assert bench.store.forgotten == ([] if kept is None else [([f"n{n}" for n in range(kept)], "alice")])


@pytest.mark.parametrize("away", [False, True])
async def test_files_of_a_failed_job_are_forgotten_even_if_redis_is_away(bench: Bench, *, away: bool) -> None:
    bench.children.answer = making(3, 5)
    bench.store.full_after, bench.store.away = 1, away
    assert (await bench.fails(CLAIM))["code"] == QuotaExceeded.code
    assert bench.store.forgotten == [(["n0"], "alice")]


async def test_a_file_outside_the_folder_of_the_work_is_not_kept(bench: Bench) -> None:
    bench.children.answer = making(3, outside=True)
    assert (await bench.fails(CLAIM))["code"] == "bad_result"
    assert bench.store.kept == []


async def test_an_answer_that_does_not_fit_the_kind_fails_the_job(bench: Bench) -> None:
    bench.children.answer = lambda _: {"output": {"number": 1}, "warnings": [], "artifacts": []}
    assert (await bench.fails(CLAIM))["code"] == "bad_result"


async def test_a_kind_without_isolation_is_run_by_the_worker(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Any, ...]] = []

    async def perform(task: Task, roots: dict[str, Path], on_progress: Callable[[Progress], None]) -> ChildResult:
        seen.append((task.kind, roots, on_progress))
        return ChildResult(output={"text": "inside"}, warnings=[], artifacts=[])

    monkeypatch.setattr(loop_jobs, "perform", perform)
    assert await bench.run(replace(CLAIM, kind="inside")) == Done({"text": "inside"}, (), ())
    assert seen == [(KINDS["inside"], {"docs": Path("/docs")}, bench.steps.append)]
    assert bench.children.tasks == []


async def test_a_cancelled_attempt_is_over_when_its_folder_is_gone(bench: Bench) -> None:
    begun = asyncio.Event()

    async def run(task: Task, _: object) -> dict[str, Any]:
        await asyncio.to_thread(Path(task.folder).mkdir, parents=True)
        begun.set()
        await asyncio.Event().wait()
        return {}

    bench.children.run = run  # type: ignore[method-assign, assignment]
    with bench.scratch:
        running = asyncio.create_task(bench.performer(CLAIM, bench.steps.append))
        await begun.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert [*bench.scratch.path("").iterdir()] == []
