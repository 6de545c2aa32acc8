"""SQL tools: listing, arguments, answers, and safe CSV files."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from arq.connections import ArqRedis
from mcp_types import CallToolResult, TextContent

from offloop import settings as configuration
from offloop.artifacts.store import ArtifactStore
from offloop.errors import BadInput, LimitExceeded
from offloop_server.io.catalogue_tools import catalogue_tools
from offloop_server.io.databases import Databases
from offloop_server.io.results.reads import Reads
from offloop_server.io.sql.queries import Queries
from offloop_server.io.sql.tools import sql_tools
from offloop_server.toolkit.services import AnyTool
from support.mariadb import MariaDB
from support.postgres import Postgres
from support.services import only, principal

pytestmark = pytest.mark.anyio


ALICE = principal("alice")
MEANT = ["=1+1", "+cmd", "-cmd", "@x", "\tx", "\N{FULLWIDTH EQUALS SIGN}1", " =1", "plain", "-5", "a|b\n<i>", 'q"u,o']


@dataclass
class Tools:
    """Tools of one front end."""

    box: dict[str, AnyTool]
    store: ArtifactStore

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The structured answer of a call."""
        return cast("dict[str, Any]", (await self.result(tool, **arguments)).structured_content)

    async def result(self, tool: str, **arguments: Any) -> CallToolResult:
        """The complete answer of a call."""
        return await self.box[tool].call(arguments, ALICE)

    async def file(self, answer: dict[str, Any]) -> bytes:
        """The bytes of the artifact of an answer."""
        artifact = await self.store.get(answer["artifact"]["artifact_id"], principal="alice")
        return b"".join([piece async for piece in self.store.stream(artifact)])


Make = Callable[..., Any]


@pytest.fixture
async def make(redis: ArqRedis, tmp_path: Path) -> AsyncIterator[Make]:
    """A factory of tools for given connections."""
    async with AsyncExitStack() as stack:

        async def made(**variables: str) -> Tools:
            given = {f"OFFLOOP_{name.upper()}": value for name, value in variables.items()}
            settings = configuration.load(given)
            store = ArtifactStore((tmp_path / "artifacts").as_uri(), redis, retention_seconds=60)
            services = only(settings=settings, redis=redis, store=store)
            databases = await stack.enter_async_context(Databases(settings))
            reads = Reads(store, settings.query_seconds)
            tools = [
                *catalogue_tools(services, databases, reads),
                *sql_tools(services, databases.sql, Queries(databases.sql, reads)),
            ]
            return Tools({tool.name: tool for tool in tools}, store)

        yield made


@pytest.fixture
def shop(tmp_path: Path) -> str:
    """The URL of a SQLite database."""
    connection = sqlite3.connect(tmp_path / "shop.db")
    connection.execute("CREATE TABLE notes (id integer PRIMARY KEY, note text)")
    connection.executemany("INSERT INTO notes (note) VALUES (?)", [(note,) for note in MEANT])
    connection.commit()
    connection.close()
    return f"sqlite:///{tmp_path}/shop.db"


async def test_tools_are_listed_only_for_configured_databases(make: Make, shop: str) -> None:
    assert list((await make()).box) == []
    assert list((await make(sql_shop=shop)).box) == ["list_tables", "describe_table", "query_records"]
    postgres = "postgresql://user@host/x"  # not opened before its first query
    assert list((await make(sql_x=postgres)).box) == ["list_tables", "describe_table", "query_postgres"]
    for tool in (await make(sql_shop=shop, sql_x=postgres)).box.values():
        described = tool.describe()
        assert described.annotations is not None
        assert described.annotations.read_only_hint
        assert described.output_schema is not None


