"""Parent-death signal: a child process that ends with its parent, even when the parent is killed with SIGKILL.

On Linux the kernel sends the signal (``PR_SET_PDEATHSIG``) when the *thread* that created the child ends: start these
commands from the main thread, or from one that outlives the child. A small program between fork and exec makes the
request; code in the forked copy of this process would not be safe once there are threads. Other systems have no such
signal: there the command runs unchanged and ends only when its parent stops it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

# The parent is checked after the request: if it died in between, no signal is ever sent.
_LAUNCHER = """
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
    """A command that runs `command`, which starts with an absolute path, and dies with this process."""
    if sys.platform != "linux":
        return tuple(command)
    return (sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *command)
