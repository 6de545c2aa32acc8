"""Programs and files of the system that some tests need; a test without one is skipped, and the reason says so."""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path
from typing import Any

import pytest


def needs(packages: str, *wanted: str | Path) -> None:
    """Skip the running test, loudly, unless all these programs and files are there.

    Args:
        packages: the Debian packages that contain them, as literal words: a test compares them with ``.ci/run``.
        wanted: names of programs, and paths of files.
    """
    if missing := [str(one) for one in wanted if not _found(one)]:
        pytest.skip(f"not installed: {', '.join(missing)}; to install: sudo apt-get install {packages}")


def unprivileged(folder: Path) -> dict[str, Any]:
    """Options of a process that runs as an unprivileged user and owns the folder: database servers refuse root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _found(wanted: str | Path) -> bool:
    return wanted.exists() if isinstance(wanted, Path) else shutil.which(wanted) is not None
