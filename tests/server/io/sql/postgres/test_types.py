"""PostgreSQL: every type of the catalogue, alone and inside others, reads as psql shows it, and can be sent back."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import AsyncIterator, Iterable, Sequence
from decimal import Decimal
from typing import Any

import pytest

from offloop.errors import BadInput
from offloop_server.io.deadline import Deadline
from offloop_server.io.results.rows import Rows
from offloop_server.io.sql.driver import Query
from offloop_server.io.sql.postgres.database import PostgreSQL
from offloop_server.io.sql.select import select
from support.postgres import Postgres
from support.postgres_types import NO_INPUT, VALUES

pytestmark = pytest.mark.anyio

DATABASE = "typed"
TYPES = """
SELECT t.oid::text, CASE WHEN n.nspname = 'pg_catalog' THEN quote_ident(t.typname)
ELSE quote_ident(n.nspname) || '.' || quote_ident(t.typname) END, t.typname, t.typtype::text, t.typarray::text
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_class c ON c.oid = t.typrelid
WHERE (c.oid IS NULL OR c.relkind = 'c') AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)
AND t.typname NOT LIKE 'own\\_%'
ORDER BY 2
"""
"""All types but row types of tables, and arrays, which are made of the others."""
NULL, FIELD, ROW = "<NULL>", "\x1f", "\x1e"
TAKEN_FOR_JSON = ("12", "{")
"""Strings of JSON that, sent back without their quotes, are another JSON, or look like broken JSON."""
NOT_BUILT = ("xml",)
"""Types that the server of the fixture has no support for; Debian's has."""
NUMBERS = ("int2", "int4", "int8", "oid", "oid8", "xid", "xid8", "cid", "cardinal_number", "lo")


@pytest.fixture
async def server(postgres: Postgres) -> Postgres:
    """The server, with a database for types of our own."""
    if not await postgres.fetch("SELECT FROM pg_database WHERE datname = $1", DATABASE):
        await postgres.execute(f"CREATE DATABASE {DATABASE}")
    return postgres


@pytest.fixture
async def database(server: Postgres) -> AsyncIterator[PostgreSQL]:
    made = PostgreSQL("typed", server.url(database=DATABASE))
    yield made
    await made.close()


async def read(database: PostgreSQL, sql: str, *parameters: Any) -> Rows:
    """The rows of a query."""
    rows = Rows(10_000, 32 << 20)
    await database.run(Query(sql, list(parameters)), rows, Deadline(30))
    return rows


