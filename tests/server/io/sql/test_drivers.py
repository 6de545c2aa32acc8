"""Contract of the database drivers: the same tests on SQLite, PostgreSQL and MariaDB."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from offloop.errors import BadInput, LimitExceeded
from offloop_server.io.deadline import Deadline
from offloop_server.io.results.rows import Rows
from offloop_server.io.results.values import from_json, rendered
from offloop_server.io.sql.driver import Driver, Query, quoted
from offloop_server.io.sql.mysql.database import MySQL
from offloop_server.io.sql.postgres.database import PostgreSQL
from offloop_server.io.sql.select import select
from offloop_server.io.sql.sqlite.database import SQLite, SQLiteThreads
from support.mariadb import PASSWORD, MariaDB
from support.postgres import Postgres

pytestmark = pytest.mark.anyio

ODD = 'a "b"; DROP TABLE `orders`; -- c'


def schema(mark: str = '"', name: str = "text", index: str = "note, lower(note)") -> tuple[str, ...]:
    """Statements that make the tables, in a dialect: its quotation mark, type of names, parts of an index."""
    odd = quoted(ODD, mark)
    return (
        f"CREATE TABLE customers (id integer PRIMARY KEY, name {name} NOT NULL UNIQUE)",
        f"""CREATE TABLE orders (id integer PRIMARY KEY, customer integer NOT NULL REFERENCES customers (id),
        note {name} DEFAULT 'none', amount double precision)""",
        f"CREATE INDEX by_note ON orders ({index})",
        "CREATE VIEW totals AS SELECT customer, sum(amount) AS total FROM orders GROUP BY customer",
        f"CREATE TABLE {odd} ({odd} text)",
        "INSERT INTO customers VALUES (1, 'Ada'), (2, 'Grace')",
        "INSERT INTO orders VALUES (1, 1, 'first', 1.5), (2, 1, NULL, 2.5), (3, 2, 'third', -3), (4, 2, '', 0)",
        f"INSERT INTO {odd} VALUES ('odd')",  # noqa: S608 -- the name is quoted
    )


PG_NAME = MYSQL_NAME = "drivers"
_RECURSIVE = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 - 1 FROM c) SELECT {} FROM c"
# A recursion of MariaDB ends after 1000 steps.
_PRODUCT = "SELECT {} FROM " + ", ".join(f"(SELECT 1 AS x{n} UNION ALL SELECT 1) c{n}" for n in range(34))  # noqa: S608 -- names
ENDLESS = {"SQLite": _RECURSIVE, "PostgreSQL": _RECURSIVE, "MySQL": _PRODUCT.replace("x0", "x")}


async def _filled(server: Postgres) -> None:
    if not await server.fetch("SELECT FROM pg_database WHERE datname = $1", PG_NAME):
        await server.execute(f"CREATE DATABASE {PG_NAME}", f"CREATE ROLE {PG_NAME} LOGIN")
        grant = f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {PG_NAME}"
        await server.execute(*schema(), grant, database=PG_NAME)


async def _filled_mysql(server: MariaDB) -> None:
    if not await server.fetch("SELECT 1 FROM information_schema.schemata WHERE schema_name = %s", MYSQL_NAME):
        await server.execute(f"CREATE DATABASE {MYSQL_NAME}", f"CREATE USER {MYSQL_NAME} IDENTIFIED BY '{PASSWORD}'")
        await server.execute(f"GRANT SELECT ON {MYSQL_NAME}.* TO {MYSQL_NAME}")
        await server.execute(*schema("`", "varchar(50)", "note, amount"), database=MYSQL_NAME)


@pytest.fixture(params=["SQLite", "PostgreSQL", "MySQL"])
async def driver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    """A driver of each database product, with the same tables."""
    if request.param == "SQLite":
        path = tmp_path / "a.db"
        with sqlite3.connect(path) as connection:
            for statement in schema():
                connection.execute(statement)
        connection.close()
        threads = SQLiteThreads(4, 128)
        yield SQLite(str(path), threads)
        await threads.close()
    elif request.param == "PostgreSQL":
        server: Postgres = request.getfixturevalue("postgres")
        await _filled(server)
        database = PostgreSQL("shop", server.url(PG_NAME, PG_NAME))
        yield database
        await database.close()
    else:
        mariadb: MariaDB = request.getfixturevalue("mariadb")
        await _filled_mysql(mariadb)
        mysql = MySQL("shop", mariadb.url(MYSQL_NAME, MYSQL_NAME))
        yield mysql
        await mysql.close()


async def read(driver: Driver, query: Query | str, *, seconds: float = 30, **caps: Any) -> Rows:
    """The rows of a query."""
    rows = Rows(**{"max_rows": 100, "max_bytes": 100_000, **caps})
    await driver.run(query if isinstance(query, Query) else Query(query), rows, Deadline(seconds))
    return rows


async def test_tables_and_views_are_listed(driver: Driver) -> None:
    found = {table.name: table.kind for table in await driver.tables(Deadline(30))}
    assert found == {"customers": "table", "orders": "table", "totals": "view", ODD: "table"}


async def test_a_table_is_described_with_its_types_and_keys(driver: Driver) -> None:
    shape = await driver.shape("orders", None, Deadline(30))
    assert [column.name for column in shape.columns] == ["id", "customer", "note", "amount"]
    assert [column.nullable for column in shape.columns] == [False, False, True, True]
    assert [column.primary_key for column in shape.columns] == [True, False, False, False]
    assert (shape.columns[2].default or "").startswith("'none'")
    keys = {key.kind: (key.columns, key.references) for key in shape.keys if key.columns != ["customer"]}
    # MariaDB has no indexes on expressions, and makes one for each foreign key.
    part = "amount" if driver.dialect == "MySQL" else "<expression>"
    assert keys == {"primary": (["id"], None), "index": (["note", part], None)}
    [foreign] = [key for key in shape.keys if key.kind == "foreign"]
    assert (foreign.columns, foreign.references) == (["customer"], "customers(id)")
    assert "unique" in {key.kind for key in (await driver.shape("customers", None, Deadline(30))).keys}


@pytest.mark.parametrize("name", ["nothing", "orders'; --", "ORDERS\0", "x" * 300, ""])
async def test_an_unknown_table_is_an_error(driver: Driver, name: str) -> None:
    with pytest.raises(BadInput, match=r"There is no table|refuses|cannot be the name"):
        await driver.shape(name, None, Deadline(30))
    with pytest.raises(BadInput, match="There is no table"):
        await driver.shape("orders", "elsewhere", Deadline(30))


async def test_names_are_quoted_as_identifiers(driver: Driver) -> None:
    assert (await read(driver, select(driver, ODD, columns=[ODD]))).rows == [["odd"]]
    shape = await driver.shape(ODD, None, Deadline(30))
    assert (await read(driver, select(driver, ODD, schema=shape.table.schema, order_by=["-" + ODD]))).rows == [["odd"]]
    with pytest.raises(BadInput, match="nope"):  # SQLite takes a lone quoted word that is no column for a text
        await read(driver, select(driver, "orders", columns=["nope"]))
    with pytest.raises(BadInput, match="cannot be the name"):
        select(driver, "a\0b")


async def test_a_simple_select_is_made_of_names_and_values(driver: Driver) -> None:
    query = select(
        driver,
        "orders",
        columns=["id", "note"],
        where={"customer": [1, 2], "note": ["first", "third", "' OR 1=1 --"]},
        order_by=["-id"],
    )
    assert (await read(driver, query)).objects() == [{"id": 3, "note": "third"}, {"id": 1, "note": "first"}]
    query = select(driver, "orders", columns=["id"], where={"note": None, "amount": 2.5})
    assert (await read(driver, query)).rows == [[2]]
    with pytest.raises(BadInput, match="more than 200"):
        select(driver, "orders", where={"id": list(range(201))})


async def test_parameters_are_never_parsed_as_sql(driver: Driver) -> None:
    hostile = "'; DROP TABLE orders; --"
    sql = f"SELECT {driver.placeholder(1)} AS text, count(*) AS n FROM orders WHERE note = {driver.placeholder(2)}"  # noqa: S608 -- a placeholder
    if driver.dialect == "PostgreSQL":
        sql = sql.replace("$1", "$1::text")
    assert (await read(driver, Query(sql, [hostile, hostile]))).objects() == [{"text": hostile, "n": 0}]


@pytest.mark.parametrize("parameters", [[], [1, 2], [[1]], [{"a": 1}], [2**70]])
async def test_parameters_that_do_not_fit_are_refused(driver: Driver, parameters: list[Any]) -> None:
    with pytest.raises(BadInput):
        await read(driver, Query(f"SELECT id FROM orders WHERE id = {driver.placeholder(1)}", parameters))  # noqa: S608 -- a placeholder


async def test_bytes_go_in_and_come_out_as_base64(driver: Driver) -> None:
    cast = "::bytea" if driver.dialect == "PostgreSQL" else ""
    query = Query(f"SELECT {driver.placeholder(1)}{cast} AS data", [{"base64": "AP8="}])
    assert (await read(driver, query)).rows == [[{"base64": "AP8="}]]
    with pytest.raises(BadInput, match="does not decode"):
        await read(driver, Query(query.sql, [{"base64": "?"}]))


async def test_rows_stop_at_the_cap_and_say_so(driver: Driver) -> None:
    for cap, truncated in ((3, "rows"), (4, None), (5, None)):
        rows = await read(driver, "SELECT id FROM orders ORDER BY id", max_rows=cap)
        assert (len(rows.rows), rows.truncated_by) == (min(cap, 4), truncated)
    assert (await read(driver, ENDLESS[driver.dialect].format("x"), max_rows=3000)).truncated_by == "rows"


async def test_bytes_stop_at_the_cap_and_say_so(driver: Driver) -> None:
    rows = await read(driver, ENDLESS[driver.dialect].format("'0123456789'"), max_rows=10_000, max_bytes=10_000)
    assert rows.truncated_by == "bytes"
    assert 100 < len(rows.rows) <= 1000


async def test_equal_names_of_columns_are_numbered(driver: Driver) -> None:
    assert (await read(driver, "SELECT 1 AS a, 2 AS a, 3 AS a_2")).columns == ["a", "a_2", "a_2_2"]


async def test_explain_shows_a_plan_and_runs_nothing(driver: Driver) -> None:
    rows = await read(driver, Query(ENDLESS[driver.dialect].format("count(*)"), explain=True))
    assert any(re.search("SCAN|DERIVED", str(row), re.IGNORECASE) for row in rows.rows)


async def test_an_endless_query_is_stopped_in_time(driver: Driver) -> None:
    begun = time.monotonic()
    with pytest.raises(LimitExceeded, match=r"did not end within 0\.3 s"):
        await read(driver, ENDLESS[driver.dialect].format("count(*)"), seconds=0.3)
    assert time.monotonic() - begun < 25


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO customers VALUES (9, 'Eve')",
        "INSERT INTO customers VALUES (9, 'Eve') RETURNING id",
        "UPDATE orders SET amount = 0 RETURNING id",
        "DELETE FROM orders",
        "DROP TABLE orders",
        "CREATE TABLE more (id integer)",
        "CREATE TEMP TABLE more (id integer)",
        "ALTER TABLE orders ADD COLUMN more integer",
        "CREATE INDEX more ON orders (amount)",
        "VACUUM",
        "ANALYZE",
        "BEGIN",
        "COMMIT",
        "SAVEPOINT a",
        "SELECT 1; DELETE FROM orders",
        "SELECT 1; SELECT 2",
        "",
        "-- nothing",
        "SELEC 1",
        "SELECT nope FROM orders",
        "SELECT * FROM orders -- \0",
        "EXPLAIN ANALYZE DELETE FROM orders",
        "SELECT " + "(" * 60_000,
    ],
)
async def test_everything_but_one_reading_statement_is_refused(driver: Driver, sql: str) -> None:
    with pytest.raises(BadInput) as refused:
        await read(driver, sql)
    assert "Traceback" not in refused.value.message
    assert "/" not in refused.value.message.replace("and/or", "")
    count = await read(driver, "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM customers)")
    assert count.rows == [[4, 2]]
    assert len(await driver.tables(Deadline(30))) == 4


async def test_a_cancelled_query_ends_in_time_and_the_next_one_works(driver: Driver) -> None:
    sql = ENDLESS[driver.dialect].format("count(*)")
    tasks = [asyncio.ensure_future(read(driver, sql, seconds=60)) for _ in range(3)]
    await asyncio.wait(tasks, timeout=0.1)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=30)
    assert all(task.cancelled() for task in tasks), "each would run for a minute"
    assert (await read(driver, "SELECT 1")).rows == [[1]]


@pytest.mark.slow
async def test_a_call_cancelled_while_its_first_connection_opens_is_only_cancelled(postgres: Postgres) -> None:
    """Later and later: while it connects, asks for the rights of the role, returns the connection, and queries."""
    await _filled(postgres)
    for number in range(60):
        database = PostgreSQL("shop", postgres.url(PG_NAME, PG_NAME))
        tasks = [asyncio.ensure_future(read(database, "SELECT pg_sleep(60)", seconds=60)) for _ in range(2)]
        await asyncio.wait(tasks, timeout=number / 1500)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=30)
        assert all(task.cancelled() for task in tasks)
        await database.close()


async def test_many_concurrent_queries_are_all_answered(driver: Driver) -> None:
    answers = await asyncio.gather(*(read(driver, f"SELECT {number}") for number in range(60)))
    assert [rows.rows for rows in answers] == [[[number]] for number in range(60)]


def test_many_columns_of_one_name_are_numbered_quickly() -> None:
    rows = Rows(1, 1000)
    begun = time.process_time()
    rows.begin(["x"] * 1600 + ["x_2"], [None] * 1601)
    assert time.process_time() - begun < 1
    assert rows.columns[:3] == ["x", "x_2", "x_3"]
    assert len(set(rows.columns)) == 1601


def test_values_nested_too_deeply_stay_text_or_are_omitted() -> None:
    deep = "[" * 500 + "]" * 500
    assert from_json(deep) == deep
    assert from_json("[[1]]") == [[1]]
    value: list[object] = []
    for _ in range(400):
        value = [value]
    assert "…" in json.dumps(rendered(value), ensure_ascii=False)
