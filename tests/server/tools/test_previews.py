"""Previews whose job does not give a picture: it fails, is cancelled, or takes longer than the wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, replace

import pytest
from arq.connections import ArqRedis

from offloop import JobError
from offloop.artifacts.store import Artifact
from offloop.errors import BadInput
from offloop.kinds import catalogue
from offloop.queue.client import JobQueue
from offloop.queue.record import Cancelled, Done, Failed, Outcome, Record, State
from offloop.redis.connection import connect_blocking
from offloop_server.runtime.background import Background
from offloop_server.tools.previews import Preview, Previews
from offloop_server.waiting.calls import Calls
from offloop_server.waiting.inbox import Inbox
from support.caller import FRONT
from support.services import only, principal
from support.steps import Steps
from support.waiting import eventually

pytestmark = pytest.mark.anyio

ALICE = principal("alice")
KINDS = catalogue.load()
PDF = Artifact("a" * 22, "report.pdf", "application/pdf", 1000, "0" * 64, 0, "blob")
PHOTO = Artifact("b" * 22, "photo.tiff", "image/tiff", 1000, "0" * 64, 0, "blob")


@asynccontextmanager
async def _previews(queue: JobQueue, url: str) -> AsyncIterator[Previews]:
    async with Background(grace=1) as background, Inbox(connect_blocking(url), queue, FRONT, background) as inbox:
        yield Previews(only(kinds=KINDS, calls=Calls(queue, inbox, background)))


async def _render(
    queue: JobQueue, url: str, redis: ArqRedis, artifact: Artifact, outcome: Outcome
) -> Preview | Record | JobError:
    """The answer to a preview whose job ends with this outcome."""
    kind = KINDS["preview_pdf" if artifact is PDF else "transform_image"]
    worker = Steps(redis, queue=kind.queue)
    async with _previews(queue, url) as previews:
        call = asyncio.create_task(previews.render(artifact, 1, 60, ALICE))
        (taken,) = await eventually(worker.claim)
        assert taken.kind == kind.name
        await worker.finish(taken, outcome)
        try:
            return await call
        except JobError as error:
            return error


@pytest.mark.parametrize("artifact", [PDF, PHOTO], ids=["pdf", "photo"])
async def test_the_picture_of_the_job_is_the_preview(
    queue: JobQueue, redis: ArqRedis, valkey: str, artifact: Artifact
) -> None:
    picture = Artifact("c" * 22, "page.jpg", "image/jpeg", 7, "1" * 64, 5, "blob")
    outcome = Done({}, (asdict(picture),), ("Only the first of 2 frames is shown.",))
    assert await _render(queue, valkey, redis, artifact, outcome) == Preview(picture, outcome.warnings)


async def test_the_failure_of_the_job_is_the_failure_of_the_preview(
    queue: JobQueue, redis: ArqRedis, valkey: str
) -> None:
    failure = JobError("The PDF has 1 page.", code="bad_input", retryable=False)
    error = await _render(queue, valkey, redis, PDF, Failed(failure))
    assert isinstance(error, JobError)
    assert (error.message, error.reason, error.retryable) == ("The PDF has 1 page.", "bad_input", False)


async def test_a_cancelled_preview_says_so_and_may_be_called_again(
    queue: JobQueue, redis: ArqRedis, valkey: str
) -> None:
    error = await _render(queue, valkey, redis, PDF, Cancelled())
    assert isinstance(error, JobError)
    assert (error.reason, error.retryable) == ("cancelled", True)
    assert "report.pdf was not rendered" in error.message


async def test_a_preview_that_takes_longer_than_the_wait_is_its_job(queue: JobQueue, valkey: str) -> None:
    async with _previews(queue, valkey) as previews:
        record = await previews.render(PDF, 1, 0, ALICE)
    assert isinstance(record, Record)
    assert (record.state, record.kind) == (State.QUEUED, "preview_pdf")


@pytest.mark.parametrize("kinds", [KINDS, {}], ids=["all kinds", "no kinds"])
async def test_a_file_that_no_kind_renders_is_refused(kinds: catalogue.Catalogue) -> None:
    previews = Previews(only(kinds=kinds))
    text = replace(PDF, name="notes.txt", mime_type="text/plain")
    for artifact in (text,) if kinds else (text, PDF, PHOTO):
        assert not previews.renders(artifact)
        with pytest.raises(BadInput, match="has no pages to show: leave page out"):
            await previews.render(artifact, 1, 0, ALICE)
