"""Programs of the system call filter, run by an interpreter of BPF, for both machines."""

from __future__ import annotations

import errno
import os
import signal
import struct
from collections.abc import Iterator
from typing import Final

import pytest

from offloop_workers.sandbox import kernel, landlock, policy, seccomp
from offloop_workers.sandbox.seccomp import Refusals

ARCHITECTURES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOWED: Final = 0x7FFF0000
KILLED: Final = 0x80000000
SPARED: Final = (101, 102)
OWN: Final = seccomp._OWN

STANDARD: Final = Refusals(sockets=True, processes=False, spared=SPARED)
NETWORK: Final = Refusals(sockets=False, processes=False, spared=SPARED)
STRICT: Final = Refusals(sockets=True, processes=True, spared=SPARED)


def _decision(refusals: Refusals, machine: str, number: int, *arguments: int, architecture: int = 0) -> int:
    """What the kernel would return for a call."""
    words = [argument & 0xFFFF_FFFF_FFFF_FFFF for argument in (*arguments, *[0] * 6)][:6]
    data = struct.pack("<IIQ6Q", number, architecture or ARCHITECTURES[machine], 0, *words)
    steps = seccomp._assemble(refusals, seccomp._ARCHITECTURES[machine][1])
    loaded = position = 0
    while True:
        code, if_true, if_false, operand = steps[position]
        position += 1
        match code:
            case 0x20:
                (loaded,) = struct.unpack_from("<I", data, operand)
            case 0x15:
                position += if_true if loaded == operand else if_false
            case 0x35:
                position += if_true if loaded >= operand else if_false
            case 0x45:
                position += if_true if loaded & operand else if_false
            case 0x06:
                return operand
            case _:
                pytest.fail(f"an unknown instruction: {code:#x}")


def _refused(code: int = errno.EPERM) -> int:
    return 0x0005_0000 | code


def _numbers(table: dict[str, tuple[int | None, ...]], machine: str) -> Iterator[int]:
    for numbers in table.values():
        if (number := numbers[seccomp._ARCHITECTURES[machine][1]]) is not None:
            yield number


@pytest.fixture(params=ARCHITECTURES)
def machine(request: pytest.FixtureRequest) -> str:
    """Each machine."""
    return str(request.param)


@pytest.mark.parametrize("refusals", [STANDARD, NETWORK, STRICT])
def test_calls_that_no_job_needs_are_refused_to_all(machine: str, refusals: Refusals) -> None:
    found = {_decision(refusals, machine, number) for number in _numbers(dict(seccomp._REFUSED), machine)}
    assert found == {_refused()}


def test_an_unlisted_call_is_allowed(machine: str) -> None:
    for refusals in (STANDARD, NETWORK, STRICT):
        assert _decision(refusals, machine, 1023) == ALLOWED


def test_the_calls_of_another_architecture_kill(machine: str) -> None:
    """Their numbers mean something else."""
    [other] = ARCHITECTURES.keys() - {machine}
    assert _decision(STANDARD, machine, 1, architecture=ARCHITECTURES[other]) == KILLED
    assert _decision(STANDARD, machine, 0x4000_0000 + 1) == _refused(), "a call of x32"


def test_programs_are_refused_to_strict_kinds_only(machine: str) -> None:
    for number in _numbers(dict(seccomp._NEW_PROCESSES), machine):
        assert _decision(STANDARD, machine, number) == ALLOWED
        assert _decision(STRICT, machine, number) == _refused()


def test_threads_stay_allowed_and_namespaces_are_refused(machine: str) -> None:
    numbers = seccomp.call_numbers(machine)
    thread, process, namespace = 0x0001_0000, signal.SIGCHLD, 0x1000_0000
    assert _decision(STANDARD, machine, numbers["clone"], process) == ALLOWED
    assert _decision(STANDARD, machine, numbers["clone"], process | namespace) == _refused()
    assert _decision(STRICT, machine, numbers["clone"], thread) == ALLOWED
    assert _decision(STRICT, machine, numbers["clone"], process) == _refused()
    assert _decision(STANDARD, machine, numbers["clone3"]) == _refused(errno.ENOSYS), "so that libc calls clone"