def psql(server: Postgres, statements: Iterable[str]) -> list[list[list[str | None]]]:
    """The rows of each statement, as psql shows them."""
    script = "\n".join(f"{statement};\n\\echo <END>" for statement in statements)
    options = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-F", FIELD, "-R", ROW, "-P", f"null={NULL}"]
    program = server.binaries / "psql"
    done = subprocess.run(
        [program, *options, "-d", server.url(database=DATABASE), "-f", "-"],
        input=script.encode(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    parts = done.stdout.decode().split("<END>\n")[:-1]
    return [
        [[None if cell == NULL else cell for cell in row.split(FIELD)] for row in part.removesuffix("\n").split(ROW)]
        for part in parts
    ]


def literal(text: str) -> str:
    """A text in SQL."""
    quoted = text.replace("'", "''")
    return f"'{quoted}'" if "\\" not in text else "E'" + quoted.replace("\\", "\\\\") + "'"


def as_psql(value: Any, kind: str) -> Any:
    """The text of psql for a value that was read, by the one rule for types that have a form in JSON."""
    if value is None:
        return None
    if kind in NUMBERS:
        assert isinstance(value, str) == (abs(int(value)) > 2**53), value
        return str(value)
    if kind in ("float4", "float8"):
        assert isinstance(value, float) or value in ("NaN", "Infinity", "-Infinity")
        return value if isinstance(value, str) else repr(value)
    if kind == "bool":
        return {True: "t", False: "f"}[value]
    if kind == "bytea":
        return "\\x" + base64.b64decode(value["base64"]).hex()
    assert isinstance(value, str), (kind, value)
    return value


def same(value: Any, text: str | None, kind: str) -> bool:
    """Whether a value that was read is what psql shows."""
    if kind in ("json", "jsonb"):
        return same_json(value, text)
    shown = as_psql(value, kind)
    if kind in ("float4", "float8") and shown is not None and text is not None:
        return repr(float(shown)) == repr(float(text))
    return bool(shown == text)


def same_json(value: Any, text: str | None) -> bool:
    """Whether a value is this JSON, in which numbers that a double does not hold are text."""
    if value is None or text is None:
        return value is None and text in (None, "null")
    if value == text:  # the text itself, which is lossless always
        return True
    return bool(value == json.loads(text, parse_float=_exact, parse_int=_exact))


def _exact(text: str) -> Any:
    double = float(text)
    return double if abs(double) <= 2**53 and Decimal(repr(double)) == Decimal(text) else text


@pytest.mark.slow
async def test_every_type_reads_as_psql_shows_it_alone_and_inside_others_and_can_be_sent_back(
    database: PostgreSQL, server: Postgres
) -> None:
    """Arrays with NULL, of two dimensions and with other bounds; rows; domains; and arrays and rows of those."""
    types = await server.fetch(TYPES, database=DATABASE)
    await check_types(database, server, [one for one in types if one[2] not in NOT_BUILT])


async def check_types(database: PostgreSQL, server: Postgres, types: Sequence[tuple[Any, ...]]) -> None:
    """The check of some types."""
    known = [one for one in types if one[2] in VALUES]
    unknown = {name for _, _, name, _, _ in types} - set(VALUES) - NO_INPUT
    assert not unknown, f"types without a value: {sorted(unknown)}"
    composed = [one for one in known if one[3] != "p"]
    for oid, full, _, _, _ in composed:
        await server.execute(
            f"CREATE DOMAIN own_d{oid} AS {full}",
            f"CREATE TYPE own_c{oid} AS (a {full}, b {full}, c own_d{oid})",
            f"CREATE DOMAIN own_a{oid} AS {full}[]",
            database=DATABASE,
        )
    statements = [
        *(("SELECT " + ", ".join(f"{literal(v)}::{full}" for v in VALUES[name])) for _, full, name, _, _ in known),
        *(_composed(oid, full, VALUES[name]) for oid, full, name, _, _ in composed),
    ]
    shown = psql(server, statements)
    count = len(known)
    for (_, full, name, kind, _), sql, [row] in zip(known, statements[:count], shown[:count], strict=True):
        rows = (await read(database, sql)).rows[0]
        assert [same(v, text, name) for v, text in zip(rows, row, strict=True)] == [True] * len(row), (full, rows, row)
        if kind != "p":
            await _sent_back(database, (full, name), rows, row)
    for (oid, full, name, _, _), sql, [row] in zip(
        composed, statements[len(known) :], shown[len(known) :], strict=True
    ):
        await _check_composed(database, (oid, full, name), sql, row)


def _composed(oid: str, full: str, values: Sequence[str]) -> str:
    """All compositions of each value."""
    return "SELECT " + ", ".join(
        one.format(v=f"{literal(value)}::{full}", oid=oid, t=full) for value in values for one in COMPOSITIONS.values()
    )


COMPOSITIONS = {
    "array": "ARRAY[{v}, NULL, {v}]",
    "matrix": "ARRAY[ARRAY[{v}, NULL], ARRAY[{v}, {v}]]",
    "bounds": "('[0:1]=' || ARRAY[{v}, NULL]::text)::{t}[]",
    "row": "ROW({v}, NULL, {v})",
    "rows": "ARRAY[ROW(ROW({v}), 'x')]",
    "composite": "ROW({v}, NULL, {v})::own_c{oid}",
    "composites": "ARRAY[ROW({v}, NULL, {v})::own_c{oid}, NULL]",
    "domain": "({v})::own_d{oid}",
    "domains": "ARRAY[({v})::own_d{oid}, NULL]",
    "domain of array": "ARRAY[{v}, NULL]::own_a{oid}",
    "array of domains of arrays": "ARRAY[ARRAY[{v}, NULL]::own_a{oid}]",
}
SENT = {
    "array": "{t}[]",
    "matrix": "{t}[]",
    "bounds": "{t}[]",
    "composite": "own_c{oid}",
    "composites": "own_c{oid}[]",
    "domain": "own_d{oid}",
    "domains": "own_d{oid}[]",
    "domain of array": "own_a{oid}",
    "array of domains of arrays": "own_a{oid}[]",
}


async def _check_composed(
    database: PostgreSQL, which: tuple[str, str, str], sql: str, row: Sequence[str | None]
) -> None:
    oid, full, name = which
    found = (await read(database, sql)).rows[0]
    alone = (await read(database, "SELECT " + ", ".join(f"{literal(v)}::{full}" for v in VALUES[name]))).rows[0]
    of_json = name in ("json", "jsonb")
    for at, value in enumerate(alone):
        part = slice(at * len(COMPOSITIONS), (at + 1) * len(COMPOSITIONS))
        texts = dict(zip(COMPOSITIONS, row[part], strict=True))
        read_as = dict(zip(COMPOSITIONS, found[part], strict=True))
        expected: dict[str, Any] = {
            **texts,
            "array": texts["array"] if of_json and value is None else [value, None, value],
            "matrix": texts["matrix"] if of_json else [[value, None], [value, value]],
            "rows": [_item(texts["rows"])],
            "composites": [texts["composite"], None],
            "domain": value,
            "domains": texts["domains"] if of_json and value is None else [value, None],
            "domain of array": texts["domain of array"] if of_json and value is None else [value, None],
            "array of domains of arrays": [texts["domain of array"] if of_json and value is None else [value, None]],
        }
        assert repr(read_as) == repr(expected), (full, VALUES[name][at])
        for shape, kind in SENT.items():
            await _sent_back(database, (kind.format(t=full, oid=oid), name), [read_as[shape]], [texts[shape]])


def _item(text: str | None) -> str:
    """The only element of an array, which is in quotes."""
    assert text is not None
    inner = text.removeprefix('{"').removesuffix('"}')
    return inner.replace('\\"', '"').replace("\\\\", "\\")


async def _sent_back(
    database: PostgreSQL, which: tuple[str, str], values: Sequence[Any], texts: Sequence[str | None]
) -> None:
    """Send values as parameters, and compare their text in the server with the text they were read of."""
    kind, name = which
    for value, text in zip(values, texts, strict=True):
        if _taken_for_json(value):
            continue
        [[shown, again]] = (await read(database, f"SELECT format('%s', $1::{kind}), $1::{kind}", value)).rows
        assert shown == (text or "") or (name in ("json", "jsonb") and repr(again) == repr(value)), (kind, value, shown)


def _taken_for_json(value: Any) -> bool:
    return any(map(_taken_for_json, value)) if isinstance(value, list) else value in TAKEN_FOR_JSON


EXTENSIONS = (
    *("citext", "hstore", "ltree", "cube", "seg", "isn", "intarray", "lo", "earthdistance", "btree_gist", "pg_trgm"),
    '"uuid-ossp"',
)


@pytest.mark.slow
async def test_types_of_the_extensions_that_come_with_postgresql_read_as_psql_shows_them(packaged: Postgres) -> None:
    """And XML, which the other server has not; an extension is made while the connection is open."""
    await packaged.execute(f"CREATE DATABASE {DATABASE}")
    database = PostgreSQL("typed", packaged.url(database=DATABASE))
    try:
        await read(database, "SELECT 1")
        await packaged.execute(
            "CREATE SCHEMA more", *(f"CREATE EXTENSION {one} CASCADE" for one in EXTENSIONS), database=DATABASE
        )
        types = await packaged.fetch(TYPES, database=DATABASE)
        wanted = [one for one in types if one[1].startswith("public.") or one[2] in NOT_BUILT]
        assert len(wanted) > 20
        await check_types(database, packaged, wanted)
    finally:
        await database.close()


RELATIONS = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('pg_catalog', 'information_schema') AND c.relkind IN ('r', 'v')
AND has_table_privilege('reader', c.oid, 'SELECT') AND c.relname NOT LIKE 'pg\\_stat\\_%' AND c.relname NOT IN (
'pg_aios', 'pg_backend_memory_contexts', 'pg_file_settings', 'pg_hba_file_rules', 'pg_ident_file_mappings', 'pg_config',
'pg_shmem_allocations', 'pg_shmem_allocations_numa', 'pg_dsm_registry_allocations', 'pg_locks',
'pg_cursors', 'pg_prepared_statements', 'pg_replication_origin_status')
ORDER BY 1, 2
"""


@pytest.mark.slow
async def test_all_columns_of_the_servers_own_tables_read_as_psql_shows_them(
    database: PostgreSQL, server: Postgres
) -> None:
    """Types without an input among them, such as anyarray and pg_node_tree; and each table is described."""
    await server.execute("ANALYZE", database=DATABASE)
    relations = await server.fetch(RELATIONS, database=DATABASE)
    assert len(relations) > 150
    seen: set[str] = set()
    for schema, name in relations:
        shape = await database.shape(name, schema, Deadline(30))
        columns = [f"t.{quoted(one.name)}" for one in shape.columns]
        texts = [f"format('%s', {column})" for column in columns]
        # The server counts while the test runs, so values and their texts are of one reading of the rows.
        found = await read(
            database,
            f"WITH t AS MATERIALIZED (SELECT * FROM {schema}.{name} LIMIT 5)"  # noqa: S608 (names of the catalogue)
            f" SELECT {', '.join(columns + texts)} FROM t",
        )
        for row in found.rows:
            half = len(columns)
            for value, text, kind in zip(row[:half], row[half:], found.types[:half], strict=True):
                if value is not None and kind and not kind.endswith("[]"):
                    assert as_psql(value, kind) == text or kind.startswith("float"), (name, kind)
                    seen.add(kind)
    assert {"anyarray", "pg_node_tree", "char", "aclitem[]", "regproc", "xid"} - seen <= {"aclitem[]"}


def quoted(name: str) -> str:
    """A name in SQL."""
    return '"' + name.replace('"', '""') + '"'


SPECIAL = {
    "SELECT pg_sleep(0)": ("void", ""),
    "SELECT ROW(1, 'a', NULL, ROW(2.50, 't'::bool))": ("record", '(1,a,,"(2.50,t)")'),
    "SELECT ARRAY[ROW(1, 'a'), NULL]": ("record[]", ["(1,a)", None]),
    "SELECT t FROM (VALUES (1, 'a b')) AS t (x, y)": ("record", '(1,"a b")'),
    "SELECT 'abc'": ("text", "abc"),
    "SELECT NULL": ("text", None),
    "SELECT relkind FROM pg_class WHERE relname = 'pg_class'": ("char", "r"),
    "SELECT '[2024-01-01,2024-02-01)'::daterange": ("daterange", "[2024-01-01,2024-02-01)"),
    "SELECT 0.1::real": ("float4", 0.1),
    "SELECT ARRAY[0.1, 'NaN', '-Infinity']::real[]": ("float4[]", [0.1, "NaN", "-Infinity"]),
    "SELECT '{}'::int[]": ("int4[]", []),
    "SELECT '{{{1,2},{3,NULL}}}'::int[]": ("int4[]", [[[1, 2], [3, None]]]),
    "SELECT '[-1:0][2:3]={{1,2},{3,4}}'::int[]": ("int4[]", "[-1:0][2:3]={{1,2},{3,4}}"),
    "SELECT ARRAY['(1,1),(0,0)', '(2,2),(1,1)']::box[]": ("box[]", ["(1,1),(0,0)", "(2,2),(1,1)"]),
    "SELECT ARRAY['NULL', 'null', NULL, '']": ("text[]", ["NULL", "null", None, ""]),
    "SELECT ARRAY['\\x00', '\\xff']::bytea[]": ("bytea[]", [{"base64": "AA=="}, {"base64": "/w=="}]),
    "SELECT ARRAY['{\"a\": [1, 9007199254740993]}']::jsonb[]": ("jsonb[]", [{"a": [1, "9007199254740993"]}]),
    "SELECT ARRAY['null', NULL, '[null]']::jsonb[]": ("jsonb[]", '{"null",NULL,[null]}'),
    "SELECT ARRAY['[null]', NULL]::json[]": ("json[]", [[None], None]),
    "SELECT json_agg(x) FROM (VALUES (9007199254740993), (0.1)) AS t (x)": ("json", ["9007199254740993", 0.1]),
    "SELECT set_config('bytea_output', 'escape', true), 'a\\000'::bytea": ("text", "escape"),
}


@pytest.mark.parametrize(("sql", "shown"), SPECIAL.items(), ids=range(len(SPECIAL)))
async def test_values_without_a_table_read_as_psql_shows_them(
    database: PostgreSQL, sql: str, shown: tuple[str, Any]
) -> None:
    kind, value = shown
    rows = await read(database, sql)
    assert (rows.types[0], repr(rows.rows[0][0])) == (kind, repr(value))


@pytest.mark.parametrize("style", ["postgres", "postgres_verbose", "sql_standard", "iso_8601"])
async def test_intervals_and_dates_are_written_in_the_style_of_the_role(server: Postgres, style: str) -> None:
    await server.execute(f"ALTER ROLE reader SET intervalstyle = '{style}'", database=DATABASE)
    others = ("datestyle = 'German'", "extra_float_digits = -15", "array_nulls = off")
    await server.execute(*(f"ALTER ROLE reader SET {one}" for one in others))
    database = PostgreSQL("typed", server.url(database=DATABASE))
    try:
        sql = "SELECT '-1 mon +2 days -3:04:05.678'::interval, '2026-01-31'::date, 0.1234567::real, format('%s', {})"
        [[interval, day, number, shown]] = (await read(database, sql.format("'1 mon -2 days'::interval"))).rows
        assert (day, number) == ("31.01.2026", 0.1234567)
        again = "SELECT $1::interval = '-1 mon +2 days -3:04:05.678'::interval, $2::date = '2026-01-31'::date"
        assert (await read(database, again, interval, day)).rows == [[True, True]]
        assert (await read(database, "SELECT $1::text[]", [None, "NULL"])).rows == [[[None, "NULL"]]]
        assert shown == (await read(database, "SELECT '1 mon -2 days'::interval")).rows[0][0]
    finally:
        await database.close()
        await server.execute("ALTER ROLE reader RESET ALL")
        await server.execute(f"ALTER ROLE reader IN DATABASE {DATABASE} RESET ALL")


async def test_types_made_renamed_and_made_again_while_a_connection_is_open_are_read(
    database: PostgreSQL, server: Postgres
) -> None:
    await read(database, "SELECT 1")
    sql = "SELECT 'fine'::mood AS a, ARRAY['fine'::mood], ROW(1, 'fine')::pair, ARRAY[ROW(1, 'fine')::pair]"
    for labels, name in (("'fine'", "mood"), ("'x', 'fine'", "mood"), ("'fine'", "humour")):
        await server.execute(
            f"CREATE TYPE mood AS ENUM ({labels})", "CREATE TYPE pair AS (a int, b mood)", database=DATABASE
        )
        if name != "mood":
            await server.execute(f"ALTER TYPE mood RENAME TO {name}", database=DATABASE)
        rows = await read(database, sql.replace("mood", name))
        assert rows.rows == [["fine", ["fine"], "(1,fine)", ["(1,fine)"]]]
        assert rows.types == [name, f"{name}[]", "pair", "pair[]"]
        assert (await read(database, f"SELECT $1::{name}, $2::{name}[], $3::pair", *rows.rows[0][:3])).rows == [
            rows.rows[0][:3]
        ]
        await server.execute("DROP TYPE pair", f"DROP TYPE {name}", database=DATABASE)


async def test_a_table_of_all_types_is_described_sampled_and_filtered(database: PostgreSQL, server: Postgres) -> None:
    kinds = [name for name in VALUES if name in COLUMN_TYPES]
    columns = ", ".join(f'"c {name}" {COLUMN_TYPES[name]}' for name in kinds)
    values = ", ".join(literal(VALUES[name][0]) for name in kinds)
    await server.execute(
        f"CREATE TABLE wide ({columns})",
        f"INSERT INTO wide VALUES ({values})",  # noqa: S608 -- of this module
        database=DATABASE,
    )
    try:
        shape = await database.shape("wide", None, Deadline(30))
        assert [one.name for one in shape.columns] == [f"c {name}" for name in kinds]
        [row] = (await read(database, "TABLE wide")).objects()
        for name in kinds:
            query = select(database, "wide", where={f"c {name}": row[f"c {name}"]})
            rows = Rows(10, 1 << 20)
            if name in ("json", "point", "polygon", "jsonpath", "txid_snapshot"):  # PostgreSQL has no = for them
                with pytest.raises(BadInput, match=r"column::text = \$1"):
                    await database.run(query, rows, Deadline(30))
                continue
            await database.run(query, rows, Deadline(30))
            assert rows.count == 1, name
    finally:
        await server.execute("DROP TABLE wide", database=DATABASE)


COLUMN_TYPES = {
    name: f'"{name}"'
    for name in (
        *("bool", "int2", "int4", "int8", "oid", "xid", "xid8", "tid", "float4", "float8", "numeric", "money", "char"),
        *("name", "text", "varchar", "bpchar", "bytea", "bit", "varbit", "date", "time", "timetz", "timestamp"),
        *("timestamptz", "interval", "uuid", "inet", "cidr", "macaddr", "macaddr8", "json", "jsonb", "tsvector"),
        *("tsquery", "point", "lseg", "box", "path", "polygon", "circle", "pg_lsn", "int4range"),
        *("daterange", "tstzrange", "int4multirange", "jsonpath", "txid_snapshot"),
    )
}


async def test_messages_of_the_server_are_passed_on(database: PostgreSQL, server: Postgres) -> None:
    await server.execute(
        """CREATE OR REPLACE FUNCTION tells(n int) RETURNS int LANGUAGE plpgsql AS
        $$ BEGIN FOR i IN 1..n LOOP RAISE WARNING 'line % of %', i, n; END LOOP; RETURN n; END $$""",
        database=DATABASE,
    )
    assert (await read(database, "SELECT tells(1)")).notes == ["WARNING: line 1 of 1"]
    many = (await read(database, "SELECT tells(1000)")).notes
    assert (len(many), many[-1]) == (21, "There were more messages.")
    assert (await read(database, "SELECT 1")).notes == []


NUMBERED = "(VALUES (9007199254740993, 'a'), (9007199254740992, 'b')) AS t (id, x)"


async def test_what_was_read_can_be_sent_back_in_every_place_of_a_statement(database: PostgreSQL) -> None:
    """Texts for numbers and numbers for texts."""
    statements: tuple[tuple[str, list[Any], list[list[Any]]], ...] = (
        ("SELECT x FROM numbered WHERE id = $1", ["9007199254740993"], [["a"]]),
        ("SELECT x FROM numbered WHERE id = ANY ($1)", [["9007199254740993", 9007199254740992]], [["a"], ["b"]]),
        ("SELECT x FROM numbered WHERE id IN ($1, $2)", ["9007199254740993", 1], [["a"]]),
        ("SELECT x FROM numbered ORDER BY 1 LIMIT $1 OFFSET $2", ["1", 1.0], [["b"]]),
        ("SELECT $1::text || 'x', $2::varchar, $3::name", [5, 1.5, True], [["5x", "1.5", "true"]]),
        ("SELECT $1", [7], [["7"]]),
        ("SELECT $1::bool, $2::bool, $3::bool", ["t", "off", 1], [[True, False, True]]),
        ("SELECT $1::numeric, $2::float8, $3::int", [1e23, "NaN", 3.0], [[f"1{'0' * 23}", "NaN", 3]]),
        ("SELECT $1::jsonb, $2::jsonb, $3::jsonb", [{"base64": "x"}, [1], "a"], [[{"base64": "x"}, [1], "a"]]),
        ("SELECT $1::jsonb[]", [[{"a": 1}, [1], None]], [[[{"a": 1}, [1], None]]]),
        ("SELECT $1::bytea[]", [[{"base64": "AP8="}]], [[[{"base64": "AP8="}]]]),
        ("SELECT $1::text[]", [['a,"b"\\', "NULL", None, ""]], [[['a,"b"\\', "NULL", None, ""]]]),
    )
    for sql, given, found in statements:
        assert (await read(database, sql.replace("numbered", NUMBERED), *given)).rows == found, sql


@pytest.mark.parametrize(
    ("sql", "given", "message"),
    [
        ("SELECT $2::int, $1::text", ["x", "seven"], r'Parameter 2 is the text "seven"; send int4, such as 42 \('),
        ("SELECT $1::int", [1.5], r"Parameter 1 is 1\.5; send int4, such as 42"),
        ("SELECT $1::int", [[1]], "Parameter 1 is the list .*; send int4, such as 42"),
        ("SELECT $1::int2", [40_000], "out of range for type smallint"),
        ("SELECT $1::date", ["31.31.2026"], 'send date, such as "2026-01-31"'),
        ("SELECT $1::daterange", [{"lower": 1}], "Parameter 1 is the object .*; send daterange, such as"),
        ("SELECT $1::int[]", ["1"], r"send int4\[\], such as \[42\], and in where one more list"),
        ("SELECT $1::text", [{"base64": "AA=="}], "bytes"),
        ("SELECT $1::bytea", [{"base64": "?"}], "does not decode"),
        ("SELECT $1::text", ["a\0b"], "Parameter 1 is"),
        ("SELECT $1::text", ["\ud800"], "half of a surrogate pair"),
        ("SELECT $1::jsonb", ['{"a": '], "Parameter 1 is .*; send jsonb, such as"),
        ("SELECT $1::text", ["x" * 1000 + "\0"], "x{59}…; send text"),
        ("SELECT (1, 'a') = $1", ["(1,a)"], r"column = \$1::its_type"),
    ],
    ids=range(14),
)
async def test_a_parameter_of_the_wrong_form_is_named_with_an_example(
    database: PostgreSQL, sql: str, given: list[Any], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        await read(database, sql, *given)
