"""CPU time and memory of processes and their descendants, from /proc."""

from __future__ import annotations

import os
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


def family(pid: int) -> list[int]:
    """A process and all its living descendants."""
    found, last = [pid], 0
    while last < len(found):
        for task in _PROC.glob(f"{found[last]}/task/*/children"):
            found += [int(child) for child in _read(task).split()]
        last += 1
    return found


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and its descendants, the ended ones included."""
    total = 0
    for member in family(pid):
        fields = _read(_PROC / str(member) / "stat").rpartition(")")[2].split()
        total += sum(map(int, fields[11:15])) if fields else 0
    return total / _TICK


def memory_mib(pid: int, *, whole_family: bool = False) -> float:
    """Proportional set size: pages shared with others count in part."""
    members = family(pid) if whole_family else [pid]
    lines = [line for member in members for line in _read(_PROC / str(member) / "smaps_rollup").splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it ended meanwhile
        return ""
