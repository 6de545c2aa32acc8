"""CPU time and memory of processes and their descendants, from /proc."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple

PROC: Final = Path("/proc")
_TICK = os.sysconf("SC_CLK_TCK")


class Family(NamedTuple):
    """A worker, or a server with a process pool, by generation.

    Attributes:
        head: the process itself.
        zygotes: its own children: our zygote, a pool's processes or fork server.
        children: all further descendants.
    """

    head: int
    zygotes: list[int]
    children: list[int]

    @classmethod
    def of(cls, pid: int, proc: Path = PROC) -> Family:
        """The living family of a process."""
        zygotes = _children(pid, proc)
        return cls(pid, zygotes, [member for zygote in zygotes for member in family(zygote, proc)[1:]])


def family(pid: int, proc: Path = PROC) -> list[int]:
    """A process and all its living descendants."""
    found, last = [pid], 0
    while last < len(found):
        found += _children(found[last], proc)
        last += 1
    return found


def cpu_seconds(pid: int, proc: Path = PROC) -> float:
    """CPU time of a process and its descendants, the ended ones included."""
    return sum(sum(_cpu_times(member, proc)) for member in family(pid, proc))


def own_cpu_seconds(pid: int, proc: Path = PROC) -> float:
    """CPU time of a process alone."""
    return _cpu_times(pid, proc)[0]


def memory_mib(pid: int, *, whole_family: bool = False, proc: Path = PROC) -> float:
    """Proportional set size: pages shared with others count in part."""
    members = family(pid, proc) if whole_family else [pid]
    lines = [line for member in members for line in _read(proc / str(member) / "smaps_rollup").splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def _children(pid: int, proc: Path) -> list[int]:
    return [int(child) for task in proc.glob(f"{pid}/task/*/children") for child in _read(task).split()]


def _cpu_times(pid: int, proc: Path) -> tuple[float, float]:
    """CPU seconds of the process itself, and of its children that have ended and were waited for."""
    fields = _read(proc / str(pid) / "stat").rpartition(")")[2].split()
    user, system, user_of_ended, system_of_ended = map(int, fields[11:15]) if fields else (0, 0, 0, 0)
    return (user + system) / _TICK, (user_of_ended + system_of_ended) / _TICK


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it ended meanwhile
        return ""
