"""The system calls a child may not make: a filter for the kernel, assembled here, put on once and never taken off.

The filter is a list of what is refused, not of what is allowed: libraries come with calls nobody foresaw, and a job
that fails for no visible reason helps nobody. Refused are the doors of the kernel that no job of any kind needs
(tracing, other processes' memory, mounts, namespaces, modules, keys, io_uring, shared memory and queues that outlive
their process, …), signals to processes that are not the job's own, sockets unless the kind may use the network, and,
where it is asked for, new processes.
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
"""The kernel's name of each machine, and its column in the tables below."""

_OWN: Final = 0x7FFF_FFF5
"""Stands for the process itself until it is known; no process has so high a number."""

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_X32: Final = 0x4000_0000
_SECCOMP: Final = (317, 277)
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
_TERMINAL_INPUT: Final = (0x5412, 0x541C)  # TIOCSTI and TIOCLINUX: they type for whoever started the worker
_DEATH_SIGNAL: Final = 1
_SET_DUMPABLE: Final = 4  # the worker must see what a job holds open

_NEVER: Final = {
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
    "setpgid": (109, 154),  # with setsid: what a job starts stays in its group, so that it can be ended with it
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
_START: Final = {"execve": (59, 221), "execveat": (322, 281), "fork": (57, None), "vfork": (58, None)}
_SOCKET: Final = (41, 198)
_CLONE: Final = (56, 220)
_CLONE3: Final = (435, 435)
_IOCTL: Final = (16, 29)
_PRCTL: Final = (157, 167)
_SIGNAL: Final = {
    "kill": (62, 129),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "tgkill": (234, 131),
}
_OWN_ONLY: Final = {
    # name: (number, number, which argument is the process)
    "ioprio_set": (251, 30, 1),
    "prlimit64": (302, 261, 0),
    "sched_setaffinity": (203, 122, 0),
    "sched_setattr": (314, 274, 0),
    "sched_setparam": (142, 118, 0),
    "sched_setscheduler": (144, 119, 0),
    "setpriority": (141, 140, 1),
}


@dataclass(frozen=True, slots=True)
class Refusals:
    """What a filter refuses beyond what no job may do.

    Attributes:
        sockets: new sockets of every family; pairs of connected ones stay, event loops are made of them.
        processes: new processes and programs; threads stay.
        spared: processes that no signal may reach, the job's ancestors; with `processes`, none but the job itself.
    """

    sockets: bool
    processes: bool
    spared: Sequence[int]


def column() -> int | None:
    """This machine's column in the tables of call numbers; None where there is none, and so no filter."""
    if sys.platform != "linux" or sys.maxsize < 2**32:
        return None
    found = _ARCHITECTURES.get(os.uname().machine)
    return found[1] if found else None


class Filter:
    """A filter, assembled before the fork so that putting it on costs only the kernel's own time (0.2 ms)."""

    def __init__(self, refusals: Refusals) -> None:
        """Assemble it for this machine.

        Raises:
            OSError: no filter is known for this machine.
        """
        which = column()
        if which is None:
            raise OSError(errno.ENOSYS, "no filter is known for this machine")
        self._call = _SECCOMP[which]
        self._program = b"".join(struct.pack("=HBBI", *step) for step in _assemble(refusals, which))

    def put_on(self) -> None:
        """Have the kernel filter this thread and those it starts, for good; needs ``PR_SET_NO_NEW_PRIVS``.

        Raises:
            OSError: the kernel has no such filters, or whoever started this process forbids them.
        """
        program = self._program.replace(struct.pack("=I", _OWN), struct.pack("=I", os.getpid()))
        steps = ctypes.create_string_buffer(program, len(program))
        # A struct of a 16-bit count and a pointer; the compiler pads between them.
        header = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(steps)))
        if _LIBC.syscall(self._call, _SET_MODE_FILTER, _ALLOW_SPECULATION, header):
            raise OSError(ctypes.get_errno(), "the filter was refused")


_Step = tuple[int, int, int, int]


def _assemble(refusals: Refusals, which: int) -> list[_Step]:
    architecture = next(name for name, place in _ARCHITECTURES.values() if place == which)
    steps: list[_Step] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        _refuse(errno.EPERM),
    ]
    refused = dict(_NEVER) | (_START if refusals.processes else {})
    for numbers in refused.values():
        if (number := numbers[which]) is not None:
            steps += _call(number, [_refuse(errno.EPERM)])
    steps += _call(_CLONE3[which], [_refuse(errno.ENOSYS)])  # its flags are out of reach; libc then uses clone
    steps += _call(_CLONE[which], _clone(threads_only=refusals.processes))
    steps += _call(_IOCTL[which], _unless(1, _TERMINAL_INPUT))
    steps += _call(_PRCTL[which], _unless(0, [_DEATH_SIGNAL, _SET_DUMPABLE]))
    if refusals.sockets:
        steps += _call(_SOCKET[which], [_refuse(errno.EACCES)])
    for *pair, place in _OWN_ONLY.values():
        steps += _call(pair[which], _only(place, [0, _OWN]))
    for name, numbers in _SIGNAL.items():
        steps += _call(numbers[which], _signal(name, refusals))
    return [*steps, (_RETURN, 0, 0, _ALLOW)]


def _signal(name: str, refusals: Refusals) -> list[_Step]:
    if refusals.processes:
        return _only(0, [_OWN])
    # A negative number is a process group, -1 is everybody.
    groups = [-1, *(-pid for pid in refusals.spared)] if name == "kill" else []
    return _unless(0, [*refusals.spared, *groups])


def _clone(*, threads_only: bool) -> list[_Step]:
    if threads_only:
        return [_argument(0), (_ANY_BIT, 1, 0, _CLONE_THREAD), _refuse(errno.EPERM), (_RETURN, 0, 0, _ALLOW)]
    return [_argument(0), (_ANY_BIT, 0, 1, _CLONE_NAMESPACES), _refuse(errno.EPERM), (_RETURN, 0, 0, _ALLOW)]


def _call(number: int, then: list[_Step]) -> list[_Step]:
    """What happens for one call; `then` must end it, for the number of the call is not at hand any more."""
    return [(_EQUAL, 0, len(then), number), *then]


def _only(place: int, values: Iterable[int]) -> list[_Step]:
    """Allow the call where an argument is one of some numbers."""
    wanted = list(values)
    tests = [(_EQUAL, len(wanted) - index, 0, value & 0xFFFF_FFFF) for index, value in enumerate(wanted)]
    return [_argument(place), *tests, _refuse(errno.EPERM), (_RETURN, 0, 0, _ALLOW)]


def _unless(place: int, values: Iterable[int]) -> list[_Step]:
    """Refuse the call where an argument is one of some numbers."""
    refused = list(values)
    tests = [(_EQUAL, len(refused) - index, 0, value & 0xFFFF_FFFF) for index, value in enumerate(refused)]
    return [_argument(place), *tests, (_RETURN, 0, 0, _ALLOW), _refuse(errno.EPERM)]


def _argument(place: int) -> _Step:
    # The lower half: processes, commands and flags are 32 bits wide, and both machines put it first.
    return (_LOAD, 0, 0, 16 + 8 * place)


def _refuse(code: int) -> _Step:
    return (_RETURN, 0, 0, _ERRNO | code)
