"""A leash: a child process that ends when its parent does, even when the parent is killed with SIGKILL.

Linux keeps such a promise (``PR_SET_PDEATHSIG``), tied to the *thread* that made the child: start
die_with_parent_command commands from the main thread, or from one that lives as long as the child may. The promise is
made by a tiny program between fork and exec rather than by code in the forked copy of this process, which is not safe
once there are threads. Elsewhere there is no such promise; a command is then started as it is, and ends with an orderly
stop of its parent only.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

# The check of the parent comes after the promise: a parent that died in between would never be reported.
_FASTEN = """
import ctypes, os, signal, sys
parent, *command = sys.argv[1:]
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(parent):
    sys.exit(1)
try:
    os.execv(command[0], command)
except OSError as error:
    sys.exit(f"cannot run {command[0]}: {error.strerror}")
"""


def die_with_parent_command(command: Sequence[str]) -> tuple[str, ...]:
    """The command that runs `command`, whose first word is an absolute path, on a leash held by this process."""
    if sys.platform != "linux":
        return tuple(command)
    return (sys.executable, "-I", "-S", "-c", _FASTEN, str(os.getpid()), *command)
