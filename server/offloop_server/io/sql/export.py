"""Rows as a text: CSV, JSON or a Markdown table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any, Final, Literal

from offloop_server.io.sql.rows import Rows

Format = Literal["csv", "json", "markdown"]

MIME: Final[dict[Format, str]] = {"csv": "text/csv", "json": "application/json", "markdown": "text/markdown"}
SUFFIX: Final[dict[Format, str]] = {"csv": ".csv", "json": ".json", "markdown": ".md"}

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""How a text begins that a spreadsheet would run as a formula; the wide forms count as the narrow ones there."""


def exported(rows: Rows, form: Format) -> str:
    """All the rows in that form."""
    return _FORMS[form](rows)


def _csv(rows: Rows) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([_harmless(name) for name in rows.columns])
    writer.writerows([_harmless(_plain(value)) if not _number(value) else value for value in row] for row in rows.rows)
    return text.getvalue()


def _json(rows: Rows) -> str:
    return "[" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows.objects()) + "]\n"


def _markdown(rows: Rows) -> str:
    lines = [rows.columns, ["---"] * len(rows.columns), *rows.rows]
    return "".join(f"| {' | '.join(_cell(value) for value in line)} |\n" for line in lines)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _harmless(text: str) -> str:
    """With a quote in front where a spreadsheet would take the text for a formula; numbers as text stay as they are."""
    if not text.lstrip(" ").startswith(_FORMULA):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def _cell(value: Any) -> str:
    text = "NULL" if value is None else _plain(value)
    for found, replaced in (("\\", "\\\\"), ("|", "\\|"), ("<", "&lt;"), ("\r", ""), ("\n", "<br>")):
        text = text.replace(found, replaced)
    return text


_FORMS: Final[dict[Format, Callable[[Rows], str]]] = {"csv": _csv, "json": _json, "markdown": _markdown}
