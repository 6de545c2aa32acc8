"""Ticks: a call every so many seconds while the main thread computes."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def every(seconds: float, call: Callable[[], None]) -> Iterator[bool]:
    """Call again and again until the block ends, between two instructions of the main thread.

    The timer of the process is used, since a thread would cost address space that counts as memory of the job. An alarm
    that was set before rings afterwards. Yields whether there are ticks: in another thread there are none.
    """
    if threading.current_thread() is not threading.main_thread():
        yield False
        return
    began = time.monotonic()
    handler = signal.signal(signal.SIGALRM, lambda *_: call())
    signal.siginterrupt(signal.SIGALRM, False)  # noqa: FBT003 -- C libraries need not expect EINTR
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield True
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - began), 0.001), interval)
