"""Processes of offloop as they are deployed: its own commands."""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def become(*arguments: str, **settings: str) -> NoReturn:
    """Turn this process into a command of offloop; its id stays the same.

    Args:
        arguments: the command and its options.
        settings: the environment beyond what the process has, such as ``OFFLOOP_SLOTS="1"``.
    """
    os.execve(sys.executable, [sys.executable, "-m", "offloop", *arguments], {**os.environ, **settings})  # noqa: S606 -- arguments from here
