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
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from offloop.job import Limits

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_MIB: Final = 1 << 20


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when `parent` dies; exit at once where it already has."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def give_up_privileges() -> None:
    """No program started from here can gain rights (set-user-id and the like)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def yield_to_others() -> None:
    """Run at a lower priority than front ends, and be what the kernel ends first when memory runs out."""
    with contextlib.suppress(OSError):
        os.nice(5)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("800")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def cap(limits: Limits) -> None:
    """Cap this process for one attempt: address space, CPU time and the size of a file, counted from where it is now.

    Only the soft limits move, so that the next attempt in the same child gets its own.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    _soft(resource.RLIMIT_CPU, math.ceil(used.ru_utime + used.ru_stime + limits.seconds) + 1)
    _soft(resource.RLIMIT_FSIZE, limits.output_mb * _MIB)
    with contextlib.suppress(OSError):
        with open("/proc/self/statm", "rb", 0) as statm:  # noqa: PTH123 -- for every attempt; pathlib takes four times as long
            pages = int(statm.read(64).split()[0])
        _soft(resource.RLIMIT_AS, pages * resource.getpagesize() + limits.memory_mb * _MIB)


def _soft(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(which, (value, hard))
