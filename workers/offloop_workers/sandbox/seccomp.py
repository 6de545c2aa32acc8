"""Seccomp filter of a child: a BPF program, assembled here and installed once for the life of the process.

The filter is a denylist: an allowlist would break with the next version of a library, and the job would fail without a
visible reason. Refused are system calls that no job needs (tracing, other processes' memory, mounts, namespaces,
modules, keys, io_uring, System V IPC and message queues, which outlive their process, …), signals to processes outside
the job, sockets unless the kind declares ``network``, and, for strict kinds, new processes.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

_ARCHITECTURES: Final = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""The kernel's AUDIT_ARCH constant of each machine, and its column in the tables below."""

_OWN: Final = 0x7FFF_FFF5
"""Placeholder for the pid of the filtered process, above every possible pid."""

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_X32: Final = 0x4000_0000
_SET_MODE_FILTER: Final = 1
_ALLOW_SPECULATION: Final = 4  # older kernels otherwise slow the whole process down

_ALLOW: Final = 0x7FFF_0000
_ERRNO: Final = 0x0005_0000
_KILL_PROCESS: Final = 0x8000_0000

_LOAD: Final = 0x20
_EQUAL: Final = 0x15
_AT_LEAST: Final = 0x35
_ANY_BIT: Final = 0x45
_RETURN: Final = 0x06
_NUMBER: Final = 0
_ARCHITECTURE: Final = 4

_CLONE_THREAD: Final = 0x0001_0000
_CLONE_NAMESPACES: Final = 0x7E02_0000
_TERMINAL_INPUT: Final = (0x5412, 0x541C)  # TIOCSTI and TIOCLINUX inject input into the worker's terminal
_DEATH_SIGNAL: Final = 1
_SET_DUMPABLE: Final = 4  # a non-dumpable job would hide its open files from the worker

# Numbers of system calls on x86-64 and aarch64; None where the machine has no such call.
_REFUSED: Final = {
    "_sysctl": (156, None),
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "lookup_dcookie": (212, 18),
    "migrate_pages": (256, 238),
    "modify_ldt": (154, None),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "move_pages": (279, 239),
    "mq_open": (240, 180),
    "msgctl": (71, 187),
    "msgget": (68, 186),
    "msgrcv": (70, 188),
    "msgsnd": (69, 189),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "pivot_root": (155, 41),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "semctl": (66, 191),
    "semget": (64, 190),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "setpgid": (109, 154),  # with setsid: descendants stay in the job's process group, which is killed with the job
    "setsid": (112, 157),
    "settimeofday": (164, 170),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "shmget": (29, 194),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "tkill": (200, 130),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "uselib": (134, None),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
}
_NEW_PROCESSES: Final = {"execve": (59, 221), "execveat": (322, 281), "fork": (57, None), "vfork": (58, None)}
_BY_ARGUMENT: Final = {
    "clone": (56, 220),
    "clone3": (435, 435),
    "ioctl": (16, 29),
    "prctl": (157, 167),
    "seccomp": (317, 277),
    "socket": (41, 198),
}
_SIGNALS: Final = {
    "kill": (62, 129),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "tgkill": (234, 131),
}
_OWN_ONLY: Final = {
    "ioprio_set": (251, 30),
    "prlimit64": (302, 261),
    "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "setpriority": (141, 140),
}
"""Calls that a process may make about itself only."""
_PID_IS_SECOND: Final = frozenset({"ioprio_set", "setpriority"})
"""Calls of these whose second argument is the process, not the first."""


@dataclass(frozen=True, slots=True)
class Refusals:
    """System calls that a filter refuses beside those that every filter refuses.

    Attributes:
        sockets: new sockets of every family; `socketpair` stays allowed, since event loops need it.
        processes: new processes and programs; threads stay allowed.
        spared: pids that must not be signalled, the job's ancestors; with `processes`, a job signals only itself.
    """

    sockets: bool
    processes: bool
    spared: Sequence[int]


def column() -> int | None:
    """This machine's column in the tables of call numbers; None where no filter can be assembled."""
    if sys.platform != "linux" or sys.maxsize < 2**32:
        return None
    found = _ARCHITECTURES.get(os.uname().machine)
    return found[1] if found else None


def call_numbers(machine: str) -> dict[str, int]:
    """The number of every system call in the tables, on ``x86_64`` or ``aarch64``."""
    which = _ARCHITECTURES[machine][1]
    tables = _REFUSED | _NEW_PROCESSES | _BY_ARGUMENT | _SIGNALS | _OWN_ONLY
    return {name: number for name, numbers in tables.items() if (number := numbers[which]) is not None}


