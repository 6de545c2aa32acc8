"""Processes that tests start: ended with their parent, logging to a file, marked through the environment."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from offloop.processes.parent_death import die_with_parent_command

SESSION = "TESTS_SESSION"
"""Environment variable that every process begun by one run of the tests inherits."""
STACK = "TESTS_STACK"
"""The same for the processes of one stack."""


class Process:
    """One started program.

    Args:
        name: as failures call it.
        command: what to run; its first word is an absolute path.
        environment: all of it.
        log: where its output goes.
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

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._popen.poll() is None

    @property
    def said(self) -> str:
        """All it has written so far."""
        return self.log.read_text(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; none where it has ended."""
        self._popen.send_signal(number)

    def stop(self, seconds: float = 10.0) -> int:
        """Ask it to end, as a supervisor would; returns how it ended (negative: by that signal).

        Raises:
            AssertionError: it did not end in time; it is then killed.
        """
        self._popen.terminate()
        return self.wait(seconds)

    def wait(self, seconds: float = 10.0) -> int:
        """Wait for it to end; returns how it ended (negative: by that signal).

        Raises:
            AssertionError: it did not end in time; it is then killed.
        """
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            message = f"{self.name} did not end within {seconds:g} s; it said:\n{self.said[-3000:]}"
            raise AssertionError(message) from None

    def kill(self) -> None:
        """End it the hard way."""
        self._popen.kill()
        self._popen.wait()


def marked(name: str, value: str) -> dict[int, str]:
    """Living processes, other than this one, in whose environment the variable has that value: pid → command line."""
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


def alive(pid: int) -> bool:
    """Whether a process runs; a dead one whose parent has not noticed does not count."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def gone(pids: Iterable[int], seconds: float = 5) -> bool:
    """Whether they all end within some seconds: the kernel takes a moment to end what was killed."""
    deadline = time.monotonic() + seconds
    left = list(pids)
    while (left := [pid for pid in left if alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not left


def wait_gone(name: str, value: str, seconds: float = 5.0) -> dict[int, str]:
    """Wait until no process carries the mark; returns those that still do at the end."""
    end = time.monotonic() + seconds
    while (left := marked(name, value)) and time.monotonic() < end:
        time.sleep(0.02)
    return left


def listening_ports(pid: int) -> list[int]:
    """The TCP ports on which a process listens; so it can take a free one, and no test guesses."""
    sockets = set()
    with contextlib.suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                sockets.add(str(descriptor.readlink()))
    ports = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, *rest = line.split()
        if state == "0A" and f"socket:[{rest[5]}]" in sockets:
            ports.append(int(local.rpartition(":")[2], 16))
    return ports