def test_sockets_are_refused_unless_the_kind_has_network(machine: str) -> None:
    number = seccomp.call_numbers(machine)["socket"]
    assert _decision(STANDARD, machine, number) == _decision(STRICT, machine, number) == _refused(errno.EACCES)
    assert _decision(NETWORK, machine, number) == ALLOWED


def test_signals_to_ancestors_their_groups_and_everything_are_refused(machine: str) -> None:
    number = seccomp.call_numbers(machine)["kill"]
    for pid in (*SPARED, *(-pid for pid in SPARED), -1):
        assert _decision(STANDARD, machine, number, pid) == _refused()
    for pid in (OWN, 0, 103, -103):
        assert _decision(STANDARD, machine, number, pid) == ALLOWED
    assert _decision(STRICT, machine, number, OWN) == ALLOWED
    assert _decision(STRICT, machine, number, 103) == _refused()
    assert _decision(STANDARD, machine, seccomp.call_numbers(machine)["tgkill"], SPARED[0]) == _refused()


def test_priorities_and_limits_are_set_for_the_own_process_only(machine: str) -> None:
    numbers = seccomp.call_numbers(machine)
    for name in seccomp._OWN_ONLY:
        before = [0] if name in ("ioprio_set", "setpriority") else []  # the kind of target
        for pid in (0, OWN):
            assert _decision(STANDARD, machine, numbers[name], *before, pid) == ALLOWED
        assert _decision(STANDARD, machine, numbers[name], *before, 103) == _refused()


def test_input_of_the_terminal_and_the_death_signal_are_out_of_reach(machine: str) -> None:
    numbers = seccomp.call_numbers(machine)
    for command in (0x5412, 0x541C):
        assert _decision(STANDARD, machine, numbers["ioctl"], 0, command) == _refused()
    assert _decision(STANDARD, machine, numbers["ioctl"], 0, 0x5413) == ALLOWED
    for option, decision in ((1, _refused()), (4, _refused()), (38, ALLOWED)):
        assert _decision(STANDARD, machine, numbers["prctl"], option) == decision


def test_an_unknown_machine_has_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp, "_ARCHITECTURES", {})
    assert seccomp.column() is None
    with pytest.raises(OSError, match="no filter is known"):
        seccomp.Filter(STANDARD)
    monkeypatch.setattr("sys.platform", "darwin")
    assert seccomp.column() is None
    assert landlock.version() == 0


def test_a_filter_that_an_outer_sandbox_forbids_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forbidding:
        @staticmethod
        def syscall(*_: object) -> int:
            return -1

    monkeypatch.setattr(seccomp, "_ARCHITECTURES", {os.uname().machine: (ARCHITECTURES["x86_64"], 0)})
    monkeypatch.setattr(seccomp, "_LIBC", Forbidding)
    with pytest.raises(OSError, match="the filter was refused"):
        seccomp.Filter(STANDARD).install()


def test_a_kernel_without_filters_or_landlock_is_found_by_the_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise OSError(errno.ENOSYS, "no filters")

    monkeypatch.setattr(seccomp.Filter, "install", refuse)
    monkeypatch.setattr(landlock, "version", lambda: 0)
    assert policy.probe() == policy.Abilities(calls=False, landlock=0)
    monkeypatch.setattr(kernel, "give_up_privileges", lambda: os.kill(os.getpid(), signal.SIGKILL))
    assert policy.probe() == policy.Abilities(calls=False, landlock=0)


def test_an_old_landlock_without_filters_lets_jobs_signal_others() -> None:
    [calls, signals] = policy.Abilities(calls=False, landlock=5).missing
    assert "sockets" in calls
    assert "older than 6" in signals
    assert policy.Abilities(calls=True, landlock=5).missing == []
