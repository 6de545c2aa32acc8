"""Supervisor: restarts programs, stops them in bounded time, and leaves none when killed."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from offloop.processes.supervisor import Program, Supervisor
from support.processes import gone


def _python(code: str, name: str = "program") -> Program:
    return Program(name, (sys.executable, "-I", "-c", code), quiet=True)


async def _written(path: Path, lines: int = 1) -> list[str]:
    """Wait, for at most 10 seconds, until a program has written that many lines."""
    async with asyncio.timeout(30):
        while len(found := _lines(path)) < lines:  # noqa: ASYNC110 -- the other side is a process, not a task
            await asyncio.sleep(0.01)
    return found


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _noting(log: Path, after: str = "") -> str:
    """A program that writes a line with its process id and the time, then runs `after`."""
    return f"import os, time; open({str(log)!r}, 'a').write(f'{{os.getpid()}} {{time.monotonic()}}\\n'); {after}"


def test_a_dead_program_is_started_again_after_growing_pauses(tmp_path: Path) -> None:
    """Exponential backoff from 0.1 s, so that a failing program does not load the machine."""
    log = tmp_path / "log"

    async def scenario() -> list[str]:
        async with Supervisor([_python(_noting(log, "raise SystemExit(1)"))]):
            return await _written(log, lines=4)

    times = [float(line.split()[1]) for line in asyncio.run(scenario())]
    pauses = [after - before for before, after in itertools.pairwise(times)]
    assert pauses[0] >= 0.1
    assert pauses[1] >= 0.2
    assert pauses[2] >= 0.4


def test_a_killed_program_has_a_new_process(tmp_path: Path) -> None:
    """After SIGKILL of a program, a new process runs."""
    log = tmp_path / "log"

    async def scenario() -> None:
        async with Supervisor([_python(_noting(log, "time.sleep(60)"))]) as supervisor:
            await _written(log)
            first = supervisor.pids["program"]
            os.kill(first, signal.SIGKILL)
            await _written(log, lines=2)
            assert supervisor.pids["program"] != first
            assert supervisor.deaths["program"] == 1

    asyncio.run(scenario())


def test_stop_ends_a_stubborn_program_in_bounded_time(tmp_path: Path) -> None:
    """A program that ignores SIGTERM is killed after the grace period, with its children."""
    log = tmp_path / "log"
    child = _noting(log, "time.sleep(60)")
    code = (
        "import signal, subprocess, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"subprocess.run([sys.executable, '-I', '-c', {child!r}])"
    )

    async def scenario() -> tuple[float, int, int]:
        supervisor = Supervisor([_python(code)], grace=0.3)
        supervisor.start()
        grandchild = int((await _written(log))[0].split()[0])
        pid = supervisor.pids["program"]
        started = time.monotonic()
        await supervisor.stop()
        await supervisor.stop()
        return time.monotonic() - started, pid, grandchild

    seconds, *pids = asyncio.run(scenario())
    assert 0.3 <= seconds < 30
    assert gone(pids)


def test_a_stop_right_after_the_start_leaves_no_process() -> None:
    """A stop never misses a program that is starting."""

    async def scenario() -> Supervisor:
        supervisor = Supervisor([_python("import time; time.sleep(60)", name) for name in "abc"])
        supervisor.start()
        await supervisor.stop()
        return supervisor

    started = time.monotonic()
    assert not asyncio.run(scenario()).pids
    assert time.monotonic() - started < 40, "the programs would run for a minute"


def test_a_cancelled_stop_kills_without_waiting(tmp_path: Path) -> None:
    """Cancelling the stop skips the grace period and sends SIGKILL to everything."""
    log = tmp_path / "log"
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + _noting(log, "time.sleep(60)")

    async def scenario() -> int:
        supervisor = Supervisor([_python(code)], grace=30)
        supervisor.start()
        await _written(log)
        pid = supervisor.pids["program"]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(supervisor.stop(), 0.1)
        return pid

    assert gone([asyncio.run(scenario())])


def test_a_program_that_refuses_its_settings_is_not_started_again(tmp_path: Path) -> None:
    """Exit code 2 means that a restart would end in the same way; `refused` returns the program's name."""
    log = tmp_path / "log"

    async def scenario() -> str:
        programs = [_python(_noting(log, "raise SystemExit(2)"), "picky"), _python("import time; time.sleep(60)", "b")]
        async with Supervisor(programs) as supervisor:
            return await asyncio.wait_for(supervisor.refused(), 30)

    assert asyncio.run(scenario()) == "picky"
    assert len(log.read_text().splitlines()) == 1


def test_a_program_leads_a_session_of_its_own(tmp_path: Path) -> None:
    """So that Ctrl-C on the terminal reaches only the supervisor."""
    log = tmp_path / "log"

    async def scenario() -> None:
        async with Supervisor([_python(_noting(log, "time.sleep(60)"))]) as supervisor:
            await _written(log)
            pid = supervisor.pids["program"]
            assert os.getsid(pid) == pid != os.getsid(0)

    asyncio.run(scenario())


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG of Linux")
def test_sigkill_of_the_supervisor_leaves_no_process(tmp_path: Path) -> None:
    """Not even a program that ignores SIGTERM survives."""
    log = tmp_path / "log"
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + _noting(log, "time.sleep(60)")
    parent = f"""
import asyncio, sys
from offloop.processes.supervisor import Program, Supervisor
from support.processes import gone
async def main():
    async with Supervisor([Program(name, (sys.executable, "-I", "-c", {code!r})) for name in "ab"]):
        await asyncio.sleep(60)
asyncio.run(main())
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", parent], env=environment) as supervising:
        try:
            lines = asyncio.run(_written(log, lines=2))
        finally:
            supervising.kill()
    pids = [int(line.split()[0]) for line in lines]
    assert gone(pids)
