"""Event loop: uvloop where installed, else asyncio."""

from __future__ import annotations

import asyncio
import sys

import pytest

from offloop.processes import event_loop


async def kind_of_loop() -> str:
    return type(asyncio.get_running_loop()).__module__


def test_it_is_uvloop_where_that_is_installed() -> None:
    pytest.importorskip("uvloop")
    assert event_loop.run(kind_of_loop()) == "uvloop"


def test_without_uvloop_it_is_the_one_of_asyncio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert event_loop.run(kind_of_loop()).partition(".")[0] == "asyncio"
