"""What the kernel is asked for, so that a child is capped, is the first to go, and never outlives its parent.

Each request is best effort: where a system has no such thing, the name of what is missing is returned, and the worker
logs it once.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import resource
import signal
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from offloop.kinds.limits import Limits

_LIBC: Final = ctypes.CDLL(None)
_PR_SET_PDEATHSIG: Final = 1
_PR_GET_DUMPABLE: Final = 3
_PR_SET_DUMPABLE: Final = 4
_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_SET_NO_NEW_PRIVS: Final = 38
_CAPABILITY_VERSION: Final = 0x2008_0522
_FILE_CAPABILITIES: Final = 0b1111
"""CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER: what lets a worker run by root read its inputs."""

_SPARE_PROCESSES: Final = 2048
_LAST_WORDS: Final = 5
"""Seconds of CPU time between the signal that tells of the limit and the one that cannot be ignored."""
_MIB: Final = 1 << 20


def die_with_parent(parent: int, signal_number: int = signal.SIGKILL) -> None:
    """Have the kernel signal this process when `parent` dies; exit at once where it already has."""
    _prctl(_PR_SET_PDEATHSIG, signal_number)
    if os.getppid() != parent:
        os._exit(0)


def give_up_privileges() -> None:
    """No program started from here can gain rights, and root keeps only those over files."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    with contextlib.suppress(OSError, AttributeError):
        header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION, 0))
        rights = (ctypes.c_uint32 * 6)()  # two times effective, permitted, inheritable
        if _LIBC.capget(header, rights) == 0:
            kept = rights[1] & _FILE_CAPABILITIES
            rights[:] = [kept, kept, 0, 0, 0, 0]
            _LIBC.capset(header, rights)


def adopt_orphans() -> None:
    """Descendants whose parent ends become children of this process, not of the system's first."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def hide() -> None:
    """Nobody but root may look into this process: its memory, its environment."""
    _prctl(_PR_SET_DUMPABLE, 0)


def children_of(pid: int) -> list[int]:
    """The children of a process with one thread; none where the system does not tell."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def family(leader: int) -> Iterator[int]:
    """A process, and all that it has started, whichever of their threads did."""
    waiting = [leader]
    while waiting:
        yield (pid := waiting.pop())
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                waiting += map(int, children.read_text().split())


def end_group(leader: int) -> None:
    """Kill what is left of a process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def bound_processes() -> None:
    """Cap how many processes this user may have, well above those of now; the kernel exempts root."""
    mine = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_uid == os.getuid():
                mine += sum(1 for _ in (folder / "task").iterdir())
    with contextlib.suppress(OSError, ValueError):
        most = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        _limit(resource.RLIMIT_NPROC, mine + _SPARE_PROCESSES, None, most)


def yield_to_others() -> None:
    """Run at a lower priority than front ends, and be what the kernel ends first when memory runs out."""
    with contextlib.suppress(OSError):
        os.nice(10)
    hidden = _prctl(_PR_GET_DUMPABLE, 0) == 0
    if hidden:
        _prctl(_PR_SET_DUMPABLE, 1)  # who is hidden may not even change its own standing
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("800")
    if hidden:
        hide()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Caps:
    """The caps of this process for one attempt after the other: address space, CPU time and the size of a file.

    They count from where the process is when they are put on. That takes longer than a short job, and the next job is
    mostly of the kind of the last one, so they can be put on before it has come.
    """

    def __init__(self) -> None:
        self._most = {
            which: resource.getrlimit(which)[1]
            for which in (resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_AS)
        }
        self._ready: Limits | None = None

    def prepare(self, limits: Limits) -> None:
        """Put them on for an attempt that may come, and may be another one."""
        self._put_on(limits, last=False)
        self._ready = limits

    def cap(self, limits: Limits, *, last: bool = False) -> None:
        """Put them on for one attempt.

        Args:
            limits: of the attempt.
            last: nothing is done here afterwards, so the hard limits move too and nobody can lift them again. Without
                it only the soft ones do, so that the next attempt in the same child gets its own.
        """
        if last or limits != self._ready:
            self._put_on(limits, last=last)
        self._ready = None  # the attempt may change them

    def _put_on(self, limits: Limits, *, last: bool) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        seconds = math.ceil(used.ru_utime + used.ru_stime + limits.seconds) + 1
        # At the hard limit of CPU time the kernel kills without a word; the soft one tells what it was.
        self._limit(resource.RLIMIT_CPU, seconds, seconds + _LAST_WORDS if last else None)
        size = limits.output_mb * _MIB
        self._limit(resource.RLIMIT_FSIZE, size, size if last else None)
        with contextlib.suppress(OSError):
            with open("/proc/self/statm", "rb", 0) as statm:  # noqa: PTH123 -- for every attempt; pathlib takes four times as long
                pages = int(statm.read(64).split()[0])
            space = pages * resource.getpagesize() + limits.memory_mb * _MIB
            self._limit(resource.RLIMIT_AS, space, space if last else None)

    def _limit(self, which: int, soft: int, hard: int | None) -> None:
        """Set a soft limit and, where it is given, the hard one; never above the hard one there is."""
        _limit(which, soft, hard, self._most[which])


def _prctl(option: int, value: int) -> int:
    with contextlib.suppress(OSError, AttributeError):
        return int(_LIBC.prctl(option, value, 0, 0, 0))
    return -1


def _limit(which: int, soft: int, hard: int | None, most: int) -> None:
    """Set a soft limit and, where it is given, the hard one, whose present value is `most`; never above that."""
    if most != resource.RLIM_INFINITY:
        soft = min(soft, most)
        hard = most if hard is None else min(hard, most)
    resource.setrlimit(which, (soft, most if hard is None else hard))
