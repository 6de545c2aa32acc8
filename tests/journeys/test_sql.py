"""SQL tools through a real front end: reads, disconnects, and a stop during a query."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.postgres import Postgres
from support.stack.client import begin_call
from support.stack.stack import Stack

pytestmark = pytest.mark.anyio

ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
SLEEPING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = 'journeys' AND state <> 'idle' AND pid <> pg_backend_pid()"
)


@pytest.fixture
async def shop(new_stack: Callable[..., Stack], postgres: Postgres, tmp_path: Path) -> Stack:
    """A front end, no worker, and two databases."""
    if not await postgres.fetch("SELECT FROM pg_database WHERE datname = 'journeys'"):
        await postgres.execute("CREATE DATABASE journeys")
    connection = sqlite3.connect(tmp_path / "shop.db")
    connection.execute("CREATE TABLE notes (id integer PRIMARY KEY, note text)")
    connection.execute("INSERT INTO notes (note) VALUES ('first')")
    connection.commit()
    connection.close()
    stack = new_stack(
        sql_lite=f"sqlite:///{tmp_path}/shop.db",
        sql_pg=postgres.url(database="journeys"),
        query_threads=1,
        query_seconds=50,
    )
    stack.front_end()
    return stack


async def running(postgres: Postgres, count: int) -> None:
    """Wait until that many queries run."""
    async with asyncio.timeout(10):
        while await postgres.fetch(SLEEPING) != [(count,)]:
            pass


async def test_databases_are_listed_described_read_and_saved(shop: Stack) -> None:
    async with shop.client() as caller:
        names = set(await caller.tools())
        assert {"list_tables", "describe_table", "query_records", "query_postgres", "gather_sources"} <= names
        assert (await caller.call("list_tables", connection="lite")).data["tables"][0]["name"] == "notes"
        answer = await caller.call("query_records", table="notes", where={"id": 1})
        assert answer.data["rows"] == [{"id": 1, "note": "first"}]
        saved = await caller.call("query_postgres", sql="SELECT 1 AS one", save=True)
        assert await caller.download(saved.data["artifact"]) == b"one\r\n1\r\n"
        refused = await caller.call("query_postgres", sql="DELETE FROM notes")
        assert refused.is_error
        both = await caller.call(
            "gather_sources",
            sources={
                "a": {"query": "SELECT 1 AS a", "connection": "lite"},
                "b": {"query": "SELECT 2 AS b", "connection": "pg"},
            },
        )
        assert [both.data["data"][name]["rows"] for name in "ab"] == [[{"a": 1}], [{"b": 2}]]


async def test_a_disconnected_client_leaves_no_query(shop: Stack, postgres: Postgres) -> None:
    endpoint = shop.front_ends[0].endpoint
    for tool, sql in (("query_postgres", "SELECT pg_sleep(40)"), ("query_records", ENDLESS)):
        arguments = {"sql": sql, "timeout_seconds": 40}
        connection = await asyncio.to_thread(begin_call, endpoint, shop.new_key(), tool, arguments)
        if tool == "query_postgres":
            await running(postgres, 1)
        connection.close()
    await running(postgres, 0)
    async with shop.client() as caller:  # the only thread is free
        answer = await caller.call("query_records", sql="SELECT 1 AS a", timeout_seconds=10)
        assert answer.data["rows"] == [{"a": 1}]


async def test_a_front_end_that_stops_does_not_wait_for_queries(shop: Stack, postgres: Postgres) -> None:
    front_end = shop.front_ends[0]
    calls = [("query_postgres", "SELECT pg_sleep(40)"), ("query_records", ENDLESS)]
    connections = [
        await asyncio.to_thread(
            begin_call, front_end.endpoint, shop.new_key(), tool, {"sql": sql, "timeout_seconds": 40}
        )
        for tool, sql in calls
    ]
    await running(postgres, 1)
    begun = time.monotonic()
    await asyncio.to_thread(front_end.stop, 20)
    assert time.monotonic() - begun < 15
    for connection in connections:
        connection.close()
    await running(postgres, 0)
