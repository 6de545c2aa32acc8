"""Uploads: leftovers of a killed front end are deleted, uploads in progress are not."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import pytest

from offloop_server.web.uploads import folder, sweep


def test_leftovers_of_a_killed_front_end_are_deleted_and_uploads_in_progress_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    day = time.time() - 90_000
    for name, old_file, old_folder in (("left", True, True), ("slow", False, True)):
        left = tmp_path / f"offloop-upload-{name}"
        left.mkdir()
        (left / "bytes").write_bytes(b"x")
        if old_file:
            os.utime(left / "bytes", (day, day))
        if old_folder:
            os.utime(left, (day, day))
    (tmp_path / "other").mkdir()
    os.utime(tmp_path / "other", (day, day))
    with folder() as begun:
        assert sweep() == 1
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
            ["offloop-upload-slow", "other", Path(begun).name]
        )
