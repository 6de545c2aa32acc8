"""Warm-up of the zygote: loads the families and runs each once before the first fork."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable
from pathlib import Path

from offloop import logs
from offloop_workers.children import registry

_log = logs.get(__name__)
_STATUS = Path("/proc/self/status")


def warm(queues: Iterable[str]) -> None:
    """Let each family that these queues need do a small piece of its work, and freeze what that loaded.

    A fork copies only the thread that calls it, so the process must have no other: one that held a lock would leave
    it locked in every child. A family that cannot warm up is logged; its jobs fail one by one, with their reasons.
    """
    for family in registry.families(queues):
        try:
            for module in registry.modules(family):
                if callable(prepare := getattr(module, "warm", None)):
                    prepare()
        except Exception as error:  # noqa: BLE001 -- one family must not keep the worker from serving the others
            _log.warning("a family could not warm up", family=family, error=f"{type(error).__name__}: {error}")
    # Collected, then kept out of later collections: children share these pages with their parent until they touch them.
    gc.collect()
    gc.freeze()


def lasting_threads(seconds: float = 5.0) -> int:
    """Number of threads of this process, those of C libraries included; 1 if the system does not report it.

    Args:
        seconds: time for threads to end: that of Pango ends a moment after its last font map was collected.
    """
    end = time.monotonic() + seconds
    while (count := _threads()) > 1 and time.monotonic() < end:
        time.sleep(0.01)
    return count


def _threads() -> int:
    if not _STATUS.exists():
        return 1
    lines = _STATUS.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Threads:"))
