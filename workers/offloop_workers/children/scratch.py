"""Temporary folders of a worker, one for each attempt; those of a killed worker are deleted by the next one."""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Self


class Scratch:
    """The temporary folders of one worker: a context manager.

    A lock is held on the folder for as long as the process lives, so that another worker can recognise a forgotten one.
    """

    def __init__(self, parent: Path | None = None) -> None:
        self._parent = parent or Path(tempfile.gettempdir()) / f"offloop-{os.getuid()}"
        self._folder: Path | None = None
        self._lock = -1
        self._numbers = itertools.count()

    def __enter__(self) -> Self:
        """Make the worker's folder, and delete those that no living worker holds."""
        self._parent.mkdir(mode=0o700, exist_ok=True)
        parent = os.open(self._parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(parent, fcntl.LOCK_EX)  # a folder just made and not yet locked must not look forgotten
            self._sweep()
            self._folder = Path(tempfile.mkdtemp(dir=self._parent, prefix="worker-"))
            self._lock = os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        finally:
            os.close(parent)
        return self

    def __exit__(self, *_: object) -> None:
        """Delete the worker's folder. Safe to call twice."""
        if self._folder:
            _remove(self._folder)
            os.close(self._lock)
            self._folder = None

    def path(self, name: str) -> Path:
        """A path for the worker's own folder of that name; it does not exist yet."""
        return self._entered() / name

    def attempt(self) -> str:
        """A path for one attempt's folder; it does not exist yet, and most attempts never make it."""
        return f"{self._entered()}/attempt-{next(self._numbers)}"

    def _entered(self) -> Path:
        if self._folder is None:
            message = "enter the scratch before asking it for paths"
            raise RuntimeError(message)
        return self._folder

    def _sweep(self) -> None:
        for folder in self._parent.glob("worker-*"):
            try:
                lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(folder)
            except BlockingIOError:
                pass  # its worker lives
            finally:
                os.close(lock)


def _remove(folder: Path) -> None:
    """Delete a folder, again where a child that was killed this very moment still put something into it."""
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.01)
