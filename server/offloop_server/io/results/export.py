"""Text formats of rows: CSV, JSON or a Markdown table."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any, Final, Literal

from offloop.errors import LimitExceeded
from offloop_server.io.results.rows import Rows

Format = Literal["csv", "json", "markdown"]

MIME: Final[dict[Format, str]] = {"csv": "text/csv", "json": "application/json", "markdown": "text/markdown"}
SUFFIX: Final[dict[Format, str]] = {"csv": ".csv", "json": ".json", "markdown": ".md"}

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""First characters that make a spreadsheet run a text as a formula, with the full-width forms it treats alike."""

_MAX_CELLS: Final = 20_000_000
_NULL_SIZE: Final = 5
"""Size of an empty cell in Markdown, in empty cells of CSV."""


def exported(rows: Rows, form: Format) -> str:
    """All rows as one text in that format."""
    return _FORMS[form](rows)


def _csv(rows: Rows) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([_harmless(name) for name in rows.columns])
    writer.writerows(
        [_harmless(_plain(value)) if not _number(value) else value for value in row] for row in _table(rows, _MAX_CELLS)
    )
    return text.getvalue()


def _json(rows: Rows) -> str:
    return "[" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows.objects()) + "]\n"


def _markdown(rows: Rows) -> str:
    head = [rows.columns, ["---"] * len(rows.columns)]
    lines = itertools.chain(head, _table(rows, _MAX_CELLS // _NULL_SIZE))
    return "".join(f"| {' | '.join(_cell(value) for value in line)} |\n" for line in lines)


def _table(rows: Rows, max_cells: int) -> Iterator[list[Any]]:
    """The rows, all as long as the columns: a document lacks the fields that others have.

    Raises:
        LimitExceeded: the table would be mostly empty.
    """
    width = len(rows.columns)
    if width * rows.count > max_cells:
        message = f"As a table, {rows.count} rows of {width} columns are too large. Use format=json, or project."
        raise LimitExceeded(message)
    return rows.lines()


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _harmless(text: str) -> str:
    """The text, with a quote in front if a spreadsheet would run it as a formula; numbers written as text are not."""
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
