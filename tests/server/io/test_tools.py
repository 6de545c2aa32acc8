"""Tools for outside sources: a front end without any loads none of their libraries."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

STORES = ("offloop_server.io.redis.store", "pymongo", "aiomysql", "asyncpg")
LIBRARIES = ("aiohttp", "turbohtml", "pymysql", *STORES)


PROGRAM = f"""
import asyncio, json, sys
import offloop_server.app
from offloop.settings import load
from offloop_server.io.tools import io_tools

async def loaded_after(variables):
    async with io_tools(load(variables), None):
        return [name for name in {LIBRARIES} if name in sys.modules]

print(json.dumps([asyncio.run(loaded_after(variables)) for variables in json.loads(sys.argv[1])]))
"""


@pytest.mark.slow
def test_a_front_end_loads_libraries_of_outside_sources_only_where_one_is_configured() -> None:
    """Without a source, then with one after another, in one new interpreter: this one has loaded everything."""
    variables: list[dict[str, str]] = [
        {},
        {"OFFLOOP_FETCH_HOSTS": "example.org"},
        {"OFFLOOP_SOURCE_KEYS": "redis://host?prefix=a"},
        {"OFFLOOP_SOURCE_DOCS": "mongodb://host/shop"},
        {"OFFLOOP_SQL_A": "mysql://reader@localhost/a"},
        {"OFFLOOP_SQL_PG": "postgresql://host/shop"},
    ]
    answer = subprocess.check_output([sys.executable, "-c", PROGRAM, json.dumps(variables)], text=True)
    without, fetching, *others = json.loads(answer)
    assert without == []
    assert "aiohttp" in fetching
    loaded = [{*STORES} & {*names} for names in (fetching, *others)]
    assert loaded == [{*STORES[:count]} for count in range(len(STORES) + 1)]
