"""MySQL: cancellation, connections without state, recovery of the pool; locks."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import aiomysql
import anyio
import pytest

from offloop.errors import Busy, LimitExceeded, Unavailable
from offloop_server.io.sql.mysql import pool as mysql_pool
from offloop_server.io.sql.mysql.database import MySQL
from support.mariadb import ATTACKED as DATABASE
from support.mariadb import OPEN, READER, ROOT, MariaDB, read, running
from support.processes import freeze
from support.waiting import eventually

pytestmark = pytest.mark.anyio


async def test_a_cancelled_call_stops_the_statement_on_the_server(database: MySQL, server: MariaDB) -> None:
    """By cancelling the task, and by an anyio scope, which cancels at every await."""
    await read(database, "SELECT 1")
    task = asyncio.ensure_future(read(database, "SELECT BENCHMARK(1000000000000, 1)", seconds=60))
    await running(server, 1)
    task.cancel()
    await asyncio.wait([task], timeout=30)
    assert task.cancelled()
    await running(server, 0)
    for number in range(12):  # more often than there are connections, and later and later
        with anyio.move_on_after(0.003 * number):
            await read(database, "SELECT SLEEP(60)", seconds=60)
        await running(server, 0)
    assert (await read(database, "SELECT 1")).rows == [[1]]


async def test_cancelled_calls_while_rows_come_leave_no_half_read_connection(database: MySQL, server: MariaDB) -> None:
    for number in range(8):
        with anyio.move_on_after(0.004 * number):
            await read(
                database, "SELECT seq, REPEAT('x', 1000) FROM seq_1_to_1000000000", max_rows=10**6, max_bytes=1 << 30
            )
        assert (await read(database, "SELECT ?", f"mine {number}")).rows == [[f"mine {number}"]]
    await running(server, 0)


async def test_a_connection_keeps_no_state_of_the_query_before(database: MySQL) -> None:
    for _ in range(3):
        await read(database, "SELECT GET_LOCK('held', 5), @a := 7, LAST_INSERT_ID(9)")
        rows = await read(
            database, "SELECT IS_FREE_LOCK('held'), @a, LAST_INSERT_ID(), @@in_transaction, @@tx_read_only"
        )
        assert rows.rows == [[1, None, 0, 1, 0]]
        assert len(database.pool.idle) == 1


async def test_a_locked_table_is_a_clear_error_in_time(database: MySQL, server: MariaDB) -> None:
    writer = await aiomysql.connect(user=ROOT, unix_socket=str(server.folder / "socket"), db=DATABASE)
    async with writer.cursor() as cursor:
        await cursor.execute("LOCK TABLES t WRITE")
        begun = time.monotonic()
        with pytest.raises(Unavailable, match="locked by a writer"):
            await read(database, "SELECT * FROM t", seconds=50)
        assert time.monotonic() - begun < 25
    writer.close()
    assert len((await read(database, "SELECT * FROM t")).rows) == 1


async def test_ten_connections_are_the_maximum_and_waiting_is_bounded(database: MySQL, server: MariaDB) -> None:
    tasks = [asyncio.ensure_future(read(database, "SELECT SLEEP(60)", seconds=60)) for _ in range(14)]
    await running(server, 10)
    with pytest.raises(Busy, match=r"busy for 0\.2 s"):
        await read(database, "SELECT 1", seconds=0.2)
    await running(server, 10)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=30)
    assert all(task.cancelled() for task in tasks)
    await running(server, 0)
    assert (await read(database, "SELECT 1")).rows == [[1]]


async def idle(database: MySQL, server: MariaDB, count: int = 10) -> list[int]:
    """Open that many connections of the pool, idle; returns their numbers."""
    gate = await aiomysql.connect(user=ROOT, unix_socket=str(server.folder / "socket"), autocommit=True)
    async with gate.cursor() as cursor:
        await cursor.execute("SELECT GET_LOCK('gate', 5)")
        tasks = [asyncio.ensure_future(read(database, "SELECT GET_LOCK('gate', 50)")) for _ in range(count)]
        await running(server, count)
    gate.close()
    await asyncio.gather(*tasks)
    assert len(database.pool.idle) == count
    return [number for (number,) in await server.fetch(OPEN, DATABASE)]


async def cut(server: MariaDB) -> None:
    """End all connections of the pool on the server."""
    for (number,) in await server.fetch(OPEN, DATABASE):
        await server.execute(f"KILL {number}")


@pytest.mark.parametrize("queries", [1, 10, 30])
async def test_connections_closed_while_idle_fail_no_query(database: MySQL, server: MariaDB, queries: int) -> None:
    """With one query that gets them one after the other, and with many concurrent queries."""
    await idle(database, server)
    await cut(server)
    ones = await asyncio.gather(*(read(database, "SELECT ?", number) for number in range(queries)))
    assert [one.rows for one in ones] == [[[number]] for number in range(queries)]


async def test_a_lost_connection_fails_only_the_query_on_it(database: MySQL, server: MariaDB) -> None:
    await idle(database, server)
    task = asyncio.ensure_future(read(database, "SELECT SLEEP(60)", seconds=60))
    await running(server, 1)
    await cut(server)
    ones = await asyncio.gather(*(read(database, "SELECT 1") for _ in range(30)))
    assert [one.rows for one in ones] == [[[1]]] * 30
    with pytest.raises(Unavailable, match="does not answer"):
        await task


async def test_idle_connections_are_closed_after_a_while(
    database: MySQL, server: MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mysql_pool, "_IDLE_SECONDS", 0.05)
    await read(database, "SELECT 1")

    async def none_open() -> bool:
        return not await server.fetch(OPEN, DATABASE)

    await eventually(none_open)
    assert not database.pool.idle
    assert (await read(database, "SELECT 1")).rows == [[1]]


async def test_connections_recover_after_a_restart_of_the_server(database: MySQL, server: MariaDB) -> None:
    await idle(database, server)
    await asyncio.to_thread(server.stop)
    begun = time.monotonic()
    for _ in range(2):
        with pytest.raises(Unavailable, match="does not answer") as refused:
            await read(database, "SELECT 1", seconds=20)
        assert str(server.folder) not in refused.value.message
    assert time.monotonic() - begun < 15
    await asyncio.to_thread(server.start)
    ones = await asyncio.gather(*(read(database, "SELECT 1") for _ in range(30)))
    assert [one.rows for one in ones] == [[[1]]] * 30


async def test_a_frozen_server_costs_no_more_than_the_time_of_the_query(
    database: MySQL, server: MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mysql_pool, "_CLEANUP_SECONDS", 0.5)
    await idle(database, server)
    freeze(server.pid)
    try:
        begun = time.monotonic()
        ended = await asyncio.gather(
            *(read(database, "SELECT 1", seconds=1) for _ in range(12)), return_exceptions=True
        )
        assert all(isinstance(one, (LimitExceeded, Unavailable, Busy)) for one in ended), ended
        assert time.monotonic() - begun < 20
    finally:
        os.kill(server.pid, signal.SIGCONT)
    assert (await read(database, "SELECT 1")).rows == [[1]]


async def test_idle_connections_without_an_answer_are_replaced(
    database: MySQL, server: MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a failover, when the first host has vanished without closing connections."""
    monkeypatch.setattr(mysql_pool, "_LIVENESS_SECONDS", 0.3)
    await idle(database, server, 3)
    for session in database.pool.idle:
        session._reader.feed_data = id  # the answers of these connections get lost
    ones = await asyncio.gather(*(read(database, "SELECT 1", seconds=50) for _ in range(2)))
    assert [one.rows for one in ones] == [[[1]], [[1]]]


@pytest.mark.slow
async def test_a_call_cancelled_while_its_first_connection_opens_is_only_cancelled(server: MariaDB) -> None:
    """Later and later: while it connects, logs in over TLS, asks for the rights of the user, and queries."""
    for number in range(60):
        database = MySQL("shop", server.url(READER, DATABASE, tcp="ssl-mode=REQUIRED"))
        tasks = [asyncio.ensure_future(read(database, "SELECT SLEEP(60)", seconds=60)) for _ in range(2)]
        await asyncio.wait(tasks, timeout=number / 1500)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=30)
        assert all(task.cancelled() for task in tasks)
        await database.close()
    await running(server, 0)
