"""Fixtures of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder to walk through."""
    folder = tmp_path / "in"
    folder.mkdir()
    return folder
