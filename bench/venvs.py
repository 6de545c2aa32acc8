"""Virtualenvs of the peers whose packages conflict with offloop's (arq needs an older redis-py)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent


BEFORE: Final = "BENCH_BEFORE"
"""Environment variable with the folder of another checkout of offloop, which is set up: the stack ``mcp-before``."""


def before() -> Path | None:
    """The other checkout."""
    return Path(folder) if (folder := os.environ.get(BEFORE)) else None


def python(venv: str) -> Path:
    """The interpreter of a peer's virtualenv, created, or updated, on demand.

    Raises:
        RuntimeError: uv is missing, or the virtualenv could not be created.
    """
    if not venv:
        return Path(sys.executable)
    wanted = (HERE / "requirements" / f"{venv}.txt").read_text()
    folder = HERE / ".venv" / venv
    marker = folder / ".made"
    if not marker.exists() or marker.read_text() != wanted:
        _make(folder, HERE / "requirements" / f"{venv}.txt")
        marker.write_text(wanted)
    return folder / "bin" / "python"


def _make(folder: Path, requirements: Path) -> None:
    uv = shutil.which(ROOT / ".venv-uv" / "uv" / "bin" / "uv") or shutil.which("uv")
    if uv is None:
        message = "bench needs uv for the peers' virtualenvs; ./run setup brings it"
        raise RuntimeError(message)
    base: str = getattr(sys, "_base_executable", sys.executable)
    for command in (
        [uv, "venv", "--quiet", "--clear", "--no-project", "--python", base, str(folder)],
        [uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), "-r", str(requirements)],
    ):
        if subprocess.run(command, check=False).returncode:  # noqa: S603 -- uv, with arguments from here
            message = f"{' '.join(command)} failed; its own words are above"
            raise RuntimeError(message)
