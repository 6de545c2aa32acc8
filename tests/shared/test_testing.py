"""Test support for authors: jobs behave in it as they do in a worker, and answers have the front end's shape."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest
from arq.jobs import JobStatus

from offloop import Context, FileReference, JobError, LimitExceeded, Limits, Model, declare, job, performs, tool
from offloop.kinds.references import FolderReference
from offloop.testing import InlineJob, InlineOffloop, context
from offloop_server.toolkit.answers import ArtifactAnswer, JobAnswer

FILE = "artifact:0123456789abcdef"
URL = "https://example.org/prices.json"


class Source(Model):
    """A file and a word."""

    file: FileReference
    word: str = ""


class Size(Model):
    """Bytes, and what of them is the word."""

    size: int
    found: int = 0


class Url(Model):
    """A URL that only the work asks for."""

    url: str


@job(output_mb=1, artifacts=2, pure=True)
def copy_file(value: Source, context: Context) -> Size:
    """Copy a file."""
    context.progress(0, 1, "reading")
    with context.open(value.file) as source, context.create("copy.bin", "application/x-copy") as target:
        content = source.read()
        target.write(content)
    context.progress(1, 1)
    if not content:
        context.warn("The file is empty.")
    return Size(size=len(content), found=content.count(value.word.encode()) if value.word else 0)


@job(fetches=1)
def size_of_url(value: Url, context: Context) -> Size:
    """Fetch a URL."""
    fetched = context.fetch(value.url)
    assert fetched.mime_type == "application/json"
    return Size(size=fetched.path.stat().st_size)


@job(isolation="none")
async def wait_shortly(value: Url) -> Size:
    """Wait for others, on the loop."""
    await asyncio.sleep(0)
    return Size(size=len(value.url))


refuse = declare("refuse_url", Url, Size, description="Refuse.")


@performs(refuse)
def refuse_url(value: Url, _context: Context) -> Size:
    """Fail in the way that the URL says."""
    if value.url == "bug":
        raise ZeroDivisionError
    message = f"{value.url} is refused."
    raise JobError(message, code="refused_here", retryable=True)


@tool()
def measure_url(value: Url) -> Size:
    """The length of a URL."""
    return Size(size=len(value.url))


@pytest.fixture
def offloop(tmp_path: Path) -> InlineOffloop:
    """An engine with every job of this module."""
    return InlineOffloop(
        *(copy_file, size_of_url, wait_shortly, refuse_url, measure_url),
        folder=tmp_path,
        inputs={FILE: b"one two one", URL: b"[1, 2]"},
    )


def test_a_job_reads_its_inputs_and_the_test_sees_what_it_made(tmp_path: Path) -> None:
    made = context(tmp_path, kind=copy_file, inputs={FILE: b"content"})
    assert copy_file(Source(file=FileReference(FILE)), made) == Size(size=7)
    (artifact,) = made.artifacts
    assert (artifact.name, artifact.mime_type, artifact.size) == ("copy.bin", "application/x-copy", 7)
    assert artifact.sha256 == hashlib.sha256(b"content").hexdigest()
    assert artifact.path.read_bytes() == b"content"
    assert artifact.path.is_relative_to(tmp_path)
    assert made.reports == [(0, 1, "reading"), (1, 1, "")]
    assert made.warnings == []


def test_an_input_may_be_a_path_and_a_root_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    made = context(tmp_path, inputs={FILE: tmp_path / "file"}, roots={"in": tmp_path})
    for reference in (FILE, "root:in/file", "data:,"):
        assert copy_file(Source(file=FileReference(reference)), made).size == 0
    assert made.warnings == ["The file is empty."]
    with made.open_folder(FolderReference("root:in")) as descriptor:
        assert descriptor > 0
    with pytest.raises(JobError, match="cannot be read"):
        made.open(FileReference("artifact:ffffffffffffffff"))


def test_the_limits_of_the_kind_hold_or_those_of_the_test(tmp_path: Path) -> None:
    value = Source(file=FileReference(FILE))
    large = {FILE: b"x" * (2 << 20)}
    with pytest.raises(LimitExceeded, match="larger than 1 MiB"):
        copy_file(value, context(tmp_path, kind=copy_file, inputs=large))
    assert copy_file(value, context(tmp_path, inputs=large)).size == 2 << 20
    none = context(tmp_path, kind=copy_file, limits=Limits(artifacts=0), inputs={FILE: b"1"})
    with pytest.raises(LimitExceeded, match="copy_file made more than 0 files"):
        copy_file(value, none)


def test_fetched_urls_are_those_of_the_test_and_count(tmp_path: Path) -> None:
    made = context(tmp_path, kind=size_of_url, inputs={URL: b"[1, 2]"})
    assert size_of_url(Url(url=URL), made) == Size(size=6)
    with pytest.raises(LimitExceeded, match="size_of_url may have 1 URLs fetched"):
        made.fetch(URL)
    with pytest.raises(JobError, match=r"https://example.org/ is not among the inputs of the test's context"):
        context(tmp_path, kind=size_of_url).fetch("https://example.org/")


def test_a_caller_gets_an_answer_of_the_front_ends_shape(offloop: InlineOffloop, tmp_path: Path) -> None:
    seen: list[tuple[float, float | None, str | None]] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        seen.append((done, total, message))

    async def caller() -> tuple[dict[str, Any], Path]:
        answer = await offloop.run("copy_file", {"file": FILE, "word": "one", "wait_seconds": 1}, progress)
        (tmp_path / "out").mkdir()
        return answer, await offloop.download(answer["artifacts"][0], tmp_path / "out")

    answer, path = asyncio.run(caller())
    validated = JobAnswer[dict[str, Any]].model_validate(answer)
    assert set(answer) == set(JobAnswer.model_fields)
    assert set(answer["artifacts"][0]) == set(ArtifactAnswer.model_fields)
    assert (validated.state, validated.output) == ("completed", {"size": 11, "found": 2})
    assert (path.name, path.read_bytes()) == ("copy.bin", b"one two one")
    assert seen == [(0, 1, "reading"), (1, 1, "")]
    (done,) = offloop.jobs
    assert (done.kind, done.arguments) == ("copy_file", {"file": FILE, "word": "one"})


def test_an_upload_and_the_file_of_one_job_are_inputs_of_the_next(offloop: InlineOffloop, tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"four")

    async def caller() -> int:
        first = await offloop.run("copy_file", {"file": await offloop.upload(tmp_path / "mine")})
        second = await offloop.run("copy_file", {"file": f"artifact:{first['artifacts'][0]['artifact_id']}"})
        return int(second["output"]["size"])

    assert asyncio.run(caller()) == 4


def test_functions_on_the_loop_and_light_tools_are_called_too(offloop: InlineOffloop) -> None:
    assert asyncio.run(offloop.run("wait_shortly", {"url": "abc"}))["output"]["size"] == 3
    assert asyncio.run(offloop.run("measure_url", {"url": "abcd"})) == {"size": 4, "found": 0}


@pytest.mark.parametrize(
    ("name", "arguments", "code", "message"),
    [
        ("refuse_url", {"url": "abc"}, "refused_here", r"^abc is refused\.$"),
        ("refuse_url", {"url": "bug"}, "job_failed", r"failed unexpectedly \(ZeroDivisionError"),
        ("refuse_url", {"ulr": "abc"}, "bad_input", "refuse_url: url: Field required"),
        ("copy_file", {"file": "nothing"}, "bad_input", "not a file reference"),
        ("measure_url", {}, "bad_input", "measure_url: url: Field required"),
        (
            "no_such_tool",
            {},
            "unknown_kind",
            "There is no tool 'no_such_tool'; the test declares: copy_file, measure_url",
        ),
    ],
)
def test_a_failure_reaches_the_caller_as_a_job_error(
    offloop: InlineOffloop, name: str, arguments: dict[str, Any], code: str, message: str
) -> None:
    with pytest.raises(JobError, match=message) as failed:
        asyncio.run(offloop.run(name, arguments))
    assert failed.value.reason == code
    assert failed.value.retryable is (code == "refused_here")


def test_an_idempotency_key_runs_a_job_once_and_refuses_other_arguments(offloop: InlineOffloop) -> None:
    async def caller() -> None:
        first, again = [await offloop.run("copy_file", {"file": FILE, "idempotency_key": "mine"}) for _ in range(2)]
        assert first["job_id"] == again["job_id"]
        await offloop.run("copy_file", {"file": FILE, "word": "x", "idempotency_key": "mine"})

    with pytest.raises(JobError, match="'mine' already names job"):
        asyncio.run(caller())
    assert len(offloop.jobs) == 1


def test_a_caller_with_a_pool_of_arq_gets_a_job_that_has_ended(offloop: InlineOffloop) -> None:
    async def caller() -> dict[str, Any]:
        accepted = await offloop.enqueue_job("copy_file", _job_id="mine", _defer_by=60, file=FILE)
        assert isinstance(accepted, InlineJob)
        assert await offloop.enqueue_job("copy_file", _job_id="mine", file=FILE) is None
        assert (accepted.job_id, await accepted.status()) == ("mine", JobStatus.complete)
        failed = await offloop.enqueue_job("refuse_url", url="abc")
        assert isinstance(failed, InlineJob)
        with pytest.raises(JobError, match=r"abc is refused"):
            await failed.result()
        return await accepted.result(timeout=1)

    result = asyncio.run(caller())
    assert result["output"] == {"size": 11, "found": 0}
    assert [artifact["name"] for artifact in result["artifacts"]] == ["copy.bin"]
    assert [done.error is None for done in offloop.jobs] == [True, False]


def test_a_function_that_returns_something_else_fails_with_a_message_to_its_author(tmp_path: Path) -> None:
    @performs(refuse)
    def wrong(value: Url, _context: Context) -> Any:
        return {"size": len(value.url)}

    with pytest.raises(TypeError, match="refuse_url returned dict, its contract says Size"):
        asyncio.run(InlineOffloop(wrong, folder=tmp_path).run("refuse_url", {"url": "abc"}))
