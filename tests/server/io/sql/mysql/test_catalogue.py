"""MySQL: tables, keys and views as their user may see them."""

from __future__ import annotations

import pytest

from offloop.errors import BadInput
from offloop_server.io.deadline import Deadline
from offloop_server.io.results.rows import Rows
from offloop_server.io.sql.driver import Query
from offloop_server.io.sql.mysql.database import MySQL
from support.mariadb import ATTACKED as DATABASE
from support.mariadb import PASSWORD, MariaDB, read

pytestmark = pytest.mark.anyio


async def test_a_view_whose_plan_may_not_be_seen_can_be_read(server: MariaDB) -> None:
    await server.execute(
        "CREATE OR REPLACE VIEW shown AS SELECT b FROM t",
        f"CREATE OR REPLACE USER narrow IDENTIFIED BY '{PASSWORD}'",
        "GRANT SELECT ON shown TO narrow",
        database=DATABASE,
    )
    database = MySQL("shop", server.url("narrow", DATABASE))
    assert (await read(database, "SELECT * FROM shown")).rows == [["first"]]
    with pytest.raises(BadInput, match="1345"):
        await database.run(Query("SELECT * FROM shown", explain=True), Rows(9, 999), Deadline(30))
    with pytest.raises(BadInput, match="denied to the user"):
        await read(database, "SELECT * FROM t")
    assert [table.name for table in await database.tables(Deadline(30))] == ["shown"]
    await database.close()
    await server.execute("DROP VIEW shown", database=DATABASE)


async def test_a_table_is_described_with_generated_columns_and_keys_across_databases(server: MariaDB) -> None:
    other = f"{DATABASE}_other"
    await server.execute(
        f"CREATE DATABASE {other}",
        f"CREATE TABLE {other}.target (x integer PRIMARY KEY)",
        "CREATE TABLE described (a integer PRIMARY KEY AUTO_INCREMENT, c integer DEFAULT 7, b integer AS (c + 1), "
        "d timestamp DEFAULT current_timestamp(), e text, UNIQUE KEY pair (c, b), "
        f"FOREIGN KEY far (c) REFERENCES {other}.target (x))",
        database=DATABASE,
    )
    database = MySQL("shop", server.url(database=DATABASE))
    shape = await database.shape("described", None, Deadline(30))
    assert [column.default for column in shape.columns] == [
        *("auto_increment", "7", "generated: `c` + 1", "current_timestamp()", None),
    ]
    keys = {(key.kind, tuple(key.columns), key.references) for key in shape.keys}
    assert ("foreign", ("c",), f"{other}.target(x)") in keys
    assert ("unique", ("c", "b"), None) in keys
    assert (await database.shape("target", other, Deadline(30))).table.schema == other
    await database.close()
    await server.execute("DROP TABLE described", f"DROP DATABASE {other}", database=DATABASE)
