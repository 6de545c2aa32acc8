"""MySQL: values of all types, and parameters that are values."""

from __future__ import annotations

import asyncio
import shutil
import subprocess

import pytest

from offloop.errors import BadInput
from offloop_server.io.deadline import Deadline
from offloop_server.io.results.rows import Rows
from offloop_server.io.sql.driver import Query
from offloop_server.io.sql.mysql.database import MySQL
from offloop_server.io.sql.select import select
from support.mariadb import ATTACKED as DATABASE
from support.mariadb import MariaDB, read

pytestmark = pytest.mark.anyio

TYPES = {
    "CAST('2026-01-31' AS date)": "2026-01-31",
    "TIMESTAMP'9999-12-31 23:59:59.999999'": "9999-12-31 23:59:59.999999",
    "CAST('2026-01-31 10:00:00' AS datetime(3))": "2026-01-31 10:00:00.000",
    "CAST('2026-01-31' AS datetime)": "2026-01-31 00:00:00",
    "CAST('838:59:59' AS time)": "838:59:59",
    "CAST('-838:59:59.5' AS time(1))": "-838:59:59.5",
    "CAST('-00:00:01.25' AS time(2))": "-00:00:01.25",
    "CAST('00:00:00' AS time)": "00:00:00",
    "12.30": "12.30",
    "CAST(-0.10 AS decimal(65, 30))": "-0.100000000000000000000000000000",
    "1e308": 1e308,
    "1/3": "0.3333",
    "9007199254740993": "9007199254740993",
    "-9223372036854775808": "-9223372036854775808",
    "18446744073709551615": "18446744073709551615",
    "-7": -7,
    "X'00FF'": {"base64": "AP8="},
    "b'101'": {"base64": "BQ=="},
    "TRUE": 1,
    "NULL": None,
    "''": "",
    "'50% ? $1'": "50% ? $1",
    "_latin1 X'E9'": "é",
    "_utf8mb4 X'F09F9880'": "\N{GRINNING FACE}",
    "_gbk X'BF5C'": "\N{CJK UNIFIED IDEOGRAPH-7E17}",
    """JSON_OBJECT('a', 1)""": '{"a": 1}',
    "ST_GeomFromText('POINT(1 2)')": {"base64": "AAAAAAEBAAAAAAAAAAAA8D8AAAAAAAAAQA=="},
    "CAST('5b0f3a2e-0000-4000-8000-000000000001' AS uuid)": "5b0f3a2e-0000-4000-8000-000000000001",
    "CAST('::1' AS inet6)": "::1",
    "REPEAT('x', 70000)": "x" * 70_000,
}
COLUMNS = {
    "tinyint": ("-128", -128),
    "tinyint unsigned": ("255", 255),
    "smallint": ("-32768", -32768),
    "smallint unsigned": ("65535", 65535),
    "mediumint": ("-8388608", -8388608),
    "mediumint unsigned": ("16777215", 16777215),
    "int": ("-2147483648", -2147483648),
    "int unsigned": ("4294967295", 4294967295),
    "int(6) zerofill": ("42", 42),
    "bigint unsigned": ("18446744073709551615", "18446744073709551615"),
    "float": ("1.1", 1.1),
    "float unsigned": ("16777216", 16777216.0),
    "double": ("-1.1", -1.1),
    "decimal(10,2)": ("1.5", "1.50"),
    "bit(1)": ("b'1'", 1),
    "bit(64)": ("18446744073709551615", "18446744073709551615"),
    "boolean": ("true", 1),
    "year": ("2026", 2026),
    "date": ("'0000-00-00'", "0000-00-00"),
    "datetime": ("'0000-00-00'", "0000-00-00 00:00:00"),
    "datetime(6)": ("'2026-01-01 00:00:00'", "2026-01-01 00:00:00.000000"),
    "timestamp(2)": ("'2026-01-01 10:20:30.456'", "2026-01-01 10:20:30.45"),
    "time(6)": ("'-00:00:00.000001'", "-00:00:00.000001"),
    "char(5)": ("'ab'", "ab"),
    "varchar(5) CHARACTER SET latin1": ("'é'", "é"),
    "tinytext": ("'a'", "a"),
    "longtext": ("'a'", "a"),
    "binary(3)": ("'a'", {"base64": "YQAA"}),
    "varbinary(3)": ("'a'", {"base64": "YQ=="}),
    "longblob": ("'a'", {"base64": "YQ=="}),
    "enum('fine', 'bad')": ("'fine'", "fine"),
    "set('a', 'b', 'c')": ("'a,c'", "a,c"),
    "json": ("'[1]'", "[1]"),
    "uuid": ("'5b0f3a2e-0000-4000-8000-000000000001'", "5b0f3a2e-0000-4000-8000-000000000001"),
    "inet4": ("'127.0.0.1'", "127.0.0.1"),
    "point": ("POINT(1, 2)", {"base64": "AAAAAAEBAAAAAAAAAAAA8D8AAAAAAAAAQA=="}),
}


