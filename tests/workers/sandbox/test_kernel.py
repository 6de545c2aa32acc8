"""Kernel controls of a process: the calls, recorded. Children of other tests make them."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Final, NoReturn

import pytest

from offloop.kinds.limits import Limits
from offloop_workers.sandbox import kernel

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")

MIB: Final = 1 << 20
INFINITE: Final = resource.RLIM_INFINITY
CPU, FILE, SPACE = resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_AS
LIMITS: Final = Limits(seconds=2.2, output_mb=3, memory_mb=100_000)


class Resources:
    """The limits of a process that has used 3.5 seconds of CPU time.

    Attributes:
        hard: the present hard limits, infinite where nothing is said.
        set: the calls, in order.
    """

    def __init__(self) -> None:
        self.hard: dict[int, int] = {}
        self.set: list[tuple[int, tuple[int, int]]] = []

    def getrlimit(self, which: int) -> tuple[int, int]:
        return (INFINITE, self.hard.get(which, INFINITE))

    def setrlimit(self, which: int, limits: tuple[int, int]) -> None:
        self.set.append((which, limits))

    @staticmethod
    def getrusage(who: int) -> SimpleNamespace:
        assert who == resource.RUSAGE_SELF
        return SimpleNamespace(ru_utime=2.0, ru_stime=1.5)


@pytest.fixture
def resources(monkeypatch: pytest.MonkeyPatch) -> Resources:
    """Instead of the process's own."""
    recorded = Resources()
    for name in ("getrlimit", "setrlimit", "getrusage"):
        monkeypatch.setattr(kernel.resource, name, getattr(recorded, name))  # type: ignore[attr-defined]
    return recorded


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder instead of /proc."""
    monkeypatch.setattr(kernel, "Path", lambda path: tmp_path / path.removeprefix("/proc").lstrip("/"))
    return tmp_path


def _mapped() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def test_the_limits_of_an_attempt_are_relative_to_what_the_process_has_used(resources: Resources) -> None:
    """Soft ones only: the next attempt gets its own."""
    kernel.Caps(kernel.Memory()).cap(LIMITS)
    cpu, size, (which, (space, most)) = resources.set
    assert cpu == (CPU, (7, INFINITE))  # 3.5 used, 2.2 allowed, the next whole second, and one more
    assert size == (FILE, (3 * MIB, INFINITE))
    assert (which, most) == (SPACE, INFINITE)
    assert abs(space - 100_000 * MIB - _mapped()) < 200 * MIB


def test_the_last_attempt_of_a_process_cannot_lift_its_limits(resources: Resources) -> None:
    """Five seconds after the signal that names the cause, the kernel kills it."""
    kernel.Caps(kernel.Memory()).cap(LIMITS, last=True)
    cpu, size, (_, (space, most)) = resources.set
    assert cpu == (CPU, (7, 12))
    assert size == (FILE, (3 * MIB, 3 * MIB))
    assert space == most


@pytest.mark.parametrize("last", [False, True])
def test_limits_never_exceed_the_hard_ones_of_the_operator(resources: Resources, *, last: bool) -> None:
    resources.hard = {CPU: 6, FILE: 2 * MIB, SPACE: 1000 * MIB}
    kernel.Caps(kernel.Memory()).cap(LIMITS, last=last)
    assert resources.set == [(which, (most, most)) for which, most in resources.hard.items()]


def test_a_hard_limit_above_the_wanted_one_stays_unless_the_attempt_is_the_last(resources: Resources) -> None:
    resources.hard = {CPU: 100, FILE: 20 * MIB}
    caps = kernel.Caps(kernel.Memory())
    caps.cap(LIMITS)
    caps.cap(LIMITS, last=True)
    assert [limits for which, limits in resources.set if which == CPU] == [(7, 100), (7, 12)]
    assert [limits for which, limits in resources.set if which == FILE] == [(3 * MIB, 20 * MIB), (3 * MIB, 3 * MIB)]


def test_limits_that_were_set_in_advance_are_not_set_again_for_one_attempt(resources: Resources) -> None:
    """The attempt may have changed them, so the next one sets them."""
    caps = kernel.Caps(kernel.Memory())

    def calls() -> int:
        before, resources.set = len(resources.set), []
        return before

    caps.prepare(LIMITS, MIB)
    assert resources.set[0] == (CPU, (7, INFINITE))
    assert calls() == 3
    caps.cap(LIMITS)
    assert calls() == 0
    caps.cap(LIMITS)
    assert calls() == 3
    caps.prepare(LIMITS, MIB)
    caps.cap(Limits())
    assert calls() == 6
    caps.prepare(LIMITS, MIB)
    caps.cap(LIMITS, last=True)
    assert calls() == 6


def test_processes_are_bounded_well_above_those_of_the_user(resources: Resources, proc: Path) -> None:
    """Threads count."""
    for task in ("1/task/1", "1/task/7", "23/task/23", "self/task/1", "sys"):
        (proc / task).mkdir(parents=True)
    (proc / "99").mkdir()  # has ended meanwhile
    resources.hard = {resource.RLIMIT_NPROC: 9999}
    kernel.bound_processes()
    assert resources.set == [(resource.RLIMIT_NPROC, (3 + 2048, 9999))]


def test_processes_of_other_users_do_not_count(
    resources: Resources, proc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (proc / "1" / "task" / "1").mkdir(parents=True)
    monkeypatch.setattr("os.getuid", lambda: proc.stat().st_uid + 1)
    kernel.bound_processes()
    assert resources.set == [(resource.RLIMIT_NPROC, (2048, INFINITE))]


def test_children_are_listed_and_a_process_that_is_gone_has_none(proc: Path) -> None:
    (proc / "5" / "task" / "5").mkdir(parents=True)
    (proc / "5" / "task" / "5" / "children").write_text("7 11 ")
    assert kernel.children_of(5) == [7, 11]
    assert kernel.children_of(6) == []


@pytest.mark.parametrize(("answer", "made"), [(0, [(3, 0), (4, 1), (4, 0)]), (1, [(3, 0)]), (-1, [(3, 0)])])
def test_a_child_is_killed_first_and_leaves_no_core(
    resources: Resources, proc: Path, monkeypatch: pytest.MonkeyPatch, answer: int, made: list[tuple[int, int]]
) -> None:
    """A hidden process shows itself while it writes its score, and only then."""
    calls: list[tuple[int, int]] = []
    niced: list[int] = []

    def prctl(option: int, value: int) -> int:
        calls.append((option, value))
        return answer

    (proc / "self").mkdir()
    monkeypatch.setattr(kernel, "_prctl", prctl)
    monkeypatch.setattr("os.nice", niced.append)
    monkeypatch.setattr("os.getsid", lambda _: os.getpid())
    kernel.yield_to_others()
    assert calls == made
    assert niced == [10]
    assert (proc / "self" / "autogroup").read_text() == "10"
    assert (proc / "self" / "oom_score_adj").read_text() == "800"
    assert resources.set == [(resource.RLIMIT_CORE, (0, 0))]


def test_the_priority_of_a_session_is_left_to_its_leader(
    resources: Resources,  # noqa: ARG001 -- no limit of this process changes
    proc: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (proc / "self").mkdir()
    monkeypatch.setattr("os.nice", lambda _: None)
    monkeypatch.setattr("os.getsid", lambda _: os.getppid())
    kernel.yield_to_others()
    assert not (proc / "self" / "autogroup").exists()


class Libc:
    """A libc that records; the process has six capabilities, those over files among them."""

    def __init__(self, answer: int = 0) -> None:
        self.answer = answer
        self.controls: list[tuple[int, ...]] = []
        self.headers: list[tuple[int, ...]] = []
        self.rights: list[int] = []

    def prctl(self, *arguments: int) -> int:
        self.controls.append(arguments)
        return self.answer

    def capget(self, header: ctypes.Array[ctypes.c_char], rights: ctypes.Array[ctypes.c_uint32]) -> int:
        self.headers.append(struct.unpack_from("=Ii", bytes(header)))
        rights[:] = [0b10_1111, 0b11_1011, 0b11_1111, 1, 1, 1]
        return self.answer

    def capset(self, header: ctypes.Array[ctypes.c_char], rights: ctypes.Array[ctypes.c_uint32]) -> int:
        self.headers.append(struct.unpack_from("=Ii", bytes(header)))
        self.rights = list(rights)
        return 0


@pytest.fixture
def libc(monkeypatch: pytest.MonkeyPatch) -> Libc:
    """Instead of the system's."""
    recorded = Libc()
    monkeypatch.setattr(kernel, "_LIBC", recorded)
    return recorded


