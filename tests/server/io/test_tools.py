"""Tools for outside sources: a front end without any loads none of their libraries."""

from __future__ import annotations

import subprocess
import sys

LIBRARIES = ("aiohttp", "asyncpg", "markdownify")


def loaded_after(code: str) -> list[str]:
    """The libraries that a new interpreter has loaded after this code."""
    report = f"import sys; print(*[name for name in {LIBRARIES} if name in sys.modules])"
    return subprocess.check_output([sys.executable, "-c", f"{code}\n{report}"], text=True).split()


OPEN = """
import asyncio
import offloop_server.app
from offloop.settings import load
from offloop_server.io.tools import io_tools

async def open_and_close(variables):
    async with io_tools(load(variables), None):
        pass

asyncio.run(open_and_close(%r))
"""


def test_a_front_end_without_outside_sources_loads_none_of_their_libraries() -> None:
    assert loaded_after(OPEN % {}) == []


def test_a_front_end_that_may_fetch_loads_them() -> None:
    assert "aiohttp" in loaded_after(OPEN % {"OFFLOOP_FETCH_HOSTS": "example.org"})