async def test_values_of_all_types_are_rendered_without_loss(database: MySQL) -> None:
    rows = await read(database, "SELECT " + ", ".join(TYPES))
    assert dict(zip(TYPES, rows.rows[0], strict=True)) == TYPES


async def test_columns_of_all_types_are_rendered_and_named(database: MySQL, server: MariaDB) -> None:
    names = ", ".join(f"c{number} {kind} NULL" for number, kind in enumerate(COLUMNS))
    values = ", ".join(written for written, _ in COLUMNS.values())
    await server.execute(
        f"CREATE OR REPLACE TABLE all_types ({names})",
        f"SET STATEMENT sql_mode = '' FOR INSERT INTO all_types VALUES ({values})",  # noqa: S608 -- of this test
        f"INSERT INTO all_types VALUES ({', '.join(['NULL'] * len(COLUMNS))})",  # noqa: S608 -- of this test
        database=DATABASE,
    )
    rows = await read(database, "SELECT * FROM all_types")
    assert dict(zip(COLUMNS, rows.rows[0], strict=True)) == {kind: shown for kind, (_, shown) in COLUMNS.items()}
    assert rows.rows[1] == [None] * len(COLUMNS)
    named = dict(zip(COLUMNS, rows.types, strict=True))
    assert (named["bigint unsigned"], named["enum('fine', 'bad')"], named["varbinary(3)"]) == (
        *("bigint unsigned", "enum", "varbinary"),
    )
    assert None not in rows.types
    assert "" not in rows.types
    await server.execute("DROP TABLE all_types", database=DATABASE)


MORE = {
    "bigint": ["0", "9007199254740992", "9007199254740993", "-9223372036854775808"],
    "decimal(65,30)": ["0.1", "-12345678901234567890123456789012345.000000000000000000000000000001"],
    "double": ["0.1", "-0", "1e300", "5e-324", "0.30000000000000004"],
    "time(3)": ["838:59:59.999", "-838:59:59.999", "24:00:00"],
    "year": ["1901", "2155", "0000"],
    "timestamp": ["2038-01-19 03:14:07"],
    "datetime(6)": ["9999-12-31 23:59:59.999999", "0000-00-00", "2026-01-00"],
    "varchar(50) CHARACTER SET utf8mb4": ["", "NULL", "007", "a\\nb", "é😀", "9007199254740993"],
    "enum('1','2','')": ["2", "1", ""],
    "set('a','b')": ["", "a,b"],
    "longtext": ["x"],
    "json": ['{"a": 9007199254740993, "b": 0.10}', "null", '"text"', "[1, 2]"],
    "inet6": ["2001:db8::1"],
    "uuid": ["5b0f3a2e-0000-4000-8000-000000000001"],
}
"""Values of the types that have a text; bytes and numbers of 4 bytes are above."""


async def test_values_are_those_of_the_servers_own_client_and_can_be_sent_back(
    database: MySQL, server: MariaDB
) -> None:
    program = shutil.which("mariadb")
    assert program is not None
    for kind, values in MORE.items():
        rows = ", ".join(f"({number}, '{value}')" for number, value in enumerate(values))
        await server.execute(
            f"CREATE OR REPLACE TABLE one_type (n int, a {kind})",
            f"SET STATEMENT sql_mode = '' FOR INSERT INTO one_type VALUES {rows}",  # noqa: S608 -- of this module
            database=DATABASE,
        )
        command = [program, "--no-defaults", "-N", "-B", "-S", str(server.folder / "socket"), "-u", "root", DATABASE]
        command += ["--default-character-set=utf8mb4", "-e", "SELECT a FROM one_type ORDER BY n"]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True)
        shown = done.stdout.decode().split("\n")[:-1]
        found = await read(database, "SELECT a, n FROM one_type ORDER BY n")
        for (value, number), text in zip(found.rows, shown, strict=True):
            if kind == "double":
                assert repr(value) == repr(float(text)), (kind, text)
            else:
                assert str(value).replace("\n", "\\n") == text, kind
            query = select(database, "one_type", columns=["n"], where={"a": value})
            assert [number] in (await query_rows(database, query)), (kind, value)
            sent = await read(database, "SELECT n FROM one_type WHERE a = ? AND n = ?", value, str(number))
            assert sent.rows == [[number]], (kind, value)
    await server.execute("DROP TABLE one_type", database=DATABASE)


async def query_rows(database: MySQL, query: Query) -> list[list[object]]:
    """The rows of a query."""
    rows = Rows(100, 1 << 20)
    await database.run(query, rows, Deadline(30))
    return rows.rows