class Filter:
    """A filter, assembled before the fork, so that installing it takes only the kernel's time (0.2 ms).

    Raises:
        OSError: no filter is known for this machine.
    """

    def __init__(self, refusals: Refusals) -> None:
        which = column()
        if which is None:
            raise OSError(errno.ENOSYS, "no filter is known for this machine")
        self._seccomp = _BY_ARGUMENT["seccomp"][which]
        self._program = b"".join(struct.pack("=HBBI", *step) for step in _assemble(refusals, which))

    def install(self) -> None:
        """Filter this thread and those it starts, irrevocably; needs ``PR_SET_NO_NEW_PRIVS``.

        Raises:
            OSError: the kernel lacks seccomp filters, or an outer sandbox forbids them.
        """
        program = self._program.replace(struct.pack("=I", _OWN), struct.pack("=I", os.getpid()))
        steps = ctypes.create_string_buffer(program, len(program))
        # struct sock_fprog: a 16-bit count and a pointer, with the compiler's padding between them.
        header = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(steps)))
        if _LIBC.syscall(self._seccomp, _SET_MODE_FILTER, _ALLOW_SPECULATION, header):
            raise OSError(ctypes.get_errno(), "the filter was refused")


_Step = tuple[int, int, int, int]
"""One BPF instruction: code, jump if true, jump if false, operand."""


def _assemble(refusals: Refusals, which: int) -> list[_Step]:
    architecture = next(constant for constant, index in _ARCHITECTURES.values() if index == which)
    special = {name: numbers[which] for name, numbers in _BY_ARGUMENT.items()}
    steps: list[_Step] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        _refuse(errno.EPERM),
    ]
    refused = dict(_REFUSED) | (_NEW_PROCESSES if refusals.processes else {})
    for numbers in refused.values():
        if (number := numbers[which]) is not None:
            steps += _call(number, [_refuse(errno.EPERM)])
    # The flags of clone3 are behind a pointer, which a filter cannot follow; ENOSYS makes libc fall back to clone.
    steps += _call(special["clone3"], [_refuse(errno.ENOSYS)])
    steps += _call(special["clone"], _clone(threads_only=refusals.processes))
    steps += _call(special["ioctl"], _unless(1, _TERMINAL_INPUT))
    steps += _call(special["prctl"], _unless(0, [_DEATH_SIGNAL, _SET_DUMPABLE]))
    if refusals.sockets:
        steps += _call(special["socket"], [_refuse(errno.EACCES)])
    for name, pair in _OWN_ONLY.items():
        steps += _call(pair[which], _only(int(name in _PID_IS_SECOND), [0, _OWN]))
    for name, pair in _SIGNALS.items():
        steps += _call(pair[which], _signal(name, refusals))
    return [*steps, (_RETURN, 0, 0, _ALLOW)]


def _signal(name: str, refusals: Refusals) -> list[_Step]:
    if refusals.processes:
        return _only(0, [_OWN])
    # A negative pid is a process group, -1 every process.
    groups = [-1, *(-pid for pid in refusals.spared)] if name == "kill" else []
    return _unless(0, [*refusals.spared, *groups])


def _clone(*, threads_only: bool) -> list[_Step]:
    if threads_only:
        return [_argument(0), (_ANY_BIT, 1, 0, _CLONE_THREAD), _refuse(errno.EPERM), (_RETURN, 0, 0, _ALLOW)]
    return [_argument(0), (_ANY_BIT, 0, 1, _CLONE_NAMESPACES), _refuse(errno.EPERM), (_RETURN, 0, 0, _ALLOW)]


def _call(number: int, then: list[_Step]) -> list[_Step]:
    """The branch for one call; `then` must end in a return, since it overwrites the loaded number of the call."""
    return [(_EQUAL, 0, len(then), number), *then]


def _only(index: int, values: Iterable[int]) -> list[_Step]:
    """Allow the call only where an argument has one of some values."""
    allowed = list(values)
    tests = [(_EQUAL, len(allowed) - number, 0, value & 0xFFFF_FFFF) for number, value in enumerate(allowed)]
    return [_argument(index), *tests, _refuse(errno.EPERM), (_RETURN, 0, 0, _ALLOW)]


def _unless(index: int, values: Iterable[int]) -> list[_Step]:
    """Refuse the call where an argument has one of some values."""
    refused = list(values)
    tests = [(_EQUAL, len(refused) - number, 0, value & 0xFFFF_FFFF) for number, value in enumerate(refused)]
    return [_argument(index), *tests, (_RETURN, 0, 0, _ALLOW), _refuse(errno.EPERM)]


def _argument(index: int) -> _Step:
    # The lower half: pids, commands and flags have 32 bits, and both machines are little-endian.
    return (_LOAD, 0, 0, 16 + 8 * index)


def _refuse(code: int) -> _Step:
    return (_RETURN, 0, 0, _ERRNO | code)
