"""Fixtures of this folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from offloop import testing
from offloop.jobs.search import TextFound, TextToSearch, search_text
from offloop.testing.context import RecordingContext
from offloop_workers.search.search import search

Run = Callable[..., TextFound]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder behind the root ``in``."""
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


@pytest.fixture
def context(tmp_path: Path, root: Path) -> RecordingContext:
    """The context of the search."""
    return testing.context(tmp_path, kind=search_text, roots={"in": root})


@pytest.fixture
def run(context: RecordingContext) -> Run:
    """Searches, with the arguments of the tool; one pattern may be a string."""

    def run(patterns: str | list[str], **arguments: Any) -> TextFound:
        arguments["patterns"] = [patterns] if isinstance(patterns, str) else patterns
        found: TextFound = search(TextToSearch.model_validate(arguments), context)
        return found

    return run
