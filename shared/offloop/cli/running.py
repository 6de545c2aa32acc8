"""``up.json``: record of a running `offloop up` in its state folder, which other commands read."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

_NAME = "up.json"


@dataclass(frozen=True, slots=True)
class Running:
    """A running `offloop up`.

    Attributes:
        pid: process id.
        redis_url: URL of its Redis; may hold a password, so only the owner can read the file.
        endpoint: URL of its MCP endpoint.
    """

    pid: int
    redis_url: str
    endpoint: str

    def write(self, state_dir: Path) -> None:
        """Write the file."""
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = state_dir / f"{_NAME}.{self.pid}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(asdict(self), file)
        draft.replace(state_dir / _NAME)

    def remove(self, state_dir: Path) -> None:
        """Remove the file, unless another process has written its own since."""
        if find(state_dir) == self:
            with contextlib.suppress(OSError):
                (state_dir / _NAME).unlink()


def find(state_dir: Path) -> Running | None:
    """The `offloop up` that runs on this state folder; ``None`` without one."""
    try:
        found = Running(**json.loads((state_dir / _NAME).read_text()))
        os.kill(found.pid, 0)
    except PermissionError:
        return None  # the process belongs to another user
    except (OSError, ValueError, TypeError):
        return None  # no file, or one left by a killed process
    return found
