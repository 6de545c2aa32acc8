"""The search for processes that outlive their test."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.processes import SESSION, STACK, alive
from support.strays import Strays
from support.waiting import until

RUN, STACKS = "a run", "a stack"
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts sleeping processes with an environment; they are killed after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(**environment: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(["/bin/sleep", "60"], env={"PATH": "/bin", **environment})
        started.append(process)
        environ = Path(f"/proc/{process.pid}/environ")
        until(lambda: b"PATH=/bin\0" in environ.read_bytes(), "the kernel has set its environment")
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()


def test_a_process_of_the_run_is_found_until_it_has_ended(start: Start) -> None:
    strays = Strays()
    assert strays.found(RUN, []) == {}
    process = start(**{SESSION: RUN})
    start(**{SESSION: "another run"})
    start()
    for _ in range(2):
        assert strays.found(RUN, []) == {process.pid: "/bin/sleep 60"}
    process.kill()
    until(lambda: not alive(process.pid), "it has ended")
    assert strays.found(RUN, []) == {}, "a zombie is not a stray"
    process.wait()
    assert strays.found(RUN, []) == {}


def test_a_process_of_a_stack_is_found_once_the_stack_is_closed(start: Start) -> None:
    strays = Strays()
    process = start(**{SESSION: RUN, STACK: STACKS})
    assert strays.found(RUN, [STACKS]) == {}
    assert list(strays.found(RUN, ["another stack"])) == [process.pid]


def test_a_process_is_found_once_it_has_started_its_program() -> None:
    """Before, its environment is that of the test run, which has no mark."""
    strays = Strays()
    lines = Path("/proc/self/environ").read_bytes().split(b"\0")
    environment = dict(line.split(b"=", 1) for line in lines if b"=" in line)
    command = f"read line; exec env -i {SESSION}='{RUN}' /bin/sleep 60"
    with subprocess.Popen(["/bin/sh", "-c", command], env=environment, stdin=subprocess.PIPE) as process:
        try:
            assert strays.found(RUN, []) == {}
            assert process.stdin
            process.stdin.write(b"\n")
            process.stdin.flush()
            until(lambda: list(strays.found(RUN, [])) == [process.pid], "it is found")
        finally:
            process.kill()