async def test_an_unknown_connection_is_an_error_that_lists_the_known_ones(make: Make, shop: str) -> None:
    tools = await make(sql_shop=shop, sql_other=shop, sql_pg="postgresql://u:secret@host/x")
    for name, message in (("nope", "no connection 'nope'"), (None, "Say which"), ("pg", "no connection 'pg'")):
        with pytest.raises(BadInput, match=message) as refused:
            await tools.call("query_records", connection=name, sql="SELECT 1")
        assert "other, shop" in refused.value.message
        assert "secret" not in refused.value.message
    answer = await tools.call("query_records", connection="shop", sql="SELECT 1 AS one")
    assert (answer["connection"], answer["rows"]) == ("shop", [{"one": 1}])


async def test_tables_are_listed_described_and_sampled(make: Make, shop: str) -> None:
    tools = await make(sql_shop=shop)
    listed = await tools.call("list_tables")
    assert listed["tables"] == [{"schema_name": "main", "name": "notes", "kind": "table", "rows": None}]
    assert (await tools.call("list_tables", contains="x"))["tables"] == []
    shape = await tools.call("describe_table", table="notes", sample_rows=2)
    assert [column["name"] for column in shape["columns"]] == ["id", "note"]
    assert shape["sample"] == [{"id": 1, "note": "=1+1"}, {"id": 2, "note": "+cmd"}]
    assert (await tools.call("describe_table", table="notes"))["sample"] == []


async def test_postgres_answers_in_the_same_shape(make: Make, postgres: Postgres) -> None:
    await postgres.execute("CREATE TABLE IF NOT EXISTS shaped (a integer PRIMARY KEY, b text)")
    tools = await make(sql_pg=postgres.url())
    answer = await tools.call("query_postgres", sql="SELECT $1::int AS a, 1.50 AS b", parameters=[7])
    assert answer["rows"] == [{"a": 7, "b": "1.50"}]
    assert answer["columns"] == [{"name": "a", "type": "int4"}, {"name": "b", "type": "numeric"}]
    assert (await tools.call("query_postgres", table="shaped", schema_name="public"))["row_count"] == 0
    assert (await tools.call("describe_table", table="shaped"))["table"]["schema_name"] == "public"
    plan = await tools.call("query_postgres", sql="SELECT * FROM shaped", explain=True)
    assert "Scan" in plan["rows"][0]["QUERY PLAN"]


async def test_mysql_answers_in_the_same_shape(make: Make, mariadb: MariaDB) -> None:
    await mariadb.execute(
        "CREATE DATABASE IF NOT EXISTS shaped", "CREATE OR REPLACE TABLE shaped.t (a integer PRIMARY KEY, `b``c` text)"
    )
    tools = await make(sql_my=mariadb.url(database="shaped").replace("mysql:", "mariadb:"))
    answer = await tools.call("query_mysql", sql="SELECT ? AS a, 1.50 AS b", parameters=[7])
    assert answer["rows"] == [{"a": 7, "b": "1.50"}]
    assert answer["columns"] == [{"name": "a", "type": "bigint"}, {"name": "b", "type": "decimal"}]
    parts = {"columns": ["b`c"], "where": {"a": [1, 2]}, "order_by": ["-b`c"]}
    assert (await tools.call("query_mysql", table="t", schema_name="shaped", **parts))["row_count"] == 0
    assert (await tools.call("describe_table", table="t"))["table"]["schema_name"] == "shaped"
    assert "shaped" in {table["schema_name"] for table in (await tools.call("list_tables"))["tables"]}
    assert (await tools.call("query_mysql", table="t", explain=True))["rows"][0]["table"] == "t"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, "either sql or table"),
        ({"sql": "SELECT 1", "table": "notes"}, "either sql or table"),
        ({"sql": "SELECT 1", "where": {"a": 1}}, "go with table"),
        ({"table": "notes", "parameters": [1]}, "go with sql"),
        ({"sql": "SELECT 1", "max_rows": 1001}, "save=true"),
        ({"sql": "SELECT 1", "max_rows": 0}, "max_rows"),
        ({"sql": "SELECT 1", "max_bytes": 1 << 20}, "save=true"),
        ({"sql": "SELECT 1", "timeout_seconds": 0}, "timeout_seconds"),
        ({"sql": "SELECT 1", "format": "xml"}, "format"),
        ({"sql": "x" * 100_001}, "sql"),
        ({"sqll": "SELECT 1"}, "did you mean sql"),
    ],
)
async def test_arguments_that_do_not_fit_are_refused_before_anything_runs(
    make: Make, shop: str, arguments: dict[str, Any], expected: str
) -> None:
    with pytest.raises(BadInput, match=expected):
        await (await make(sql_shop=shop)).call("query_records", **arguments)


