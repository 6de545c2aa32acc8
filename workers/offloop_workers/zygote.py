"""The process that children are forked from: everything heavy is loaded and has run once; nothing else happens here.

It speaks fixed-size messages over the control socket it is started with::

    worker → zygote   F + a socket   fork a child that serves this socket
                      K pid          kill that child
    zygote → worker   R              ready to fork
                      P pid          forked, answers to F come in order
                      X pid, status  a child has ended (`os.waitstatus_to_exitcode`)

It is the only parent of the children, so that a pid it kills cannot belong to somebody else by then. It forks, so it
must stay single-threaded; it says so and refuses to start where a library has started a thread.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import sys
from typing import Final, NoReturn

from offloop import logs, settings
from offloop_workers import child, kernel, warm, works

MESSAGE: Final = struct.Struct("!cii")


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
    known = works.load(configured.job_modules, queues=queues.split(","))
    warm.warm(queues.split(","))
    if (count := warm.threads()) > 1:
        sys.exit(f"a job module or library started {count - 1} thread(s) on import; children cannot be forked safely")
    control.sendall(MESSAGE.pack(b"R", 0, 0))
    with contextlib.suppress(ConnectionError):
        _serve(control, known)


def _serve(control: socket.socket, known: child.Works) -> None:
    woken, wakes = socket.socketpair()
    for end in (woken, wakes):
        end.settimeout(0)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
    alive: set[int] = set()
    while True:
        ready, _, _ = select.select([control, woken], [], [])
        if woken in ready:
            woken.recv(4096)
            _reap(control, alive)
        if control in ready and not _obey(control, known, alive, close=(woken, wakes)):
            return


def _obey(control: socket.socket, known: child.Works, alive: set[int], *, close: tuple[socket.socket, ...]) -> bool:
    message, descriptors, _, _ = socket.recv_fds(control, MESSAGE.size, 1)
    if not message:
        return False
    while len(message) < MESSAGE.size:
        message += control.recv(MESSAGE.size - len(message))
    order, pid, _ = MESSAGE.unpack(message)
    if order == b"F":
        sock = socket.socket(fileno=descriptors[0])
        sock.settimeout(None)
        pid = os.fork()
        if pid == 0:
            _become_child(sock, known, close=(control, *close))
        sock.close()
        alive.add(pid)
        control.sendall(MESSAGE.pack(b"P", pid, 0))
    elif pid in alive:
        os.kill(pid, signal.SIGKILL)
    return True


def _become_child(sock: socket.socket, known: child.Works, *, close: tuple[socket.socket, ...]) -> NoReturn:
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for other in close:
            other.close()
        child.serve(sock, known)
        code = 0
    finally:
        os._exit(code)  # without the zygote's exit handlers


def _reap(control: socket.socket, alive: set[int]) -> None:
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            pid, status = ended
            alive.discard(pid)
            control.sendall(MESSAGE.pack(b"X", pid, os.waitstatus_to_exitcode(status)))


if __name__ == "__main__":
    main(sys.argv[1:])
