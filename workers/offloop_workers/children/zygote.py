"""Zygote: the process that children are forked from. Everything heavy is loaded and has run once, nothing else happens.

It speaks fixed-size messages over the control socket it is started with::

    worker → zygote   F + two files  fork a child that serves this socket and prints into this pipe
                      K pid          kill that child
    zygote → worker   R              ready to fork
                      P pid          forked, answers to F come in order
                      X pid, status  a child has ended (`os.waitstatus_to_exitcode`)

It is the only parent of the children, so that a pid it kills cannot have been reused. Because it forks, it must stay
single-threaded: where a library has started a thread it refuses to start, and says so.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Final, NoReturn

from offloop import logs, settings
from offloop.processes import data_stack
from offloop_workers.children import child, registry, warm
from offloop_workers.sandbox import kernel, landlock, policy

MESSAGE: Final = struct.Struct("!cii")
_END_SECONDS: Final = 5.0


def main(arguments: list[str]) -> None:
    """Warm up, then fork and reap until the worker is gone.

    Args:
        arguments: the number of the control socket's descriptor, the worker's pid, and the queues by comma.
    """
    control_fd, worker, queues = arguments
    kernel.die_with_parent(int(worker))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    control = socket.socket(fileno=int(control_fd))
    configured = settings.load()
    logs.configure(configured, role="child")
    kernel.give_up_privileges()
    kernel.adopt_orphans()
    kernel.bound_processes()
    known = registry.load(configured.job_modules, queues=queues.split(","))
    warm.warm(queues.split(","))
    if (count := warm.lasting_threads()) > 1:
        sys.exit(f"a job module or library started {count - 1} thread(s) on import; children cannot be forked safely")
    abilities = policy.probe()
    if abilities.missing:
        logs.get(__name__).warning("jobs are confined only in part here", missing="; ".join(abilities.missing))
    if abilities.landlock < landlock.SHUTS_OUT_SINCE:
        kernel.hide()
    confinement = policy.Sandbox(abilities, configured, [os.getpid(), int(worker)])
    nursery = _Nursery(control, lambda sock, pipe: child.serve(sock, pipe, known, confinement, configured.file_roots))
    control.sendall(MESSAGE.pack(b"R", 0, 0))
    # From here on SIGTERM, not SIGKILL, on the worker's death, so that children are ended first.
    kernel.die_with_parent(int(worker), signal.SIGTERM)
    with contextlib.suppress(ConnectionError):
        nursery.serve(int(worker))
    nursery.end()


class _Nursery:
    """The children that were forked and live."""

    def __init__(self, control: socket.socket, live: Callable[[socket.socket, int], None]) -> None:
        self._control = control
        self._live = live
        self._alive: set[int] = set()
        self._woken, self._wakes = socket.socketpair()
        for end in (self._woken, self._wakes):
            end.settimeout(0)

    def serve(self, worker: int) -> None:
        """Fork and reap until the worker is gone."""
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(self._wakes.fileno(), warn_on_full_buffer=False)
        while os.getppid() == worker:
            ready, _, _ = select.select([self._control, self._woken], [], [])
            if self._woken in ready:
                self._woken.recv(4096)
                self._reap()
            if self._control in ready and not self._obey():
                return

    def end(self) -> None:
        """Kill all children, and all that they have started."""
        for pid in self._alive:
            _kill(pid)
        deadline = time.monotonic() + _END_SECONDS
        with contextlib.suppress(ChildProcessError):
            while time.monotonic() < deadline:
                for pid in kernel.children_of(os.getpid()):
                    _kill(pid)
                os.waitpid(-1, 0)

    def _obey(self) -> bool:
        message, descriptors, _, _ = socket.recv_fds(self._control, MESSAGE.size, 2)
        if not message:
            return False
        while len(message) < MESSAGE.size:
            message += self._control.recv(MESSAGE.size - len(message))
        order, pid, _ = MESSAGE.unpack(message)
        if order == b"F":
            sock = socket.socket(fileno=descriptors[0])
            sock.settimeout(None)
            pid = os.fork()
            if pid == 0:
                self._become_child(sock, descriptors[1])
            sock.close()
            os.close(descriptors[1])
            self._alive.add(pid)
            self._control.sendall(MESSAGE.pack(b"P", pid, 0))
        elif pid in self._alive:
            _kill(pid)
        return True

    def _become_child(self, sock: socket.socket, pipe: int) -> NoReturn:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            for other in (self._control, self._woken, self._wakes):
                other.close()
            self._live(sock, pipe)
            code = 0
        finally:
            os._exit(code)  # without the zygote's exit handlers

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                pid = ended.si_pid
                if pid in self._alive:
                    kernel.end_group(pid)  # before its pid can be reused
                _, status = os.waitpid(pid, 0)
                if pid in self._alive:
                    self._alive.discard(pid)
                    self._control.sendall(MESSAGE.pack(b"X", pid, os.waitstatus_to_exitcode(status)))
        for stray in set(kernel.children_of(os.getpid())) - self._alive:
            _kill(stray)


def _kill(pid: int) -> None:
    """Kill a child of ours, and its group."""
    kernel.end_group(pid)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    # Below all that a child ever runs: forks inherit the chunk, and it does not count against the memory of a task.
    data_stack.with_room(lambda: main(sys.argv[1:]))
