"""Child processes of tests: they die with the parent, log to a file, and carry a mark in their environment."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from offloop.processes.parent_death import die_with_parent_command
from support.waiting import until

STARTED: list[Process] = []
"""Processes in the order of their start; `support.failures` reports their logs and forgets the ended ones."""

SESSION = "TESTS_SESSION"
"""Environment variable that marks every process started by one test run."""
STACK = "TESTS_STACK"
"""Environment variable that marks the processes of one stack."""


def freeze(pid: int) -> None:
    """Stop a process that the caller started, and wait until all its threads have stopped, which may take a while.

    Its connections stay open and get no answer. `signal.SIGCONT` continues it.
    """
    os.kill(pid, signal.SIGSTOP)
    until(lambda: os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT | os.WNOHANG), "the process has stopped")


class Process:
    """A running program.

    Args:
        name: name in failure messages.
        command: the command; its first word is an absolute path.
        environment: the complete environment.
        log: file of standard output and error.
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                die_with_parent_command(command),
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.pid = self._popen.pid
        # The descriptor outlives the folder of the log: a report may come after its removal.
        self._reader = os.open(log, os.O_RDONLY)
        STARTED.append(self)

    @property
    def running(self) -> bool:
        """Whether the process still runs."""
        return self._popen.poll() is None

    @property
    def output(self) -> str:
        """Standard output and error so far."""
        return self.log.read_text(errors="replace")

    @property
    def written(self) -> int:
        """Bytes of output so far."""
        return os.fstat(self._reader).st_size

    def tail(self, size: int, begin: int = 0) -> str:
        """The whole lines among the last `size` bytes of the output, without the first `begin` bytes of it."""
        end = self.written
        start = max(begin, end - size)
        text = os.pread(self._reader, end - start, start).decode(errors="replace")
        return text if start == begin else text.partition("\n")[2]

    def forget(self) -> None:
        """Close the log; its output cannot be read any more."""
        os.close(self._reader)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; no error if the process has ended."""
        self._popen.send_signal(number)

    def stop(self, seconds: float = 10.0) -> int:
        """Send SIGTERM and wait; returns the exit code (negative: the signal).

        Raises:
            AssertionError: the process did not end in time; it is then killed.
        """
        self._popen.terminate()
        return self.wait(seconds)

    def wait(self, seconds: float = 10.0) -> int:
        """Wait for the end; returns the exit code (negative: the signal).

        Raises:
            AssertionError: the process did not end in time; it is then killed.
        """
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            message = f"{self.name} did not end within {seconds:g} s; its output:\n{self.output[-3000:]}"
            raise AssertionError(message) from None

    def kill(self) -> None:
        """Send SIGKILL and wait for the end."""
        self._popen.kill()
        self._popen.wait()

    @property
    def descendants(self) -> list[int]:
        """Process ids of all living descendants, depth first; a worker's zygote comes first, then its children."""
        return descendants_of(self.pid)


def inherited() -> dict[str, str]:
    """Environment of this process for one of an offloop under test: no settings, and bytecode is kept.

    Containers often set ``PYTHONDONTWRITEBYTECODE``. Then each start of a worker or front end compiles all its modules
    again: half of its CPU time.
    """
    left_out = ("OFFLOOP_", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if not name.startswith(left_out)}


def stop_all(processes: Iterable[Process], seconds: float = 10.0) -> dict[Process, int]:
    """Send SIGTERM to the running ones among these processes, then wait for all; returns their exit codes.

    Raises:
        AssertionError: a process did not end in time; it is then killed.
    """
    running = [process for process in processes if process.running]
    for process in running:
        process.signal(signal.SIGTERM)
    return {process: process.wait(seconds) for process in running}


def descendants_of(pid: int) -> list[int]:
    """Process ids of all living descendants, depth first."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            found += [int(child), *descendants_of(int(child))]
    return found


def marked(name: str, value: str) -> dict[int, str]:
    """Processes, other than this one, whose environment has the variable with that value: pid → command line."""
    found: dict[int, str] = {}
    wanted = f"{name}={value}".encode()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                found[int(folder.name)] = command[:200]
    return found


def kill_pid(pid: int) -> None:
    """Send SIGKILL to a process that a process of ours started."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie counts as ended."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def gone(pids: Iterable[int], seconds: float = 30) -> bool:
    """Whether all of them end within some seconds; the kernel takes a moment after SIGKILL."""
    deadline = time.monotonic() + seconds
    left = list(pids)
    while (left := [pid for pid in left if alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not left


def wait_gone(name: str, value: str, seconds: float = 5.0) -> dict[int, str]:
    """Wait until no process carries the mark; returns those left at the end."""
    end = time.monotonic() + seconds
    while (left := marked(name, value)) and time.monotonic() < end:
        time.sleep(0.02)
    return left


def listening_ports(pid: int) -> list[int]:
    """TCP ports on which a process listens, for processes that choose a free port themselves."""
    return [local for state, local, _ in _tcp_sockets(pid) if state == "0A"]


def connected_ports(pid: int) -> list[int]:
    """Remote TCP ports to which a process has a connection."""
    return [remote for state, _, remote in _tcp_sockets(pid) if state == "01"]


def _tcp_sockets(pid: int) -> Iterator[tuple[str, int, int]]:
    """State, local port and remote port of a process's IPv4 sockets."""
    sockets = set()
    with contextlib.suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                sockets.add(str(descriptor.readlink()))
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, *rest = line.split()
        if f"socket:[{rest[5]}]" in sockets:
            yield state, int(local.rpartition(":")[2], 16), int(remote.rpartition(":")[2], 16)
