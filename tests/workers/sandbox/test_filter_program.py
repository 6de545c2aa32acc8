"""Programs of the system call filter, run by an interpreter of BPF, for both machines."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import struct
from collections.abc import Callable, Iterator
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
    """Action of the filter for a call, as the kernel would compute it."""
    words = [argument & 0xFFFF_FFFF_FFFF_FFFF for argument in (*arguments, *[0] * 6)][:6]
    data = struct.pack("<IIQ6Q", number, architecture or ARCHITECTURES[machine], 0, *words)
    return _run(seccomp._assemble(refusals, seccomp._ARCHITECTURES[machine][1]), data)


def _run(steps: list[tuple[int, int, int, int]], data: bytes) -> int:
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


@pytest.mark.parametrize(
    ("branch", "allows"),
    [
        (seccomp._only(0, [0, OWN]), lambda value: value in (0, OWN)),
        (seccomp._unless(0, [5, 6]), lambda value: value not in (5, 6)),
        (seccomp._clone(threads_only=True), lambda value: value & 0x0001_0000),
        (seccomp._clone(threads_only=False), lambda value: not value & 0x7E02_0000),
    ],
    ids=["only", "unless", "clone of threads", "clone"],
)
def test_the_branch_of_a_call_never_runs_into_the_next_one(
    branch: list[seccomp._Step], allows: Callable[[int], int]
) -> None:
    """The next one would take the loaded argument for the number of a call."""
    for value in (0, 1, 5, 6, 0x0001_0000, 0x0002_0000, 0x7E03_0000, OWN):
        data = struct.pack("<IIQ6Q", 0, 0, 0, value, 0, 0, 0, 0, 0)
        assert _run(branch, data) == (ALLOWED if allows(value) else _refused()), hex(value)


class Recording:
    """The kernel of a filter: it keeps the one that is installed."""

    def __init__(self) -> None:
        self.call: tuple[int, ...] = ()
        self.steps: list[tuple[int, ...]] = []

    def syscall(self, *arguments: object) -> int:
        *call, header = arguments
        assert isinstance(header, ctypes.Array)
        count, address = struct.unpack_from("@HP", bytes(header))
        self.call = tuple(int(str(word)) for word in call)
        self.steps = list(struct.iter_unpack("=HBBI", ctypes.string_at(address, 8 * count)))
        return 0


def test_the_kernel_gets_the_whole_program_with_the_pid_of_the_process(
    monkeypatch: pytest.MonkeyPatch, machine: str
) -> None:
    recording, which = Recording(), seccomp._ARCHITECTURES[machine][1]
    monkeypatch.setattr(seccomp, "column", lambda: which)
    monkeypatch.setattr(seccomp, "_LIBC", recording)
    seccomp.Filter(STRICT).install()
    filter_mode, spec_allow = 1, 4  # of linux/seccomp.h
    assert recording.call == (seccomp.call_numbers(machine)["seccomp"], filter_mode, spec_allow)
    assembled = seccomp._assemble(STRICT, which)
    assert recording.steps == [(*step[:3], os.getpid() if step[3] == OWN else step[3]) for step in assembled]
    assert (OWN in {step[3] for step in assembled}) > (OWN in {step[3] for step in recording.steps})


def test_a_machine_of_32_bits_has_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its kernel has other numbers under the same name."""
    monkeypatch.setattr(seccomp, "_ARCHITECTURES", {os.uname().machine: (ARCHITECTURES["x86_64"], 0)})
    monkeypatch.setattr("sys.platform", "linux")
    assert seccomp.column() == 0
    monkeypatch.setattr("sys.maxsize", 2**31 - 1)
    assert seccomp.column() is None


def test_an_unknown_machine_has_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp, "_ARCHITECTURES", {})
    assert seccomp.column() is None
    with pytest.raises(OSError, match="no filter is known") as error:
        seccomp.Filter(STANDARD)
    assert error.value.errno == errno.ENOSYS
    monkeypatch.setattr("sys.platform", "darwin")
    assert seccomp.column() is None
    assert landlock.version() == 0


def test_a_filter_that_an_outer_sandbox_forbids_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forbidding:
        @staticmethod
        def syscall(*_: object) -> int:
            ctypes.set_errno(errno.EPERM)
            return -1

    monkeypatch.setattr(seccomp, "_ARCHITECTURES", {os.uname().machine: (ARCHITECTURES["x86_64"], 0)})
    monkeypatch.setattr(seccomp, "_LIBC", Forbidding)
    with pytest.raises(OSError, match="the filter was refused") as error:
        seccomp.Filter(STANDARD).install()
    assert error.value.errno == errno.EPERM


def test_a_kernel_without_filters_or_landlock_is_found_by_the_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise OSError(errno.ENOSYS, "no filters")

    monkeypatch.setattr(seccomp.Filter, "install", refuse)
    monkeypatch.setattr(landlock, "version", lambda: 0)
    assert policy.probe() == policy.Abilities(calls=False, landlock=0)
    monkeypatch.setattr(kernel, "give_up_privileges", lambda: os.kill(os.getpid(), signal.SIGKILL))
    assert policy.probe() == policy.Abilities(calls=False, landlock=0)


@pytest.mark.parametrize(
    ("refusing", "found"),
    [
        ((), policy.Abilities(calls=True, landlock=3)),
        (("filter",), policy.Abilities(calls=False, landlock=3)),
        (("domain",), policy.Abilities(calls=False, landlock=0)),
        (("filter", "domain"), policy.Abilities(calls=False, landlock=0)),
    ],
    ids=["both work", "no filters", "no domains", "neither"],
)
def test_the_probe_counts_only_what_works(
    monkeypatch: pytest.MonkeyPatch, refusing: tuple[str, ...], found: policy.Abilities
) -> None:
    """The measures of strict kinds are tried, in the order in which children take them."""

    def install(tried: seccomp.Filter) -> None:
        expected = seccomp.Filter(Refusals(sockets=True, processes=True, spared=[]))
        if "filter" in refusing or tried._program != expected._program:
            raise OSError(errno.EPERM, "no filters")

    def restrict(known: int, *, network: bool, files: landlock.Files | None) -> None:
        if "domain" in refusing or (known, network, files) != (3, False, landlock.Files(["/usr"], [])):
            raise OSError(errno.EPERM, "no domains")

    monkeypatch.setattr(seccomp, "column", lambda: 0)
    monkeypatch.setattr(seccomp.Filter, "install", install)
    monkeypatch.setattr(landlock, "version", lambda: 3)
    monkeypatch.setattr(landlock, "restrict", restrict)
    monkeypatch.setattr(kernel, "give_up_privileges", lambda: None)
    assert policy.probe() == found


def test_the_environment_of_children_has_neither_secret_settings_nor_credentials() -> None:
    kept = {"PATH": "/bin", "OFFLOOP_STATE_DIR": "/state", "OF_THE_OPERATOR": "kept"}
    secret = ["OFFLOOP_REDIS_URL", "OFFLOOP_API_KEYS", "OFFLOOP_SQL_SHOP", "AWS_SECRET_ACCESS_KEY"]
    secret += ["AZURE_STORAGE_KEY", "GOOGLE_APPLICATION_CREDENTIALS"]
    assert policy.environment(kept | dict.fromkeys(secret, "word")) == kept


def test_an_old_landlock_without_filters_lets_jobs_signal_others() -> None:
    [calls, signals] = policy.Abilities(calls=False, landlock=5).missing
    assert "sockets" in calls
    assert "older than 6" in signals
    assert policy.Abilities(calls=True, landlock=5).missing == []
