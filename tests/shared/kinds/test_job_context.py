"""Context of a job: references, artifacts, limits, warnings, progress and fetches."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import TypeAdapter

from offloop.errors import JobError, LimitExceeded
from offloop.kinds.context import Fetched
from offloop.kinds.job_context import JobContext
from offloop.kinds.limits import Limits
from offloop.kinds.references import FileReference, FolderReference

ARTIFACT = FileReference("artifact:0123456789abcdef")


@pytest.fixture
def reports() -> list[dict[str, Any]]:
    """Messages from the context to the worker."""
    return []


@pytest.fixture
def context(tmp_path: Path, reports: list[dict[str, Any]]) -> JobContext:
    """A context with one artifact, one root, and files of at most 1000 bytes."""
    folder, root = tmp_path / "job", tmp_path / "root"
    folder.mkdir()
    root.mkdir()
    (root / "file.txt").write_text("from the root")
    (tmp_path / "input").write_text("an artifact")
    return JobContext(
        job_id="job",
        attempt=1,
        folder=folder,
        inputs={str(ARTIFACT): tmp_path / "input"},
        roots={"docs": root},
        output_bytes=1000,
        report=reports.append,
    )


def test_each_form_of_reference_opens(context: JobContext) -> None:
    data = FileReference("data:text/plain;base64," + base64.b64encode(b"inline").decode())
    for reference, content in (
        (ARTIFACT, b"an artifact"),
        (FileReference("root:docs/file.txt"), b"from the root"),
        (data, b"inline"),
    ):
        with context.open(reference) as file:
            assert file.read() == content


@pytest.mark.parametrize("reference", ["artifact:ffffffffffffffff", "root:other/file.txt", "root:docs/missing.txt"])
def test_an_unreadable_file_fails_with_the_reference_and_no_path(context: JobContext, reference: str) -> None:
    with pytest.raises(JobError, match="cannot be read") as failed:
        context.open(FileReference(reference))
    assert reference in failed.value.message
    assert str(context.folder.parent) not in failed.value.message
    assert failed.value.reason == "unreadable_file"


def test_a_root_reference_cannot_leave_its_root(context: JobContext, tmp_path: Path) -> None:
    (tmp_path / "root" / "link").symlink_to("/etc")
    for path in ("../input", "link/passwd", "/etc/passwd"):
        with pytest.raises(JobError) as failed:
            context.open(FileReference(f"root:docs/{path}"))
        assert failed.value.reason == "unreadable_file"


def test_a_created_file_becomes_an_artifact_with_its_digest(context: JobContext) -> None:
    with context.create("../re\u202eport.txt", "text/plain") as file:
        file.write(b"hello ")
        file.write(b"world")
    (artifact,) = context.artifacts
    assert (artifact.name, artifact.mime_type, artifact.size) == ("report.txt", "text/plain", 11)
    assert artifact.sha256 == hashlib.sha256(b"hello world").hexdigest()
    assert artifact.path.parent == context.folder
    assert artifact.path.read_bytes() == b"hello world"


def test_a_created_file_may_be_sought_and_read_back(context: JobContext) -> None:
    with context.create("a.bin", "application/octet-stream") as file:
        file.write(b"xxxx-body")
        file.seek(0)
        file.write(b"head")
        file.seek(0)
        assert file.read() == b"head-body"
    assert context.artifacts[0].sha256 == hashlib.sha256(b"head-body").hexdigest()


def test_two_files_of_one_name_are_two_artifacts(context: JobContext) -> None:
    for content in (b"1", b"2"):
        with context.create("same.txt", "text/plain") as file:
            file.write(content)
    assert [artifact.path.read_bytes() for artifact in context.artifacts] == [b"1", b"2"]


def test_a_file_of_exactly_the_limit_is_allowed(context: JobContext) -> None:
    with context.create("full.bin", "application/octet-stream") as file:
        file.write(b"x" * 1000)
    assert context.artifacts[0].size == 1000


@pytest.mark.parametrize("pieces", [[1001], [600, 600], [300_000]])
def test_a_file_beyond_the_limit_fails_and_is_removed(context: JobContext, pieces: list[int]) -> None:
    def write() -> None:
        with context.create("big.bin", "application/octet-stream") as file:
            for piece in pieces:
                file.write(b"x" * piece)

    with pytest.raises(LimitExceeded, match=r"larger than 1,000 bytes.*output_mb"):
        write()
    assert context.artifacts == []
    assert list(context.folder.iterdir()) == []


def test_growing_by_truncate_meets_the_same_limit(context: JobContext) -> None:
    with pytest.raises(LimitExceeded), context.create("sparse.bin", "application/octet-stream") as file:
        file.truncate(10**9)
    assert list(context.folder.iterdir()) == []


def test_a_library_that_writes_through_descriptors_meets_the_same_limit(context: JobContext) -> None:
    noise = Image.frombytes("RGB", (100, 100), os.urandom(30_000))
    with pytest.raises(LimitExceeded), context.create("noise.png", "image/png") as file:
        noise.save(file, "PNG")
    assert list(context.folder.iterdir()) == []


def test_an_error_in_the_block_removes_the_file_and_passes_on(context: JobContext) -> None:
    def write() -> None:
        with context.create("a.txt", "text/plain") as file:
            file.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert context.artifacts == []
    assert list(context.folder.iterdir()) == []


def test_progress_lets_the_first_and_the_last_step_through_and_few_between(
    context: JobContext, reports: list[dict[str, Any]]
) -> None:
    for done in range(1001):
        context.progress(done, 1000, "counting")
    first, *_, last = (report["progress"] for report in reports)
    assert first == {"done": 0, "total": 1000, "message": "counting"}
    assert last == {"done": 1000, "total": 1000, "message": "counting"}
    assert len(reports) < 20


def test_progress_never_goes_back(context: JobContext, reports: list[dict[str, Any]]) -> None:
    context.progress(5, 5)
    for done in (3, 5, float("nan")):
        context.progress(done, 5)
    assert [report["progress"]["done"] for report in reports] == [5]


def test_warnings_are_kept_once_on_one_line_and_within_bounds(context: JobContext) -> None:
    for line in ("first\nline", "first  line", "x" * 1000, ""):
        context.warn(line)
    assert context.warnings == ["first line", "x" * 497 + "..."]
    for number in range(200):
        context.warn(f"number {number}")
    assert len(context.warnings) == 100
    assert "more than 100 warnings" in context.warnings[-1]


def test_a_folder_opens_under_a_root_and_is_closed_after_the_block(context: JobContext, tmp_path: Path) -> None:
    (tmp_path / "root" / "sub").mkdir()
    for reference, holds in (("root:docs", ["file.txt", "sub"]), ("root:docs/sub", [])):
        with context.open_folder(TypeAdapter(FolderReference).validate_python(reference)) as folder:
            assert sorted(os.listdir(folder)) == holds  # noqa: PTH208 -- a descriptor, not a path
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(folder)


@pytest.mark.parametrize("reference", ["root:other", "root:docs/file.txt", "root:docs/missing", "root:docs/.."])
def test_a_folder_that_cannot_be_opened_fails_with_the_reference_and_no_path(
    context: JobContext, tmp_path: Path, reference: str
) -> None:
    with (
        pytest.raises(JobError, match=reference) as failed,
        context.open_folder(TypeAdapter(FolderReference).validate_python(reference)),
    ):
        pytest.fail("it was opened")
    assert str(tmp_path) not in failed.value.message


def test_urls_are_fetched_by_the_worker_within_the_limit(tmp_path: Path) -> None:
    asked: list[dict[str, Any]] = []

    def reply(request: dict[str, Any]) -> dict[str, Any]:
        asked.append(request)
        if request["fetch"].endswith("refused"):
            return {"refused": JobError("Not this one.", code="refused").to_wire()}
        return {"fetched": {"path": str(tmp_path / "file"), "mime_type": "text/html", "url": "https://b/"}}

    context = JobContext(job_id="job", folder=tmp_path, limits=Limits(fetches=2), ask=reply, kind="a_kind")
    assert context.fetch("https://a/") == Fetched(tmp_path / "file", "text/html", "https://b/")
    with pytest.raises(JobError, match=r"Not this one\.") as failed:
        context.fetch("https://a/refused")
    assert failed.value.reason == "refused"
    with pytest.raises(LimitExceeded, match="a_kind may have 2 URLs fetched"):
        context.fetch("https://a/")
    assert [request["fetch"] for request in asked] == ["https://a/", "https://a/refused"]


def test_without_a_worker_nothing_is_fetched(tmp_path: Path) -> None:
    context = JobContext(job_id="job", folder=tmp_path, limits=Limits(fetches=2), kind="a_kind")
    with pytest.raises(JobError, match="a_kind was given no way to fetch URLs"):
        context.fetch("https://a/")


def test_a_context_without_a_report_drops_progress_and_makes_no_folder_unasked(tmp_path: Path) -> None:
    context = JobContext(job_id="job", folder=tmp_path / "job")
    context.progress(1, 2)
    assert not (tmp_path / "job").exists()
    assert context.folder.is_dir()
