"""Landlock on older kernels, and where the kernel refuses: its calls are recorded, not made."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from pathlib import Path
from typing import Final

import pytest

from offloop_workers.sandbox import landlock

CREATE, ADD, RESTRICT = landlock.CALLS.values()
EXECUTE: Final = 1
REFER: Final = 1 << 13
TRUNCATE: Final = 1 << 14
UP_TO_3: Final = (1 << 15) - 1


class Kernel:
    """Answers the calls; keeps the handled rights and the rules.

    Attributes:
        refuses: the call that fails.
        error: its error.
    """

    def __init__(self) -> None:
        self.refuses = 0
        self.error = errno.EPERM
        self.handled = b""
        self.rules: list[int] = []
        self.restricted = False
        self.rulesets: set[int] = set()

    def __call__(self, number: int, *arguments: object) -> int:
        if number == self.refuses:
            ctypes.set_errno(self.error)
            return -1
        match number, arguments:
            case landlock._CREATE, [ctypes.Array() as attributes, ctypes.c_size_t() as size, 0]:
                assert size.value == len(attributes)
                self.handled = bytes(attributes)
                self.rulesets.add(ruleset := os.open(os.devnull, os.O_RDONLY))
                return ruleset
            case landlock._ADD, [int() as ruleset, landlock._BENEATH, bytes() as rule, 0] if ruleset in self.rulesets:
                self.rules.append(struct.unpack("=Qi", rule)[0])
            case landlock._RESTRICT, [int() as ruleset, 0] if ruleset in self.rulesets:
                self.restricted = True
            case _:
                pytest.fail(f"the kernel knows no such call: {number} {arguments}")
        return 0


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """A kernel that records."""
    recording = Kernel()
    monkeypatch.setattr(landlock, "_syscall", recording)
    return recording


def test_a_domain_that_would_restrict_nothing_is_not_made(kernel: Kernel) -> None:
    landlock.restrict(1, network=False, files=None)
    assert not kernel.restricted
    assert not kernel.handled


@pytest.mark.parametrize(
    ("known", "size", "rights"),
    [
        (1, 8, REFER - 1),
        (2, 8, TRUNCATE - 1),
        (3, 8, (TRUNCATE << 1) - 1),
        (4, 16, (TRUNCATE << 1) - 1),
        (6, 24, 0xFFFF),
    ],
)
def test_each_version_is_asked_for_what_it_knows(
    kernel: Kernel, tmp_path: Path, known: int, size: int, rights: int
) -> None:
    landlock.restrict(known, network=False, files=landlock.Files([], [str(tmp_path)]))
    assert len(kernel.handled) == size
    assert struct.unpack_from("=Q", kernel.handled)[0] == rights
    assert [rule & ~rights for rule in kernel.rules] == [0]
    assert kernel.restricted


@pytest.mark.parametrize(
    ("known", "network", "handled"),
    [
        (3, False, (REFER, 0, 0)),
        (4, False, (0, 0b11, 0)),
        (4, True, (REFER, 0, 0)),
        (5, False, (0, 0b11, 0)),
        (6, False, (0, 0b11, 0b11)),
        (6, True, (0, 0, 0b11)),
        (7, True, (0, 0, 0b11)),
    ],
)
def test_tcp_is_restricted_without_network_and_signals_wherever_the_kernel_can(
    kernel: Kernel, *, known: int, network: bool, handled: tuple[int, int, int]
) -> None:
    """For a job that keeps its files."""
    landlock.restrict(known, network=network, files=None)
    assert struct.unpack("=QQQ", kernel.handled.ljust(24, b"\0")) == handled
    assert kernel.restricted


@pytest.mark.parametrize(("answer", "version"), [(7, 7), (1, 1), (0, 0), (-1, 0)])
def test_the_version_is_asked_with_an_empty_ruleset(monkeypatch: pytest.MonkeyPatch, answer: int, version: int) -> None:
    asked: list[tuple[object, ...]] = []

    class Answering:
        @staticmethod
        def syscall(number: int, attributes: object, size: ctypes.c_size_t, flags: int) -> int:
            asked.append((number, attributes, size.value, flags))
            return answer

    monkeypatch.setattr(landlock, "_LIBC", Answering)
    monkeypatch.setattr("sys.platform", "linux")
    assert landlock.version() == version
    assert asked == [(CREATE, None, 0, 1)]


def test_a_rule_for_a_pipe_waits_for_no_writer(kernel: Kernel, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    landlock.restrict(6, network=False, files=landlock.Files([str(tmp_path / "pipe")], []))
    assert len(kernel.rules) == 1


def test_files_are_left_alone_by_a_domain_for_processes_only(kernel: Kernel) -> None:
    landlock.restrict(2, network=True, files=None)
    assert struct.unpack("=Q", kernel.handled) == (REFER,)
    assert kernel.rules == [REFER]


def test_no_rule_lets_a_job_run_programs_and_one_of_a_file_has_the_rights_of_files(
    kernel: Kernel, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    paths = [str(tmp_path), str(tmp_path / "file"), str(tmp_path / "none")]
    landlock.restrict(6, network=False, files=landlock.Files(paths, [str(tmp_path)]))
    folder, file, written = kernel.rules
    assert [rule & EXECUTE for rule in kernel.rules] == [0, 0, 0]
    assert file & folder == file
    assert file.bit_count() == 1
    assert written & folder == folder
    assert written & TRUNCATE


@pytest.mark.parametrize(
    ("call", "message"), [(CREATE, "refused the rules"), (ADD, "refused a rule"), (RESTRICT, "refused the domain")]
)
def test_a_refusal_of_the_kernel_is_an_error(kernel: Kernel, tmp_path: Path, call: int, message: str) -> None:
    kernel.refuses = call
    with pytest.raises(OSError, match=message) as caught:
        landlock.restrict(6, network=False, files=landlock.Files([str(tmp_path)], []))
    assert caught.value.errno == errno.EPERM
    assert not kernel.restricted


def test_a_path_that_cannot_have_a_rule_is_left_out(kernel: Kernel) -> None:
    """Such as one of a pipe; EBADFD is the kernel's word for it."""
    kernel.refuses, kernel.error = ADD, errno.EBADFD
    landlock.restrict(6, network=False, files=landlock.Files(["/dev/null"], []))
    assert kernel.restricted
