"""Kernel controls of a process: resource limits, OOM score, privileges, parent-death signal, process groups.

Each control is best effort: it is left out where the system lacks it.
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
"""CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, which a worker run by root needs to read its inputs."""

_SPARE_PROCESSES: Final = 2048
_CPU_GRACE: Final = 5
"""Seconds of CPU time between the soft limit (SIGXCPU) and the hard limit (SIGKILL)."""
_MIB: Final = 1 << 20
_PAGE: Final = resource.getpagesize()
_NICE: Final = 10


def die_with_parent(parent: int, signal_number: int = signal.SIGKILL) -> None:
    """Set the parent-death signal of this process; exit if `parent` has died already."""
    _prctl(_PR_SET_PDEATHSIG, signal_number)
    if os.getppid() != parent:
        os._exit(0)


def give_up_privileges() -> None:
    """Set ``no_new_privs``, and drop all capabilities but those over files."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    with contextlib.suppress(OSError, AttributeError):
        header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION, 0))
        rights = (ctypes.c_uint32 * 6)()  # two times effective, permitted, inheritable
        if _LIBC.capget(header, rights) == 0:
            kept = rights[1] & _FILE_CAPABILITIES
            rights[:] = [kept, kept, 0, 0, 0, 0]
            _LIBC.capset(header, rights)


def adopt_orphans() -> None:
    """Make this process the subreaper of its descendants: orphans become its children, not those of init."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def hide() -> None:
    """Make this process non-dumpable: only root may read its memory and environment."""
    _prctl(_PR_SET_DUMPABLE, 0)


def children_of(pid: int) -> list[int]:
    """The child pids of a single-threaded process; none where ``/proc`` lacks them."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def family(leader: int) -> Iterator[int]:
    """The pids of a process and of all its descendants, those started by other threads included."""
    waiting = [leader]
    while waiting:
        yield (pid := waiting.pop())
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                waiting += map(int, children.read_text().split())


def end_group(leader: int) -> None:
    """Kill the remaining members of a process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def bound_processes() -> None:
    """Cap the number of this user's processes, well above the present one; the kernel exempts root."""
    mine = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_uid == os.getuid():
                mine += sum(1 for _ in (folder / "task").iterdir())
    with contextlib.suppress(OSError, ValueError):
        most = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        _limit(resource.RLIMIT_NPROC, mine + _SPARE_PROCESSES, None, most)


def yield_to_others() -> None:
    """Lower the CPU priority below that of front ends, and raise the OOM score so that this process is killed first.

    Where sessions are scheduled as groups (sched_autogroup, see sched(7)), the niceness of a process has no effect on
    other sessions; that of the group has. Without rights, the system grants one such change in a tenth of a second.
    """
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    if os.getsid(0) == os.getpid():  # else the group is that of others, too
        with contextlib.suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(_NICE))
    hidden = _prctl(_PR_GET_DUMPABLE, 0) == 0
    if hidden:
        _prctl(_PR_SET_DUMPABLE, 1)  # a non-dumpable process cannot write its own oom_score_adj
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("800")
    if hidden:
        hide()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Memory:
    """The memory that this process uses.

    Its file is opened once: later the sandbox may not let it be opened, and to read it again is one system call.
    """

    def __init__(self) -> None:
        self._statm = -1
        with contextlib.suppress(OSError):
            self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)

    def used(self) -> tuple[int, int]:
        """Bytes of address space and of resident memory.

        Raises:
            OSError: the system does not tell, or a job has closed the file.
            ValueError: a job has replaced the file.
        """
        space, resident, _ = os.pread(self._statm, 128, 0).split(maxsplit=2)
        return int(space) * _PAGE, int(resident) * _PAGE

    def space(self) -> int:
        """Bytes of address space, which is what the limit of a task counts; 0 where they are unknown."""
        try:
            return self.used()[0]
        except (OSError, ValueError):
            return 0


class Caps:
    """Resource limits of this process, set anew for each attempt: address space, CPU time and file size.

    The limits are relative to the present use of the process. Setting them takes longer than a short job, and the next
    job is mostly of the same kind as the last one, so they can be set before it arrives.

    Args:
        memory: of this process.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._most = {
            which: resource.getrlimit(which)[1]
            for which in (resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_AS)
        }
        self._ready: Limits | None = None

    def prepare(self, limits: Limits, space: int) -> None:
        """Set the limits in advance, for an attempt that is expected.

        Args:
            limits: of the attempt.
            space: bytes of address space that this process uses now.
        """
        self._set(limits, space, last=False)
        self._ready = limits

    def cap(self, limits: Limits, *, last: bool = False) -> None:
        """Set the limits of one attempt, unless they were set in advance.

        Args:
            limits: of the attempt.
            last: the last attempt of this process: the hard limits are lowered too, so that the job cannot lift them.
                Without it only the soft ones are, so that the next attempt can get its own.
        """
        if last or limits != self._ready:
            space = None
            with contextlib.suppress(OSError):
                space, _ = self._memory.used()
            self._set(limits, space, last=last)
        self._ready = None  # the attempt may change its soft limits

    def _set(self, limits: Limits, space: int | None, *, last: bool) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        seconds = math.ceil(used.ru_utime + used.ru_stime + limits.seconds) + 1
        # The hard limit of CPU time kills without a cause; the soft one sends SIGXCPU, which names it.
        self._limit(resource.RLIMIT_CPU, seconds, seconds + _CPU_GRACE if last else None)
        size = limits.output_mb * _MIB
        self._limit(resource.RLIMIT_FSIZE, size, size if last else None)
        if space is not None:
            space += limits.memory_mb * _MIB
            self._limit(resource.RLIMIT_AS, space, space if last else None)

    def _limit(self, which: int, soft: int, hard: int | None) -> None:
        """Set a soft limit and, where given, the hard one; never above the present hard limit."""
        _limit(which, soft, hard, self._most[which])


def _prctl(option: int, value: int) -> int:
    with contextlib.suppress(OSError, AttributeError):
        return int(_LIBC.prctl(option, value, 0, 0, 0))
    return -1


def _limit(which: int, soft: int, hard: int | None, most: int) -> None:
    """Set a soft limit and, where given, the hard one; never above the present hard limit, `most`."""
    if most != resource.RLIM_INFINITY:
        soft = min(soft, most)
        hard = most if hard is None else min(hard, most)
    resource.setrlimit(which, (soft, most if hard is None else hard))
