"""CPU time and memory of a family of processes, from a folder that looks like /proc."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from bench import usage
from bench.usage import Family

TICK = os.sysconf("SC_CLK_TCK")
WORKER, ZYGOTE, ONE, TWO, GRANDCHILD = 10, 11, 12, 13, 14


def process(proc: Path, pid: int, children: dict[int, list[int]], times: tuple[int, int, int, int], pss: int) -> None:
    """A process: the children of each of its threads; ticks of itself and of its ended children; KiB."""
    for thread, started in children.items():
        folder = proc / f"{pid}" / "task" / f"{thread}"
        folder.mkdir(parents=True)
        (folder / "children").write_text(" ".join(map(str, started)) + " ")
    before_times = " ".join(["S", "1", *"0" * 9])  # state and parent, then what stands before the times
    ticks = " ".join(map(str, times))
    (proc / f"{pid}" / "stat").write_text(f"{pid} (a (name) of) words) {before_times} {ticks} 20 0 1\n")
    (proc / f"{pid}" / "smaps_rollup").write_text(f"Rss: {pss * 3} kB\nPss: {pss} kB\nPss_Dirty: 1 kB\n")


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A worker, its zygote, two children, and a process that one of them has started."""
    process(tmp_path, WORKER, {10: [], 99: [ZYGOTE]}, (100, 20, 0, 0), 4096)
    process(tmp_path, ZYGOTE, {11: [ONE, TWO]}, (10, 5, 300, 40), 2048)
    process(tmp_path, ONE, {12: [GRANDCHILD]}, (50, 1, 7, 0), 1024)
    process(tmp_path, TWO, {13: []}, (60, 2, 0, 0), 1024)
    process(tmp_path, GRANDCHILD, {14: []}, (3, 0, 0, 0), 512)
    return tmp_path


def test_a_family_is_told_apart_by_generation(proc: Path) -> None:
    assert Family.of(WORKER, proc) == Family(WORKER, [ZYGOTE], [ONE, TWO, GRANDCHILD])
    assert Family.of(TWO, proc) == Family(TWO, [], [])


def test_cpu_time_of_a_family_includes_its_ended_members(proc: Path) -> None:
    assert usage.own_cpu_seconds(WORKER, proc) == 120 / TICK
    assert usage.own_cpu_seconds(ZYGOTE, proc) == 15 / TICK
    assert usage.cpu_seconds(WORKER, proc) == pytest.approx((120 + 355 + 58 + 62 + 3) / TICK)


def test_memory_is_the_proportional_share(proc: Path) -> None:
    assert usage.memory_mib(WORKER, proc=proc) == 4
    assert usage.memory_mib(WORKER, whole_family=True, proc=proc) == 8.5


def test_a_process_that_has_ended_costs_nothing(proc: Path) -> None:
    (proc / f"{TWO}" / "stat").unlink()
    (proc / f"{TWO}" / "smaps_rollup").unlink()
    assert usage.own_cpu_seconds(TWO, proc) == usage.memory_mib(TWO, proc=proc) == usage.cpu_seconds(404, proc) == 0


def test_the_format_is_that_of_this_kernel() -> None:
    """A child that computes, and has a child of its own that has ended."""
    code = "import subprocess, sys; sum(range(10**7)); subprocess.run(['true']); print(); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline()
        assert child.pid in Family.of(os.getpid()).zygotes
        assert usage.cpu_seconds(child.pid) >= usage.own_cpu_seconds(child.pid) > 0
        assert usage.memory_mib(child.pid) > 1