def test_only_the_permitted_capabilities_over_files_are_kept(libc: Libc) -> None:
    """In the effective and the permitted set; none is inherited by programs."""
    kernel.give_up_privileges()
    assert libc.controls == [(38, 1, 0, 0, 0)]  # PR_SET_NO_NEW_PRIVS
    assert libc.headers == [(0x2008_0522, 0)] * 2  # version 3, this process
    assert libc.rights == [0b1011, 0b1011, 0, 0, 0, 0]


def test_capabilities_that_cannot_be_read_are_left_alone(libc: Libc) -> None:
    libc.answer = -1
    kernel.give_up_privileges()
    assert len(libc.headers) == 1
    assert not libc.rights


def test_controls_are_left_out_where_the_system_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "_LIBC", object())
    kernel.give_up_privileges()
    kernel.hide()
    assert kernel._prctl(3, 0) == -1


def refusing(error: Exception) -> Callable[..., NoReturn]:
    """A call that the system refuses."""

    def refuse(*_: object) -> NoReturn:
        raise error

    return refuse


@pytest.mark.usefixtures("proc", "resources")
@pytest.mark.parametrize("error", [PermissionError(), ValueError("above the hard limit")])
def test_a_bound_of_processes_that_is_refused_is_left_out(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr("resource.setrlimit", refusing(error))
    kernel.bound_processes()


def test_priorities_that_are_refused_are_left_out(
    resources: Resources, proc: Path, libc: Libc, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The score is a file that is missing here."""
    assert not (proc / "self").exists()
    monkeypatch.setattr("os.nice", refusing(PermissionError()))
    kernel.yield_to_others()
    assert libc.controls[-1] == (4, 0, 0, 0, 0), "hidden again"
    assert resources.set == [(resource.RLIMIT_CORE, (0, 0))]


def test_the_address_space_is_not_bound_where_its_size_is_unknown(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.open", refusing(FileNotFoundError()))
    kernel.Caps(kernel.Memory()).cap(LIMITS)
    assert [which for which, _ in resources.set] == [CPU, FILE]


def test_capabilities_that_the_system_refuses_are_left_alone(libc: Libc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libc, "capget", refusing(OSError()))
    kernel.give_up_privileges()
    assert not libc.rights


def test_a_process_is_hidden_and_adopts_orphans_by_these_controls(libc: Libc) -> None:
    libc.answer = 7
    kernel.hide()
    kernel.adopt_orphans()
    assert libc.controls == [(4, 0, 0, 0, 0), (36, 1, 0, 0, 0)]
    assert kernel._prctl(3, 5) == 7


def test_a_process_dies_with_its_parent_even_if_that_is_dead_already(
    libc: Libc, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[int] = []
    monkeypatch.setattr("os._exit", ended.append)
    kernel.die_with_parent(os.getppid())
    kernel.die_with_parent(os.getppid(), signal.SIGTERM)
    assert ended == []
    assert libc.controls == [(1, signal.SIGKILL, 0, 0, 0), (1, signal.SIGTERM, 0, 0, 0)]
    kernel.die_with_parent(os.getppid() + 1)
    assert ended == [0]


@pytest.mark.parametrize("error", [None, ProcessLookupError, PermissionError])
def test_a_group_is_killed_and_one_that_is_gone_is_no_error(
    monkeypatch: pytest.MonkeyPatch, error: type[OSError] | None
) -> None:
    killed: list[tuple[int, int]] = []

    def killpg(leader: int, number: int) -> None:
        killed.append((leader, number))
        if error:
            raise error

    monkeypatch.setattr("os.killpg", killpg)
    kernel.end_group(123)
    assert killed == [(123, signal.SIGKILL)]
