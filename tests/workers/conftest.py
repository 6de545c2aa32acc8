"""Fixtures of this folder."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from arq.connections import ArqRedis

from offloop.artifacts.store import ArtifactStore
from offloop.kinds import catalogue
from offloop_workers.children.pool import Children
from offloop_workers.children.scratch import Scratch
from offloop_workers.engine.attempt import Performer
from offloop_workers.engine.worker import Worker
from support.redis import lasting
from support.serving import Begin, serving

JOBS = "support.jobs.sample_jobs"


@pytest.fixture
def job_modules(monkeypatch: pytest.MonkeyPatch) -> str:
    """Processes started from here on load the sample jobs; returns their module's name."""
    monkeypatch.setenv("OFFLOOP_JOB_MODULES", JOBS)
    monkeypatch.setenv("PYTHONPATH", _path())
    return JOBS


def _path() -> str:
    """`PYTHONPATH` of started processes: the sample jobs, and the sources under test."""
    return os.pathsep.join([str(Path(__file__).parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])])


@pytest.fixture(scope="session")
async def children(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Children]:
    """Two children that know the sample jobs, shared by the tests of this process."""
    folder = tmp_path_factory.mktemp("children")
    pool = Children(2, ("default", "other"), folder / "temporary")
    with lasting(folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("OFFLOOP_JOB_MODULES", JOBS)
        patch.setenv("PYTHONPATH", _path())
        await pool.__aenter__()
    try:
        yield pool
    finally:
        await pool.__aexit__()


@pytest.fixture
def store(redis: ArqRedis, tmp_path: Path) -> ArtifactStore:
    """The artifact store."""
    return ArtifactStore((tmp_path / "artifacts").as_uri(), redis, retention_seconds=60)


@pytest.fixture
async def begin(valkey: str, children: Children, store: ArtifactStore, tmp_path: Path) -> AsyncIterator[Begin]:
    """Starts workers, and ends them after the test; no temporary folder of an attempt may be left."""
    kinds = catalogue.load([JOBS])
    async with AsyncExitStack() as stack:
        scratch = stack.enter_context(Scratch(tmp_path / "scratch"))

        async def start(
            *, url: str | None = None, slots: int = 2, queues: tuple[str, ...] = ("default", "other")
        ) -> Worker:
            performer = Performer(kinds, children, store, scratch)
            life = serving(kinds, performer, url or valkey, queues=queues, slots=slots)
            return await stack.enter_async_context(life)

        yield start
        await stack.aclose()
