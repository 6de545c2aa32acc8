"""Folders of stacks and clusters: removed at their end, or kept if a test failed (``--keep-stacks``)."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

_NAME_CHARACTERS = 80


@dataclass(slots=True)
class Folders:
    """Folders of this process of pytest.

    Attributes:
        destination: where those of failed tests are kept; None removes all.
        failed: failures so far.
    """

    destination: Path | None = None
    failed: int = 0
    _opened: dict[Path, int] = field(default_factory=dict)
    """The value of `failed` when each folder in use was created."""
    _moved: dict[Path, int] = field(default_factory=dict)
    """The same of those that were moved to the destination and are not judged yet."""

    def opened(self, folder: Path) -> None:
        """Note that a stack or cluster uses a folder from now on."""
        self._opened[folder] = self.failed

    def discard(self, folder: Path) -> None:
        """Remove a folder; with a destination, move it there until `judge`, for the test may fail later."""
        before = self._opened.pop(folder, self.failed)
        if self.destination and folder.exists():
            test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition("/")[2].partition(" ")[0]
            name = re.sub(r"[^\w.-]+", "-", test)[:_NAME_CHARACTERS]
            target = self.destination / f"{name}-{os.getpid()}-{folder.name}"
            self.destination.mkdir(parents=True, exist_ok=True)
            shutil.move(folder, target)
            self._moved[target] = before
        shutil.rmtree(folder, ignore_errors=True)

    def judge(self) -> None:
        """Remove the moved folders during whose use no test has failed."""
        for folder, before in self._moved.items():
            if self.failed == before:
                shutil.rmtree(folder)
        self._moved.clear()


FOLDERS = Folders()
