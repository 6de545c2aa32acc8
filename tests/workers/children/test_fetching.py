"""Fetches of a worker for its jobs: files that the input names by URL, and those that the work asks for."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from arq.jobs import serialize_job

from offloop import Kind, Limits
from offloop.artifacts.store import ArtifactStore
from offloop.errors import FetchFailed, JobError, LimitExceeded
from offloop.queue.record import Done, Failed
from offloop.redis.codec import pack
from offloop.settings import load
from offloop_workers.children.fetching import MAX_NAMED, FetchBudget, Fetching
from offloop_workers.children.pool import Children
from offloop_workers.children.scratch import Scratch
from offloop_workers.engine.attempt import Performer
from offloop_workers.engine.claiming import Claim
from support.hosts.outside import outside as elsewhere
from support.jobs import hostile_jobs as jobs
from support.redis import lasting
from support.tasks import task_of

pytestmark = pytest.mark.anyio

HERE = {"OFFLOOP_FETCH_HOSTS": "127.0.0.1", "OFFLOOP_FETCH_NETWORKS": "127.0.0.0/8", "OFFLOOP_FETCH_MAX_MB": "1"}


@asynccontextmanager
async def outside() -> AsyncIterator[str]:
    """A server that knows a few paths; answers the URL of its root."""
    left = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                path = line.split()[1]
                while (await reader.readline()).strip():
                    pass
                if path == b"/slow":
                    await left.wait()
                    return
                status = b"404 Not Found" if path.startswith(b"/missing") else b"200 OK"
                sizes = {b"/large": 2 << 20, b"/full": 1 << 20, b"/half": 1 << 19}
                body = bytes(sizes[path]) if path in sizes else b"content of " + path
                head = b"HTTP/1.1 %b\r\ncontent-type: Text/Plain; charset=x\r\ncontent-length: %d\r\n\r\n"
                writer.write(head % (status, len(body)) + body)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        left.set()


@pytest.fixture(scope="module")
async def hostile(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Children]:
    """Children that know the jobs that fetch."""
    folder = tmp_path_factory.mktemp("fetching")
    pool = Children(1, ("default",), folder / "temporary")
    with lasting(folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("OFFLOOP_JOB_MODULES", "support.jobs.hostile_jobs")
        patch.syspath_prepend(Path(__file__).parent.parent)
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        await pool.__aenter__()
    try:
        yield pool
    finally:
        await pool.__aexit__()


Perform = Callable[..., Any]


@pytest.fixture
def perform(hostile: Children, store: ArtifactStore, tmp_path: Path) -> Perform:
    """Performs one job as a worker does, with what the settings allow; answers its outcome."""

    async def perform(kind: Kind[Any, Any], settings: dict[str, str], **given: Any) -> Any:
        payload = serialize_job(kind.name, (), given, None, 0, serializer=pack)
        claim = Claim("a-job", kind.name, "default", "1", payload, 1, 1, 1, "alice")
        with Scratch(tmp_path / "scratch") as scratch:
            async with Fetching(load(settings)) as fetching, asyncio.timeout(30):
                outcome = await Performer({kind.name: kind}, hostile, store, scratch, fetching)(claim, print)
            assert [path.name for path in Path(scratch.attempt()).parent.iterdir()] == []
        return outcome

    return perform


async def test_a_file_named_by_url_reaches_the_job(perform: Perform) -> None:
    async with outside() as url:
        outcome = await perform(jobs.read_reference, HERE, file=f"{url}/file?a=b")
    assert outcome == Done({"found": {"content": "content of /file?a=b"}, "pid": 0}, (), ())


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("/missing", "http_error", "/missing was not fetched. HTTP 404 from 127.0.0.1"),
        ("/missing?token=secret", "http_error", "/missing?… was not fetched."),
        ("/large", "too_large", "larger than 1 MiB"),
    ],
)
async def test_a_file_that_does_not_come_is_a_failure_with_a_reason(
    perform: Perform, path: str, code: str, words: str
) -> None:
    async with outside() as url:
        outcome = await perform(jobs.read_reference, HERE, file=url + path)
    assert isinstance(outcome, Failed)
    assert outcome.error.reason == code
    assert words in outcome.error.message


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/status/302", "does not say where"),
        ("/status/300", "several versions"),
        ("/status/304", "which was not asked"),
        ("/status/202", "not there yet"),
        ("/status/204", "no content"),
        ("/status/206", "only a part"),
        ("/status/503?times=9", "please come again"),
        ("/redirect?to=/redirect?to=/status/404", "please come again"),
    ],
)
async def test_only_a_2xx_with_content_is_the_file_of_a_reference(tmp_path: Path, path: str, words: str) -> None:
    """For an input and for what the work asks for alike; an empty file is never made of anything else."""
    async with elsewhere() as server, Fetching(load(HERE)) as fetching:
        budget = FetchBudget(fetching, "a kind", Limits(fetches=9), str(tmp_path / "fetched"))
        with pytest.raises(FetchFailed, match=words) as failed:
            await budget.fetch_input(server.url(path))
        assert failed.value.reason == "http_error"
        assert "times=" not in failed.value.message
        answer = await budget.answer(server.url(path))
        assert words in answer["refused"]["message"]


async def test_redirects_lead_to_the_file_of_a_reference(tmp_path: Path) -> None:
    async with elsewhere() as server, Fetching(load(HERE)) as fetching:
        budget = FetchBudget(fetching, "a kind", Limits(), str(tmp_path / "fetched"))
        to = "/hello"
        for _ in range(6):
            to = "/redirect?to=" + quote(to)
        path, found = await budget.fetch_input(f" {server.url(to)}\n".replace("http:", "HTTP:"))
    assert (found.size, len(found.redirects)) == (len(b"/hello says hello"), 6)
    assert Path(path).read_bytes() == b"/hello says hello"  # noqa: ASYNC240 -- a few bytes


@pytest.mark.parametrize(
    ("settings", "words"),
    [({}, "OFFLOOP_FETCH_HOSTS allows none"), ({"OFFLOOP_FETCH_HOSTS": "*"}, "not public")],
)
async def test_a_url_that_may_not_be_asked_is_refused(perform: Perform, settings: dict[str, str], words: str) -> None:
    async with outside() as url:
        outcome = await perform(jobs.read_reference, settings, file=f"{url}/file")
    assert isinstance(outcome, Failed)
    assert outcome.error.reason == "refused"
    assert words in outcome.error.message


async def test_only_so_many_urls_may_be_named(tmp_path: Path) -> None:
    async with outside() as url, Fetching(load(HERE)) as fetching:
        budget = FetchBudget(fetching, "a kind", Limits(), str(tmp_path / "fetched"))
        for number in range(MAX_NAMED):
            await budget.fetch_input(f"{url}/{number}")
        with pytest.raises(LimitExceeded, match=r"more than 100 URLs, .* upload the files"):
            await budget.fetch_input(f"{url}/more")
    assert len(list((tmp_path / "fetched").iterdir())) == MAX_NAMED


async def test_the_fetched_files_of_a_job_are_limited_together(tmp_path: Path) -> None:
    """Those its input names and those its work asks for; what came before a failure counts too."""
    async with outside() as url, Fetching(load(HERE)) as fetching:
        budget = FetchBudget(fetching, "a kind", Limits(fetches=9), str(tmp_path / "fetched"))
        for _ in range(3):
            await budget.fetch_input(f"{url}/full")
        await budget.fetch_input(f"{url}/half")
        answer = await budget.answer(f"{url}/full")
        assert answer["refused"]["code"] == "limit_exceeded"
        assert "more than 4 MiB together (4 times OFFLOOP_FETCH_MAX_MB): send smaller" in answer["refused"]["message"]
        await budget.fetch_input(f"{url}/half")
        with pytest.raises(LimitExceeded, match="more than 4 MiB together"):
            await budget.fetch_input(f"{url}/a")
    assert sum(path.stat().st_size for path in (tmp_path / "fetched").iterdir()) == 4 << 20


async def test_waiting_for_a_file_counts_as_time_of_the_job(perform: Perform) -> None:
    brief = replace(jobs.read_reference, limits=Limits(seconds=0.3))
    async with outside() as url:
        outcome = await perform(brief, HERE, file=f"{url}/slow")
    assert isinstance(outcome, Failed)
    assert outcome.error.reason == "limit_exceeded"
    assert "0.3 seconds, before its files had come" in outcome.error.message


async def test_a_cancelled_job_fetches_no_more(perform: Perform) -> None:
    async with outside() as url:
        running = asyncio.create_task(perform(jobs.read_reference, HERE, file=f"{url}/slow"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(running, 0.5)


@pytest.fixture
def fetch(hostile: Children, tmp_path: Path) -> Callable[..., Any]:
    """Runs a job that asks for URLs while it runs."""

    async def fetch(kind: Kind[Any, Any], *urls: str) -> dict[str, str]:
        async with Fetching(load(HERE)) as fetching, asyncio.timeout(30):
            budget = FetchBudget(fetching, kind.name, kind.limits, str(tmp_path / "fetched"))
            task = task_of(kind, {"text": "\n".join(urls)}, tmp_path / "work", budget)
            found: dict[str, str] = (await hostile.run(task, print))["output"]["found"]
        return found

    return fetch


@pytest.mark.parametrize("kind", [jobs.fetch_them, jobs.fetch_them_strictly], ids=lambda kind: kind.name)
async def test_the_work_has_urls_fetched_while_it_runs(fetch: Callable[..., Any], kind: Kind[Any, Any]) -> None:
    async with outside() as url:
        found = await fetch(kind, f"{url}/a", f"{url}/b")
    assert found == {f"{url}/a": "text/plain content of /a", f"{url}/b": "text/plain content of /b"}


async def test_a_kind_declares_how_often(fetch: Callable[..., Any]) -> None:
    async with outside() as url:
        with pytest.raises(JobError, match=r"fetch_them may have 2 URLs fetched \(fetches\)") as failed:
            await fetch(jobs.fetch_them, f"{url}/a", f"{url}/b", f"{url}/c")
        assert failed.value.reason == "limit_exceeded"


async def test_a_refusal_reaches_the_work(fetch: Callable[..., Any]) -> None:
    with pytest.raises(JobError, match=r"OFFLOOP_FETCH_HOSTS allows 127\.0\.0\.1") as failed:
        await fetch(jobs.fetch_them, "https://example.org/")
    assert failed.value.reason == "refused"


async def test_a_link_that_a_child_placed_is_not_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("whole")
    (tmp_path / "fetched").mkdir()
    (tmp_path / "fetched" / "fetched-1").symlink_to(victim)
    async with outside() as url, Fetching(load(HERE)) as fetching:
        answer = await FetchBudget(fetching, "a kind", Limits(fetches=1), str(tmp_path / "fetched")).answer(f"{url}/a")
    assert answer["refused"]["code"] == "no_space"
    assert victim.read_text() == "whole"


async def test_an_invalid_request_of_a_child_is_answered_too(tmp_path: Path) -> None:
    answer = await FetchBudget(None, "a kind", Limits(fetches=1), str(tmp_path / "fetched")).answer({"url": 1})
    assert answer["refused"]["code"] == "bad_input"
    answer = await FetchBudget(None, "a kind", Limits(fetches=1), str(tmp_path / "fetched")).answer(
        "https://example.org/"
    )
    assert answer["refused"]["code"] == "refused"
