"""SQLite: read-only access, limits, concurrent writers, threads freed after every call."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import pytest

from offloop.errors import BadInput, Busy, LimitExceeded, OffloopError, Unavailable
from offloop_server.io.deadline import Deadline
from offloop_server.io.results.rows import Rows
from offloop_server.io.sql.driver import Query
from offloop_server.io.sql.sqlite.database import SQLite, SQLiteThreads, path_of
from support.waiting import poll

pytestmark = pytest.mark.anyio

COUNT = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT {} FROM c"
WRITER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA synchronous = OFF")
number = 0
while True:
    number += 1
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO t VALUES (?, 'written')", (number,))
    connection.execute("INSERT INTO t VALUES (?, 'written')", (-number,))
    connection.execute("COMMIT")
    if number == 10:
        print("writing", flush=True)
"""


@pytest.fixture
async def threads() -> AsyncIterator[SQLiteThreads]:
    """Two threads; after the test both must be free."""
    made = SQLiteThreads(2, 128)
    yield made
    async with asyncio.timeout(30):
        await made._free.acquire()
        await made._free.acquire()
    await made.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with tables, virtual tables and WAL, in its own folder."""
    file = tmp_path / "db" / "shop.db"
    file.parent.mkdir()
    connection = sqlite3.connect(file)
    connection.executescript("""
        PRAGMA journal_mode = WAL;
        CREATE TABLE t (a integer, b text);
        INSERT INTO t VALUES (0, 'first');
        CREATE VIRTUAL TABLE words USING fts5(text);
        INSERT INTO words VALUES ('hello there'), ('good bye');
        CREATE VIRTUAL TABLE boxes USING rtree(id, low, high);
        INSERT INTO boxes VALUES (1, 2, 3);
    """)
    connection.close()
    return file


async def read(database: SQLite, sql: str, parameters: Any = (), *, seconds: float = 30, **caps: int) -> Rows:
    """The rows of a query."""
    rows = Rows(**{"max_rows": 1000, "max_bytes": 1 << 20, **caps})
    await database.run(
        Query(sql, parameters if isinstance(parameters, dict) else list(parameters)), rows, Deadline(seconds)
    )
    return rows


def contents(folder: Path) -> dict[str, str]:
    """Digests of the files of a folder, except the two files that readers of a WAL database create."""
    return {
        found.name: hashlib.sha256(found.read_bytes()).hexdigest()
        for found in folder.iterdir()
        if not found.name.endswith(("-wal", "-shm"))
    }


HOSTILE = [
    "ATTACH '{folder}/other.db' AS other",
    "ATTACH 'file:{folder}/shop.db?mode=rwc' AS other",
    "VACUUM INTO '{folder}/copy.db'",
    "PRAGMA writable_schema = 1",
    "PRAGMA query_only = 0",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    "PRAGMA user_version = 7",
    "PRAGMA hard_heap_limit = 0",
    "PRAGMA temp_store_directory = '{folder}'",
    "PRAGMA database_list",
    "SELECT * FROM pragma_database_list",
    "SELECT load_extension('{folder}/x.so')",
    "SELECT writefile('{folder}/x', 'y')",
    "SELECT readfile('/etc/passwd')",
    "SELECT edit('x')",
    "SELECT fts3_tokenizer('simple')",
    "SELECT sqlite_log(1, 'x')",
    "WITH x AS (SELECT 1) INSERT INTO t SELECT 1, 'x' FROM x",
    "WITH x AS (SELECT 1) DELETE FROM t",
    "REPLACE INTO t VALUES (1, 'x')",
    "INSERT INTO words(words) VALUES ('rebuild')",
    "UPDATE sqlite_master SET sql = 'x'",
    "CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END",
    "CREATE VIRTUAL TABLE temp.x USING fts5(y)",
    "REINDEX",
    "DETACH main",
    "RELEASE x",
    "BEGIN EXCLUSIVE",
]


@pytest.mark.parametrize("sql", HOSTILE)
async def test_no_way_to_write_or_to_leave_the_file_is_open(threads: SQLiteThreads, path: Path, sql: str) -> None:
    before = contents(path.parent)
    with pytest.raises(BadInput) as refused:
        await read(SQLite(str(path), threads), sql.format(folder=path.parent))
    assert any(words in refused.value.message for words in ("Only reading", "no such function", "may not be modified"))
    assert contents(path.parent) == before


DOUBLED = [f"t{n} AS (SELECT a.x FROM t{n - 1} a, t{n - 1} b)" for n in range(1, 25)]  # noqa: S608 -- numbers
BOMBS = [
    COUNT.format("count(*)"),
    COUNT.format("x") + " ORDER BY -x",
    COUNT.format("group_concat(x)"),
    COUNT.format("json_group_array(x)"),
    COUNT.format("max(hex(randomblob(1000)) || x)"),
    "SELECT randomblob(1000000000)",
    "SELECT zeroblob(1000000000)",
    "SELECT hex(zeroblob(5000000))",
    "SELECT printf('%.*c', 2000000000, 'x')",
    "SELECT format('%2000000000d', 1)",
    "SELECT replace(hex(zeroblob(1000000)), '0', 'xxxxxxxxxxxxxxxx')",
    "SELECT replace(hex(zeroblob(2000000)), hex(zeroblob(1000000)), 'x')",
    "SELECT instr(zeroblob(4000000), zeroblob(2000000) || x'01')",
    "SELECT trim(hex(zeroblob(1000000)), hex(zeroblob(100000)) || 'x')",
    "SELECT json_patch(json_object('a', hex(zeroblob(100000))), json_object('a', hex(zeroblob(100000))))",
    "SELECT 'a' LIKE hex(zeroblob(100000))",
    "SELECT " + "abs(" * 1000 + "1" + ")" * 1000,
    "SELECT 1" + " + 1" * 300,
    "SELECT " + ", ".join(["1"] * 3000),
    " UNION ALL ".join(["SELECT 1"] * 200),
    "SELECT 1 WHERE " + " OR ".join(["1 = 1"] * 300),
    "SELECT '" + "x" * 120_000 + "'",
    f"WITH t0 AS (SELECT 1 x), {', '.join(DOUBLED)} SELECT * FROM t24",  # noqa: S608 -- made of the line above
]


@pytest.mark.parametrize("sql", BOMBS, ids=[sql[:60] for sql in BOMBS])
async def test_bombs_end_in_time_with_a_clear_error(threads: SQLiteThreads, path: Path, sql: str) -> None:
    database = SQLite(str(path), threads)
    begun = time.monotonic()
    with pytest.raises((BadInput, LimitExceeded)) as refused:
        await read(database, sql, seconds=0.5)
    assert time.monotonic() - begun < 25
    assert len(refused.value.message) < 600
    assert (await read(database, "SELECT count(*) FROM t")).rows == [[1]]


async def test_common_functions_and_tables_work_in_the_sandbox(threads: SQLiteThreads, path: Path) -> None:
    database = SQLite(str(path), threads)
    for sql, expected in (
        ("SELECT value FROM json_each('[1,2]')", [[1], [2]]),
        ("SELECT count(*) FROM json_tree('{\"a\":[1]}')", [[3]]),
        ("SELECT text FROM words WHERE words MATCH 'hello' ORDER BY rank", [["hello there"]]),
        ("SELECT snippet(words, 0, '[', ']', '', 3) FROM words('bye')", [["good [bye]"]]),
        ("SELECT id FROM boxes WHERE low > 1", [[1]]),
        ("SELECT name FROM pragma_table_info('t')", [["a"], ["b"]]),
        ("SELECT replace('abc', 'b', 'x'), instr('abc', 'c'), trim('xax', 'x'), trim(' a ')", [["axc", 3, "a", "a"]]),
        ("SELECT printf('%05.2f|%-4s|%d', 1.5, 'a', 7), replace(NULL, 'a', 'b')", [["01.50|a   |7", None]]),
        ("SELECT json_patch('{\"a\":1}', '{\"b\":2}') ->> 'b'", [[2]]),
        ("PRAGMA table_info(t)", [[0, "a", "INTEGER", 0, None, 0], [1, "b", "TEXT", 0, None, 0]]),
        ("SELECT row_number() OVER (ORDER BY a), date('2026-01-31', '+1 day') FROM t", [[1, "2026-02-01"]]),
        ("SELECT b FROM t WHERE b LIKE 'f%' AND b GLOB '*t'", [["first"]]),
    ):
        assert (await read(database, sql)).rows == expected, sql
    rows = await read(database, "SELECT :a + :b AS sum", {"a": 1, "b": 2})
    assert rows.objects() == [{"sum": 3}]


async def test_values_of_all_sorts_are_rendered_without_loss(threads: SQLiteThreads, path: Path) -> None:
    rows = await read(
        SQLite(str(path), threads),
        "SELECT 9007199254740992, 9007199254740993, 1e999, -1e999, x'00ff', CAST(x'ff41' AS text), NULL, 0.1",
    )
    assert rows.rows == [
        [
            2**53,
            "9007199254740993",
            "Infinity",
            "-Infinity",
            {"base64": "AP8="},
            "\N{REPLACEMENT CHARACTER}A",
            None,
            0.1,
        ]
    ]
    assert rows.types == ["integer", "integer", "real", "real", "blob", "text", None, "real"]


async def test_reads_go_on_while_another_process_writes(threads: SQLiteThreads, path: Path) -> None:
    """Each read sees only complete transactions and is not blocked by the writer."""
    writer = subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE)  # noqa: ASYNC220 -- returns quickly
    try:
        assert writer.stdout is not None
        assert await asyncio.to_thread(writer.stdout.readline) == b"writing\n"
        database = SQLite(str(path), threads)
        counts: list[int] = []
        async with asyncio.timeout(30):
            while len(set(counts)) < 20:
                [[count, total]] = (await read(database, "SELECT count(*), sum(a) FROM t")).rows
                assert (count % 2, total) == (1, 0)
                counts.append(count)
        assert counts == sorted(counts)
        assert writer.poll() is None
    finally:
        writer.kill()
        writer.communicate()


@pytest.mark.slow
async def test_a_locked_database_is_a_clear_error_in_time(threads: SQLiteThreads, tmp_path: Path) -> None:
    file = tmp_path / "locked.db"
    writer = sqlite3.connect(file, isolation_level=None)
    writer.execute("CREATE TABLE t (a)")
    writer.execute("BEGIN EXCLUSIVE")
    begun = time.monotonic()
    with pytest.raises(Unavailable, match="locked by a writer") as refused:
        await read(SQLite(str(file), threads), "SELECT * FROM t", seconds=50)
    assert refused.value.retryable
    assert time.monotonic() - begun < 25
    writer.execute("COMMIT")
    writer.close()
    assert (await read(SQLite(str(file), threads), "SELECT * FROM t")).rows == []


@pytest.mark.parametrize("name", ["a.db#x", "a.db?mode=rwc", "a%20b.db", "ü ;'\".db", "a.db?vfs=x&immutable=1"])
async def test_every_file_name_is_used_literally(threads: SQLiteThreads, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    connection = sqlite3.connect(f"file://{quote(str(file))}", uri=True)
    connection.execute("CREATE TABLE here (a)")
    connection.close()
    database = SQLite(path_of(f"sqlite:///{file}"), threads)
    assert [table.name for table in await database.tables(Deadline(5))] == ["here"]
    with pytest.raises(BadInput):
        await read(database, "INSERT INTO here VALUES (1)")
    assert contents(tmp_path).keys() == {name}


@pytest.mark.parametrize("content", [None, b"no database" * 1000])
async def test_the_error_of_an_unreadable_database_file_has_no_path(
    threads: SQLiteThreads, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "missing.db"
    if content:
        file.write_bytes(content)
    with pytest.raises(Unavailable) as refused:
        await read(SQLite(str(file), threads), "SELECT 1 FROM sqlite_master")
    assert "missing" not in refused.value.message
    assert file.exists() == bool(content)


async def test_when_all_threads_are_busy_a_read_is_refused_in_time(threads: SQLiteThreads, path: Path) -> None:
    database = SQLite(str(path), threads)
    busy = [asyncio.ensure_future(read(database, COUNT.format("count(*)"), seconds=55)) for _ in range(2)]
    await poll(threads._free.locked, "both threads are busy")
    begun = time.monotonic()
    with pytest.raises(Busy, match=r"busy for 0\.3 s"):
        await read(database, "SELECT 1", seconds=0.3)
    assert time.monotonic() - begun < 25
    for task in busy:
        task.cancel()
    await asyncio.wait(busy)


async def test_a_cancelled_call_frees_its_thread(threads: SQLiteThreads, path: Path) -> None:
    """Also by an anyio scope, which cancels at every await."""
    database = SQLite(str(path), threads)
    for _ in range(6):  # more often than there are threads
        with anyio.move_on_after(0.05):
            await read(database, COUNT.format("count(*)"), seconds=30)
    assert (await read(database, "SELECT 1")).rows == [[1]]


async def test_reads_run_entirely_in_threads(threads: SQLiteThreads, path: Path) -> None:
    names: set[str] = set()
    original = sqlite3.connect

    def connect(*arguments: Any, **options: Any) -> Any:
        names.add(threading.current_thread().name)
        return original(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", connect)
        await read(SQLite(str(path), threads), "SELECT 1")
    assert names
    assert all(name.startswith("sqlite") for name in names)


async def test_large_rows_are_not_read_ahead(threads: SQLiteThreads, path: Path) -> None:
    """Python would hold each of them, beyond SQLite's limits."""
    made = 0

    class Counted(Rows):
        def add(self, rows: Iterable[Sequence[Any]], *, ready: bool = False) -> bool:
            nonlocal made
            rows = list(rows)
            made = max(made, len(rows))
            return super().add(rows, ready=ready)

    rows = Counted(100, 65_536, 16_384)
    await SQLite(str(path), threads).run(Query(COUNT.format("zeroblob(8000000)")), rows, Deadline(20))
    assert (made, rows.truncated_by) == (1, "bytes")


async def test_memory_is_bounded_for_all_reads_together(threads: SQLiteThreads, path: Path) -> None:
    database = SQLite(str(path), threads)
    bomb = COUNT.format("x, hex(randomblob(500)) AS r") + " ORDER BY r"
    ended = await asyncio.gather(*(read(database, bomb) for _ in range(2)), return_exceptions=True)
    assert all(isinstance(error, OffloopError) for error in ended)
    assert any("memory" in str(error) for error in ended)
