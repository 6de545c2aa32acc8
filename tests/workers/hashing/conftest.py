"""Fixtures of this folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from offloop.kinds.job_context import JobContext
from offloop.kinds.limits import Limits

MakeContext = Callable[[], JobContext]


@pytest.fixture
def reports() -> list[dict[str, Any]]:
    """The reports of the context to the worker."""
    return []


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder behind the root ``in``."""
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


@pytest.fixture
def make_context(tmp_path: Path, root: Path, reports: list[dict[str, Any]]) -> MakeContext:
    """Makes contexts with the roots ``in``, and ``out`` with the artifacts of the jobs before."""
    result: list[JobContext] = []

    def make() -> JobContext:
        folder = tmp_path / "out" / str(len(result))
        result.append(
            JobContext(
                job_id="job",
                folder=folder,
                roots={"in": root, "out": tmp_path / "out"},
                limits=Limits(output_mb=1),
                report=reports.append,
            )
        )
        return result[-1]

    return make


@pytest.fixture
def context(make_context: MakeContext) -> JobContext:
    """A context."""
    return make_context()
