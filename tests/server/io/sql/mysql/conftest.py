"""A database to attack, and the driver with a user that may write and with one that may only read."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from offloop_server.io.sql.mysql.database import MySQL
from support.mariadb import ATTACKED as DATABASE
from support.mariadb import OPEN, PASSWORD, READER, WRITER, MariaDB
from support.waiting import eventually

SCHEMA = (
    "CREATE TABLE t (a integer PRIMARY KEY AUTO_INCREMENT, b varchar(50) UNIQUE)",
    "INSERT INTO t (b) VALUES ('first')",
    "CREATE TABLE old (a integer) ENGINE = MyISAM",
    "INSERT INTO old VALUES (1)",
    # Else it counts as crashed once another test has restarted the server, which kills it.
    "FLUSH TABLES old",
    "CREATE SEQUENCE numbers",
    "CREATE PROCEDURE proceed() BEGIN COMMIT; DELETE FROM t; COMMIT; SELECT 1; END",
    "CREATE FUNCTION deletes() RETURNS integer BEGIN DELETE FROM t; RETURN 1; END",
    "CREATE FUNCTION empties() RETURNS integer BEGIN DELETE FROM old; RETURN 1; END",
    f"CREATE USER {WRITER} IDENTIFIED BY '{PASSWORD}'",
    f"GRANT ALL PRIVILEGES ON {DATABASE}.* TO {WRITER}",
    f"GRANT EXECUTE ON {DATABASE}.* TO {READER}",
)


@pytest.fixture
async def server(mariadb: MariaDB) -> MariaDB:
    """The server, with a database to attack."""
    if not await mariadb.fetch("SELECT 1 FROM information_schema.schemata WHERE schema_name = %s", DATABASE):
        await mariadb.execute(f"CREATE DATABASE {DATABASE}")
        await mariadb.execute(*SCHEMA, database=DATABASE)
    return mariadb


@pytest.fixture(params=[WRITER, READER])
async def database(request: pytest.FixtureRequest, server: MariaDB) -> AsyncIterator[MySQL]:
    """With a user that may write and with one that may only read; checks that no connection is left."""
    made = MySQL("shop", server.url(request.param, DATABASE))
    yield made
    await made.close()
    await made.close()

    async def none_left() -> bool:
        return not await server.fetch(OPEN, DATABASE)

    await eventually(none_left, "every connection is closed")
