"""Landlock domain of a child (Linux 5.13 and later): access to files, TCP, signals.

A process in a Landlock domain cannot read the memory or environment of a process outside it, whatever user they run as.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
CALLS: Final = {"landlock_create_ruleset": 444, "landlock_add_rule": 445, "landlock_restrict_self": 446}
"""Numbers of the system calls, equal on every machine."""

_CREATE, _ADD, _RESTRICT = CALLS.values()
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
"""All access rights to files, by the first version of Landlock that has them."""
_EVERY_RIGHT: Final = (1 << 16) - 1

_TCP: Final = 0b11
_TCP_SINCE: Final = 4
_SCOPES: Final = 0b11  # abstract sockets, signals
_SCOPES_SINCE: Final = 6
SHUTS_OUT_SINCE: Final = 2
"""The first version that can isolate a process from others without restricting its files."""


@dataclass(frozen=True, slots=True)
class Files:
    """The files that stay accessible.

    Attributes:
        read: readable files and folders.
        write: folders that are writable too.
    """

    read: Iterable[str]
    write: Iterable[str]


def version() -> int:
    """The kernel's version of Landlock; 0 for none."""
    if sys.platform != "linux":
        return 0
    return max(0, int(_LIBC.syscall(_CREATE, None, ctypes.c_size_t(0), _VERSION)))


def restrict(known: int, *, network: bool, files: Files | None) -> None:
    """Put this thread, and those it starts, into a domain of their own, irrevocably; needs ``PR_SET_NO_NEW_PRIVS``.

    Args:
        known: the version of Landlock to use, at most the kernel's.
        network: allow TCP.
        files: the only files that stay accessible; without it, all that the user may access.

    Raises:
        OSError: the kernel refused the domain.
    """
    tcp = _TCP if known >= _TCP_SINCE and not network else 0
    scopes = _SCOPES if known >= _SCOPES_SINCE else 0
    rights = _handled_rights(known, files=files is not None, otherwise=bool(tcp or scopes))
    if not (rights or tcp or scopes):
        return
    ruleset = _ruleset(known, rights, tcp, scopes)
    try:
        for path, allowed in _rules(files):
            if rights:
                _allow(ruleset, path, rights & allowed)
        if _syscall(_RESTRICT, ruleset, 0):
            raise OSError(ctypes.get_errno(), "Landlock refused the domain")
    finally:
        os.close(ruleset)


def _handled_rights(known: int, *, files: bool, otherwise: bool) -> int:
    """The file rights that the domain denies unless a rule allows them.

    Args:
        known: the version of Landlock to use.
        files: files are to be restricted.
        otherwise: the domain restricts something else already.
    """
    if files:
        return max(rights for since, rights in _EVERYTHING.items() if since <= known)
    # A domain must handle some right. Handling moves, and allowing them everywhere, leaves files as they are; version 1
    # has no right of this kind.
    return _MOVE if known >= SHUTS_OUT_SINCE and not otherwise else 0


def _rules(files: Files | None) -> Iterator[tuple[str, int]]:
    """Paths, and the rights that the domain has beneath them."""
    if files is None:
        yield "/", _EVERY_RIGHT
        return
    for path in files.read:
        yield path, _READ
    for path in files.write:
        yield path, _WRITE


def _ruleset(known: int, *handled: int) -> int:
    size = 8 * (3 if known >= _SCOPES_SINCE else 2 if known >= _TCP_SINCE else 1)
    attributes = ctypes.create_string_buffer(struct.pack("=QQQ", *handled)[:size], size)
    ruleset = _syscall(_CREATE, attributes, ctypes.c_size_t(size), 0)
    if ruleset < 0:
        raise OSError(ctypes.get_errno(), "Landlock refused the rules")
    return ruleset


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # a path that does not exist, or cannot be reached, needs no rule
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
