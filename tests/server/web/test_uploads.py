"""Uploads: what a front end that was killed left behind goes, what goes on stays."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import pytest

from offloop_server.web.uploads import folder, sweep


def test_what_a_killed_front_end_left_is_deleted_and_what_goes_on_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    day = time.time() - 90_000
    for name, old_file, old_folder in (("left", True, True), ("slow", False, True)):
        place = tmp_path / f"offloop-upload-{name}"
        place.mkdir()
        (place / "bytes").write_bytes(b"x")
        if old_file:
            os.utime(place / "bytes", (day, day))
        if old_folder:
            os.utime(place, (day, day))
    (tmp_path / "other").mkdir()
    os.utime(tmp_path / "other", (day, day))
    with folder() as begun:
        assert sweep() == 1
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
            ["offloop-upload-slow", "other", Path(begun).name]
        )
