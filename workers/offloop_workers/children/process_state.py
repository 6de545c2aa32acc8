"""Process-global state that a job may change: restored before the next job, or reported where it cannot be.

Modules that a job imported, and their caches, stay: that is what reusing a child is for. What libraries leak stays too,
so a process that has grown is not reused.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # typeshed leaves it out
import contextlib
import decimal
import gc
import locale
import os
import random
import resource
import signal
import socket
import sys
import tempfile
import threading
from typing import Any, Final

from offloop_workers.sandbox import kernel

_SIGNALS: Final = [
    getattr(signal, f"SIG{name}")
    for name in ("HUP", "INT", "QUIT", "USR1", "USR2", "PIPE", "ALRM", "TERM", "CHLD", "VTALRM", "PROF", "XCPU", "XFSZ")
]
"""Signals that programs set handlers for; each costs a third of a microsecond a job."""
_TIMERS: Final = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
_CAPPED: Final = (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE)

GROWN_MIB: Final = 128
"""Memory growth since before its first job, up to which a process is used again."""


class ProcessState:
    """A snapshot of this process, taken before its first job.

    Args:
        memory: of this process.

    Attributes:
        space: bytes of address space at the snapshot or the last `restore`.
    """

    def __init__(self, memory: kernel.Memory) -> None:
        self._environment = dict(os.environ)
        self._encoded = dict(_encoded())
        # Of the module below: `signal` looks for an enum's member to wrap each answer in, a microsecond each.
        self._handlers = [(number, _signal.getsignal(number)) for number in _SIGNALS]
        self._folder = os.getcwd()  # noqa: PTH109 -- a Path is converted to text again at each `chdir`
        self._mask = _umask()
        self._temporary = tempfile.tempdir
        self._locale = locale.setlocale(locale.LC_ALL)
        self._streams = sys.stdin, sys.stdout, sys.stderr
        self._depth = sys.getrecursionlimit()
        self._thresholds, self._callbacks = gc.get_threshold(), list(gc.callbacks)
        self._fixed = self._irreversible()
        self._memory = memory
        self.space, resident = memory.used()
        self._most = resident + (GROWN_MIB << 20)

    def restore(self) -> bool:
        """Restore what was changed; answers whether all is as before. If not, the next job needs another process.

        Threads and processes that outlived the job are reported by `has_survivors`.
        """
        if _encoded() != self._encoded:
            os.environ.clear()
            os.environ.update(self._environment)
        for timer in _TIMERS:
            signal.setitimer(timer, 0)
        for number, handler in self._handlers:
            if _signal.getsignal(number) is not handler:
                signal.signal(number, handler)
        _signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.umask(self._mask)
        tempfile.tempdir = self._temporary
        sys.stdin, sys.stdout, sys.stderr = self._streams
        sys.setrecursionlimit(self._depth)
        gc.enable()
        gc.set_threshold(*self._thresholds)
        gc.set_debug(0)
        gc.callbacks[:] = self._callbacks
        socket.setdefaulttimeout(None)
        decimal.setcontext(decimal.Context())
        random.seed(int.from_bytes(os.urandom(16)))  # bytes would be hashed first
        try:
            if locale.setlocale(locale.LC_ALL) != self._locale:
                locale.setlocale(locale.LC_ALL, self._locale)
            os.chdir(self._folder)
            self.space, resident = self._memory.used()
        except (OSError, ValueError, IndexError, locale.Error):  # a job may have closed or replaced anything
            return False
        return resident <= self._most and self._irreversible() == self._fixed

    def _irreversible(self) -> list[Any]:
        hard = [resource.getrlimit(which)[1] for which in _CAPPED]
        whole = [resource.getrlimit(which) for which in (resource.RLIMIT_NOFILE, resource.RLIMIT_STACK)]
        return [*hard, *whole, os.getpriority(os.PRIO_PROCESS, 0), os.getuid(), os.geteuid()]


def has_survivors() -> bool:
    """Whether Python threads or processes that a job started still run."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
        return True
    return threading.active_count() > 1


def _encoded() -> dict[Any, Any]:
    encoded: dict[Any, Any] = os.environ._data  # type: ignore[attr-defined]  # noqa: SLF001 -- a tenth of what decoding all of it takes
    return encoded


def _umask() -> int:
    mask = os.umask(0o77)
    os.umask(mask)
    return mask
