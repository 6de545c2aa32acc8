"""The event loop: the fastest there is, asyncio's where there is no other."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from offloop import loop


async def kind_of_loop() -> str:
    return type(asyncio.get_running_loop()).__module__


def test_it_is_uvloop_where_that_is_installed() -> None:
    pytest.importorskip("uvloop")
    assert loop.run(kind_of_loop()) == "uvloop"


def test_without_uvloop_it_is_the_one_of_asyncio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert loop.run(kind_of_loop()).partition(".")[0] == "asyncio"


def test_what_is_loaded_when_a_process_settles_is_not_looked_at_by_the_collector_again() -> None:
    """In a process of its own, for it lasts as long as the process."""
    code = (
        "import gc; from offloop import loop; kept = [[] for _ in range(1000)]; loop.settle(); "
        "print(gc.get_freeze_count() > 1000, gc.get_threshold()[0] == loop.YOUNG, gc.isenabled())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.split() == ["True"] * 3