async def test_truncation_is_reported(make: Make, shop: str) -> None:
    tools = await make(sql_shop=shop)
    result = await tools.result("query_records", table="notes", max_rows=3, order_by=["-id"])
    answer = result.structured_content
    assert (answer["row_count"], answer["truncated"], answer["truncated_by"]) == (3, True, "rows")
    texts = [block.text for block in result.content if isinstance(block, TextContent)]
    assert "max_rows was reached" in texts[0]
    assert "| id | note |" in texts[1]
    long = await tools.call("query_records", sql="SELECT hex(zeroblob(20000)) AS a")
    assert (long["cut_values"], long["truncated"]) == (1, False)
    assert long["rows"][0]["a"].endswith("(23616 more characters)")


async def test_the_server_bounds_the_time_whatever_is_asked_for(make: Make, shop: str) -> None:
    tools = await make(sql_shop=shop, query_seconds="0.2")
    with pytest.raises(LimitExceeded, match=r"within 0\.2 s"):
        await tools.call(
            "query_records",
            sql="WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c",
            timeout_seconds=100,
        )


async def test_csv_contains_no_formula_for_a_spreadsheet(make: Make, shop: str) -> None:
    tools = await make(sql_shop=shop)
    answer = await tools.call("query_records", sql='SELECT id AS "=id", note, -1.5, NULL FROM notes', format="csv")
    header, *rows = csv.reader(io.StringIO(answer["text"], newline=""))
    assert header[0] == "'=id"
    for meant, (_, note, number, nothing) in zip(MEANT, rows, strict=True):
        dangerous = meant in MEANT[:7]
        assert note == ("'" + meant if dangerous else meant)
        assert (number, nothing) == ("-1.5", "")
    assert answer["rows"] is None


async def test_json_keeps_values_unchanged_and_markdown_stays_a_table(make: Make, shop: str) -> None:
    tools = await make(sql_shop=shop)
    made = await tools.call("query_records", sql="SELECT note FROM notes", format="json")
    assert [row["note"] for row in json.loads(made["text"])] == MEANT
    table = (await tools.call("query_records", sql="SELECT note FROM notes", format="markdown"))["text"]
    assert len(table.splitlines()) == len(MEANT) + 2
    assert r"a\|b<br>&lt;i>" in table


@pytest.mark.parametrize(("form", "mime"), [(None, "text/csv"), ("json", "application/json"), ("markdown", "text/m")])
async def test_saved_rows_are_an_artifact_of_the_caller(make: Make, shop: str, form: str | None, mime: str) -> None:
    tools = await make(sql_shop=shop)
    sql = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 5000) SELECT x, hex(x) AS h FROM c"
    answer = await tools.call("query_records", sql=sql, save=True, max_rows=4000, format=form)
    assert (answer["row_count"], answer["truncated_by"], answer["rows"], answer["text"]) == (4000, "rows", None, None)
    assert answer["artifact"]["mime_type"].startswith(mime)
    content = await tools.file(answer)
    assert len(content) == answer["artifact"]["size"]
    if form == "json":
        assert len(json.loads(content)) == 4000
    else:
        assert content.count(b"\n") == 4000 + (1 if form is None else 2)