async def test_warnings_of_the_server_are_passed_on(database: MySQL) -> None:
    rows = await read(database, "SELECT CAST('12x' AS int) AS a, 1/0 AS b")
    assert rows.rows == [[12, None]]
    assert [warning.split(":")[0] for warning in rows.warnings] == ["Warning"] * 2
    assert any("Truncated incorrect INTEGER value: '12x'" in warning for warning in rows.warnings)
    many = (await read(database, "SELECT CAST(concat(seq, 'x') AS int) FROM seq_1_to_90")).warnings
    assert (len(many), many[-1]) == (21, "There were more warnings.")
    assert (await read(database, "SELECT 1 AS a")).warnings == []


async def test_a_column_of_text_is_compared_as_text(database: MySQL, server: MariaDB) -> None:
    """As numbers, MySQL compares doubles: 7 would equal '007'."""
    await server.execute(
        "CREATE OR REPLACE TABLE texts (a varchar(30), n bigint)",
        "INSERT INTO texts VALUES ('007', 9007199254740992), ('7', 9007199254740993), (NULL, 1)",
        database=DATABASE,
    )
    for where, found in (
        ({"a": 7}, [["7"]]),
        ({"n": 9007199254740993}, [["7"]]),
        ({"n": "9007199254740993"}, [["7"]]),
        ({"n": [1, 9007199254740992]}, [["007"], [None]]),
        ({"a": ["7", None]}, [["7"], [None]]),
        ({"a": [None]}, [[None]]),
        ({"a": []}, []),
    ):
        assert await query_rows(database, select(database, "texts", columns=["a"], where=where)) == found, where
    await server.execute("DROP TABLE texts", database=DATABASE)


HOSTILE_TEXTS = [
    "'; DROP TABLE t; --",
    "\\' OR 1=1 -- ",
    "\N{CJK UNIFIED IDEOGRAPH-7E17}' OR 1=1 -- ",
    '"',
    "`",
    "%s",
    "?",
    "\0",
    "",
]


async def test_parameters_are_values_in_every_mode_of_the_server(database: MySQL, server: MariaDB) -> None:
    """Modes and character sets in which a client that escapes by itself makes mistakes."""
    settings = "@@global.sql_mode", "@@global.character_set_server"
    [(mode, charset)] = await server.fetch(f"SELECT {', '.join(settings)}")
    await server.execute(
        "SET GLOBAL sql_mode = 'NO_BACKSLASH_ESCAPES,ANSI_QUOTES', GLOBAL character_set_server = 'gbk'",
        f"CREATE OR REPLACE TABLE {DATABASE}.chinese (a varchar(50) CHARACTER SET gbk)",
        f"INSERT INTO {DATABASE}.chinese VALUES ('x')",  # noqa: S608 -- a constant
    )
    try:
        for text in HOSTILE_TEXTS:
            rows = await read(database, "SELECT ? AS a, (SELECT count(*) FROM chinese WHERE a = ?) AS n", text, text)
            assert rows.rows == [[text, 0]]
        raw = {"base64": "vycgT1IgMT0xIC0tIA=="}
        assert (await read(database, "SELECT ? AS a, '?' AS b, 5 % 3 AS c", raw)).rows == [[raw, "?", 2]]
    finally:
        await server.fetch("SET GLOBAL sql_mode = %s, GLOBAL character_set_server = %s", mode, charset)
        await server.execute(f"DROP TABLE {DATABASE}.chinese")


async def test_parameters_are_taken_as_json_has_them(database: MySQL) -> None:
    given = [1, -1, 2**63 - 1, 2**64 - 1, -(2**63), 1.5, True, None, "é", "x" * 300, "y" * 70_000]
    rows = await read(database, f"SELECT {', '.join('?' * len(given))}", *given)
    assert rows.rows == [[1, -1, str(2**63 - 1), str(2**64 - 1), str(-(2**63)), 1.5, 1, None, "é", *given[-2:]]]
    assert (await read(database, "SELECT seq FROM seq_1_to_9 LIMIT ?, ?", 2, 1)).rows == [[3]]
    for value in (2**64, -(2**63) - 1, [1], {"a": 1}, float("nan"), float("inf"), "\ud800"):
        with pytest.raises(BadInput, match="Parameter 1"):
            await read(database, "SELECT ?", value)
    with pytest.raises(BadInput, match="expects 1 parameter "):
        await read(database, "SELECT ?")
    connection = (await read(database, "SELECT connection_id()")).rows
    with pytest.raises(BadInput, match="half a character"):
        await read(database, "SELECT '\ud800'")
    assert (await read(database, "SELECT connection_id()")).rows == connection, "it is used again"
    with pytest.raises(BadInput, match="send a list"):
        await database.run(Query("SELECT 1", {"a": 1}), Rows(1, 100), Deadline(30))
