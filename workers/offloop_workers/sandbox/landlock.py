"""Which files a child may touch, which processes it may signal, and that it dials nobody: Landlock, from Linux 5.13 on.

A process in a Landlock domain cannot look into one outside (its memory, its environment), whatever user they run as.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_CREATE: Final = 444  # the same numbers on every machine
_ADD: Final = 445
_RESTRICT: Final = 446
_VERSION: Final = 1
_BENEATH: Final = 1

_WRITE_FILE: Final = 1 << 1
_READ_FILE: Final = 1 << 2
_READ_FOLDER: Final = 1 << 3
_REMOVE: Final = 1 << 4 | 1 << 5
_MAKE: Final = 1 << 7 | 1 << 8  # folders and regular files; no devices, sockets, pipes or links
_MOVE: Final = 1 << 13
_TRUNCATE: Final = 1 << 14
_READ: Final = _READ_FILE | _READ_FOLDER
_WRITE: Final = _READ | _WRITE_FILE | _REMOVE | _MAKE | _MOVE | _TRUNCATE
_OF_FILES: Final = _WRITE_FILE | _READ_FILE | _TRUNCATE | 1 << 15
_EVERYTHING: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""The rights over files, by the first version of Landlock that knows them."""

_TCP: Final = 0b11
_TCP_SINCE: Final = 4
_SCOPES: Final = 0b11  # abstract sockets, signals
_SCOPES_SINCE: Final = 6
SHUTS_OUT_SINCE: Final = 2
"""The first version that keeps a process from looking into others without also taking files from it."""


@dataclass(frozen=True, slots=True)
class Files:
    """The files that are left.

    Attributes:
        read: files and folders that may be read.
        write: folders that may be written too.
    """

    read: Iterable[str]
    write: Iterable[str]


def version() -> int:
    """Which version of Landlock the kernel has; 0 for none."""
    if sys.platform != "linux":
        return 0
    return max(0, int(_LIBC.syscall(_CREATE, None, ctypes.c_size_t(0), _VERSION)))


def restrict(known: int, *, network: bool, files: Files | None) -> None:
    """Put this thread, and those it starts, into a domain of their own, for good; needs ``PR_SET_NO_NEW_PRIVS``.

    Args:
        known: the version of Landlock to use, at most the kernel's.
        network: TCP connections may be made.
        files: the only files that may be touched; without it, all that the user may.

    Raises:
        OSError: the kernel refused.
    """
    handled = max((rights for since, rights in _EVERYTHING.items() if since <= known), key=int) if files else 0
    tcp = 0 if network or known < _TCP_SINCE else _TCP
    scopes = _SCOPES if known >= _SCOPES_SINCE else 0
    if not (handled or tcp or scopes):
        if known < SHUTS_OUT_SINCE:
            return  # a domain that leaves files alone cannot be said
        handled = _MOVE
    ruleset = _ruleset(known, handled, tcp, scopes)
    try:
        if files:
            for path in files.read:
                _allow(ruleset, path, handled & _READ)
            for path in files.write:
                _allow(ruleset, path, handled & _WRITE)
        elif handled:
            _allow(ruleset, "/", handled)
        if _syscall(_RESTRICT, ruleset, 0):
            raise OSError(ctypes.get_errno(), "Landlock refused the domain")
    finally:
        os.close(ruleset)


def _ruleset(known: int, *parts: int) -> int:
    size = 8 * (3 if known >= _SCOPES_SINCE else 2 if known >= _TCP_SINCE else 1)
    attributes = ctypes.create_string_buffer(struct.pack("=QQQ", *parts)[:size], size)
    ruleset = _syscall(_CREATE, attributes, ctypes.c_size_t(size), 0)
    if ruleset < 0:
        raise OSError(ctypes.get_errno(), "Landlock refused the rules")
    return ruleset


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what does not exist, or cannot be reached, needs no permission
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= _OF_FILES
        rule = struct.pack("=Qi", rights, descriptor)
        if _syscall(_ADD, ruleset, _BENEATH, rule, 0) and ctypes.get_errno() != errno.EBADFD:
            raise OSError(ctypes.get_errno(), "Landlock refused a rule")
    finally:
        os.close(descriptor)


def _syscall(*arguments: object) -> int:
    return int(_LIBC.syscall(*arguments))
