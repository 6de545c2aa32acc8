"""Fixtures of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from offloop_workers.children import Children
from parts.valkey import lasting, redis, valkey

__all__ = ["children", "job_modules", "redis", "valkey"]

JOBS = "parts.sample_jobs"


@pytest.fixture
def job_modules(monkeypatch: pytest.MonkeyPatch) -> str:
    """What is started from here on loads the sample jobs; answers their module's name."""
    monkeypatch.setenv("OFFLOOP_JOB_MODULES", JOBS)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    return JOBS


@pytest.fixture(scope="session")
async def children(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Children]:
    """Two children that know the sample jobs, shared by the tests of this process."""
    pool = Children(2, ("default", "other"))
    with lasting(tmp_path_factory.mktemp("children")), pytest.MonkeyPatch.context() as patch:
        patch.setenv("OFFLOOP_JOB_MODULES", JOBS)
        patch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
        await pool.__aenter__()
    try:
        yield pool
    finally:
        await pool.__aexit__()
