"""Queries of PostgreSQL's system catalogue: tables, columns, keys, and the rights of the role."""

from __future__ import annotations

from typing import Final

from offloop_server.io.catalogue import Column, Key, Shape, Table
from offloop_server.io.sql.postgres.session import Session
from offloop_server.io.sql.postgres.types import Types

_KINDS: Final = """
CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
WHEN 'p' THEN 'partitioned table' ELSE 'foreign table' END
"""
_VISIBLE: Final = """
c.relkind IN ('r', 'v', 'm', 'p', 'f') AND has_schema_privilege(n.oid, 'USAGE')
AND (has_table_privilege(c.oid, 'SELECT') OR has_any_column_privilege(c.oid, 'SELECT'))
"""

TABLES: Final = f"""
SELECT n.nspname, c.relname, {_KINDS}, CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint END
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE {_VISIBLE} AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY 1, 2 LIMIT $1
"""  # noqa: S608 -- made of the constants above

_TABLE: Final = f"""
SELECT n.nspname, c.relname, {_KINDS}, CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint END, c.oid::int8
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE {_VISIBLE} AND c.relname = $1
AND CASE WHEN $2::text IS NULL THEN pg_table_is_visible(c.oid) ELSE n.nspname = $2 END
"""  # noqa: S608 -- made of the constants above

_COLUMNS: Final = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull, pg_get_expr(d.adbin, d.adrelid),
coalesce(a.attnum = ANY (k.conkey), false)
FROM pg_catalog.pg_attribute a
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_catalog.pg_constraint k ON k.conrelid = a.attrelid AND k.contype = 'p'
WHERE a.attrelid = ($1::int8)::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""

_KEYS: Final = """
SELECT CASE WHEN i.indisprimary THEN 'primary' WHEN i.indisunique THEN 'unique' ELSE 'index' END, c.relname,
ARRAY(SELECT coalesce(a.attname, '<expression>') FROM unnest(i.indkey) WITH ORDINALITY AS key (number, position)
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = key.number AND a.attnum > 0
WHERE key.position <= i.indnkeyatts ORDER BY key.position)::text[], NULL::text
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = ($1::int8)::oid
UNION ALL
SELECT 'foreign', k.conname,
ARRAY(SELECT a.attname FROM unnest(k.conkey) WITH ORDINALITY AS key (number, position)
JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = key.number ORDER BY key.position)::text[],
k.confrelid::regclass::text || '(' || array_to_string(ARRAY(
SELECT a.attname FROM unnest(k.confkey) WITH ORDINALITY AS key (number, position)
JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = key.number ORDER BY key.position), ', ')
|| ')'
FROM pg_catalog.pg_constraint k WHERE k.conrelid = ($1::int8)::oid AND k.contype = 'f'
ORDER BY 1, 2
"""

RIGHTS: Final = """
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_roles r
    WHERE (r.rolsuper
    OR r.rolname IN ('pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program'))
    AND pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER')),
EXISTS (
    SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
    AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')),
current_setting('track_activities')::bool OR EXISTS (
    SELECT FROM pg_catalog.pg_proc p
    WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname IN ('pg_cancel_backend', 'pg_terminate_backend')
    AND has_function_privilege(session_user, p.oid, 'EXECUTE'))
"""
"""Three booleans: the role can reach the server's host, can write to a table, can see or end other callers' statements.

The first and the third are checked for `session_user`: a statement can return to that role whatever SET ROLE did.
"""


async def shape(session: Session, types: Types, name: str, schema: str | None) -> Shape | None:
    """Describe a table; ``None`` if there is no readable table of that name."""
    found = await session.read(types, _TABLE, name, schema)
    if not found:
        return None
    *described, number = found[0]
    columns = [Column(*column) for column in await session.read(types, _COLUMNS, number)]
    return Shape(Table(*described), columns, [Key(*key) for key in await session.read(types, _KEYS, number)])
