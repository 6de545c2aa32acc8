"""Temporary folders of workers: deleted by their worker, or by the next one where it was killed."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from offloop_workers.children.scratch import Scratch

_WORKER = """
import pathlib, sys
from offloop_workers.children.scratch import Scratch
with Scratch(pathlib.Path(sys.argv[1])) as scratch:
    folder = pathlib.Path(scratch.attempt())
    folder.mkdir()
    (folder / "file").touch()
    print(folder.parent, flush=True)
    sys.stdin.read()
"""


def test_a_worker_deletes_its_folder_when_it_ends(tmp_path: Path) -> None:
    with Scratch(tmp_path / "all") as scratch:
        first, second = Path(scratch.attempt()), Path(scratch.attempt())
        assert first != second
        assert not first.exists()
        first.mkdir()
        assert stat.S_IMODE(first.parent.stat().st_mode) == 0o700
    assert list((tmp_path / "all").iterdir()) == []
    scratch.__exit__()


def test_asking_before_the_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="enter the scratch"):
        Scratch(tmp_path).attempt()


def test_the_folder_of_a_killed_worker_is_deleted_by_the_next_one(tmp_path: Path) -> None:
    """As long as the other worker lives, its folder is left alone."""
    other = subprocess.Popen(
        [sys.executable, "-c", _WORKER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout
    assert other.stdin
    try:
        folder = Path(other.stdout.readline().strip())
        assert folder.parent == tmp_path
        with Scratch(tmp_path):
            assert folder.exists()
    finally:
        other.kill()
        other.wait()
        other.stdin.close()
        other.stdout.close()
    assert folder.exists()
    with Scratch(tmp_path):
        assert not folder.exists()
