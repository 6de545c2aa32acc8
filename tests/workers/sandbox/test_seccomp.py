"""The system call numbers of the sandbox are those of the kernel's headers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from offloop_workers.sandbox import landlock, seccomp
from support.programs import needs

INCLUDE: Final = Path("/usr/include")
HEADERS: Final = {
    "x86_64": ("x86_64-linux-gnu/asm/unistd_64.h", "asm/unistd_64.h"),
    "aarch64": ("aarch64-linux-gnu/asm/unistd_64.h", "asm-generic/unistd.h"),
}
"""Headers with the numbers of a machine, the most specific first; every machine has the generic one of aarch64."""

DEFINITION: Final = re.compile(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)\s*$", re.MULTILINE)


@pytest.mark.parametrize("machine", HEADERS)
def test_the_numbers_are_those_of_the_kernel_headers(machine: str) -> None:
    header = next((path for name in HEADERS[machine] if (path := INCLUDE / name).exists()), INCLUDE / "asm")
    needs("linux-libc-dev", header)
    defined = {name: int(number) for name, number in DEFINITION.findall(header.read_text())}
    assert len(defined) > 250, "the header has another form than expected"
    newest = max(defined.values())
    tables = seccomp.call_numbers(machine) | landlock.CALLS
    known = {name: number for name, number in tables.items() if name in defined}
    assert known == {name: defined[name] for name in known}
    # A header may be older than a call, whose number is then above all of its own.
    assert [name for name, number in tables.items() if name not in known and number <= newest] == []


@pytest.mark.parametrize("machine", HEADERS)
def test_no_number_stands_for_two_calls(machine: str) -> None:
    numbers = list((seccomp.call_numbers(machine) | landlock.CALLS).values())
    assert len(numbers) == len(set(numbers))
