"""Search for processes that outlive their test, cheap enough to run after every test."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from support.processes import SESSION, STACK, marked

_MARKS: Final = (f"{SESSION}=".encode(), f"{STACK}=".encode())
_READ: Final = frozenset({b""})
"""In the marks of every process whose environment need not be read again."""


class Strays:
    """Processes that carry the mark of a test run, and of no open stack.

    Reads the environment of each process only once: a process id is used again only after thousands of others, so from
    one search to the next it stays that of one process.
    """

    def __init__(self) -> None:
        self._own = Path("/proc/self/environ").read_bytes()
        self._marks: dict[int, frozenset[bytes]] = {}

    def found(self, run: str, stacks: Iterable[str]) -> dict[int, str]:
        """Search now, given the values of the marks: pid → command line."""
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 -- a Path takes three times as long
        self._marks = {pid: self._marks.get(pid) or self._read(pid) for pid in pids}
        ours, kept = _mark(SESSION, run), {_mark(STACK, stack) for stack in stacks}
        suspects = [pid for pid, marks in self._marks.items() if ours in marks and kept.isdisjoint(marks)]
        living = marked(SESSION, run) if suspects else {}  # a zombie keeps its id, but has no environment
        return {pid: living[pid] for pid in suspects if pid in living}

    def _read(self, pid: int) -> frozenset[bytes]:
        """Marks of a process; an empty set if they must be read again."""
        process = Path(f"/proc/{pid}")
        try:
            environment = (process / "environ").read_bytes()
            if not environment:
                (process / "exe").readlink()
        except OSError:  # a zombie, or a process of the kernel or of another user
            return _READ
        if environment in (b"", self._own):  # as long as it starts its program
            return frozenset()
        return _READ.union(one for one in environment.split(b"\0") if one.startswith(_MARKS))


def _mark(name: str, value: str) -> bytes:
    return f"{name}={value}".encode()
