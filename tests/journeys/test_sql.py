"""SQL tools through a real front end: reads, disconnects, and a stop during a query."""

from __future__ import annotations

import asyncio
import signal

import pytest

from support.mariadb import MariaDB
from support.postgres import Postgres
from support.stack.client import begin_call
from support.stack.guests import guest_front_end
from support.stack.stack import Stack
from support.waiting import eventually

pytestmark = pytest.mark.anyio

ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
SLEEPING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = 'journeys' AND state <> 'idle' AND pid <> pg_backend_pid()"
)


async def running(postgres: Postgres, count: int) -> None:
    """Wait until that many queries run."""

    async def as_many() -> bool:
        return await postgres.fetch(SLEEPING) == [(count,)]

    await eventually(as_many, f"{count} queries run", 20)


async def test_databases_are_listed_described_read_and_saved(full_stack: Stack, postgres: Postgres) -> None:  # noqa: ARG001 -- skips without PostgreSQL
    async with full_stack.client() as caller:
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


async def test_mysql_is_listed_described_read_and_saved(full_stack: Stack, mariadb: MariaDB) -> None:
    await mariadb.execute("CREATE TABLE notes (id integer PRIMARY KEY, note text)", database="journeys")
    await mariadb.execute("INSERT INTO notes VALUES (1, 'first')", database="journeys")
    async with full_stack.client() as caller:
        assert {"list_tables", "describe_table", "query_mysql"} <= set(await caller.tools())
        tables = (await caller.call("list_tables", connection="my")).data["tables"]
        assert ["journeys", "notes"] in [[table["schema_name"], table["name"]] for table in tables]
        shape = (await caller.call("describe_table", connection="my", table="notes", sample_rows=1)).data
        assert (shape["columns"][0]["type"], shape["sample"]) == ("int(11)", [{"id": 1, "note": "first"}])
        answer = await caller.call("query_mysql", sql="SELECT note FROM notes WHERE id = ?", parameters=[1])
        assert answer.data["rows"] == [{"note": "first"}]
        saved = await caller.call("query_mysql", table="notes", save=True)
        assert await caller.download(saved.data["artifact"]) == b"id,note\r\n1,first\r\n"
        for sql in (
            "DELETE FROM notes",
            "SELECT 1; SELECT 2",
            "SELECT 1 INTO OUTFILE '/tmp/x'",
            "OPTIMIZE TABLE notes",
        ):
            assert (await caller.call("query_mysql", sql=sql)).is_error
        slow = await caller.call("query_mysql", sql="SELECT SLEEP(40)", timeout_seconds=0.5)
        assert slow.is_error
        gathered = await caller.call("gather_sources", sources={"a": {"query": "SELECT 1 AS a", "connection": "my"}})
        assert gathered.data["data"]["a"]["rows"] == [{"a": 1}]


async def test_a_disconnected_client_leaves_no_statement_in_mysql(full_stack: Stack, mariadb: MariaDB) -> None:
    endpoint = full_stack.front_ends[0].endpoint
    sql = "SELECT SLEEP(40) FROM information_schema.tables"
    sleeping = "SELECT count(*) FROM information_schema.processlist WHERE db = 'journeys' AND command <> 'Sleep'"
    arguments = {"sql": sql, "timeout_seconds": 40}
    connection = await asyncio.to_thread(begin_call, endpoint, full_stack.new_key(), "query_mysql", arguments)

    async def runs() -> bool:
        return await mariadb.fetch(sleeping) == [(1,)]

    async def ended() -> bool:
        return await mariadb.fetch(sleeping) == [(0,)]

    await eventually(runs, "the query runs")
    connection.close()
    await eventually(ended, "the query has ended")


async def test_a_disconnected_client_leaves_no_query(full_stack: Stack, postgres: Postgres) -> None:
    endpoint = full_stack.front_ends[0].endpoint
    for tool, sql in (("query_postgres", "SELECT pg_sleep(40)"), ("query_records", ENDLESS)):
        arguments = {"sql": sql, "timeout_seconds": 40}
        connection = await asyncio.to_thread(begin_call, endpoint, full_stack.new_key(), tool, arguments)
        if tool == "query_postgres":
            await running(postgres, 1)
        connection.close()
    await running(postgres, 0)
    async with full_stack.client() as caller:  # the only thread is free
        answer = await caller.call("query_records", sql="SELECT 1 AS a", timeout_seconds=20)
        assert answer.data["rows"] == [{"a": 1}]


async def test_a_front_end_that_stops_does_not_wait_for_queries(full_stack: Stack, postgres: Postgres) -> None:
    """It ends long before the queries would, whose limit is 50 seconds."""
    calls = [("query_postgres", "SELECT pg_sleep(50)"), ("query_records", ENDLESS)]
    with guest_front_end(full_stack) as front_end:
        connections = [
            await asyncio.to_thread(
                begin_call, front_end.endpoint, full_stack.new_key(), tool, {"sql": sql, "timeout_seconds": 50}
            )
            for tool, sql in calls
        ]
        await running(postgres, 1)
        assert await asyncio.to_thread(front_end.stop, 30) in (0, -signal.SIGTERM)
        for connection in connections:
            connection.close()
    await running(postgres, 0)
