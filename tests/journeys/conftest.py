"""Fixtures of the end-to-end tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.stack.gates import Gate


@pytest.fixture
def gate(tmp_path: Path, nothing_left_behind: None) -> Iterator[Gate]:  # noqa: ARG001 -- orders the teardown: leaks are checked after the gate opens
    """A gate; it opens at the end of the test, so that no job stays held."""
    one = Gate(tmp_path / "gate")
    yield one
    one.open()
