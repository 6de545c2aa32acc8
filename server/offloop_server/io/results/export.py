"""Text formats of rows: CSV, JSON or a Markdown table."""

from __future__ import annotations

import io
import itertools
import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Literal

from offloop.errors import LimitExceeded
from offloop_server.io.results.findings import EMPTY_LINE, FORMULA
from offloop_server.io.results.rows import Rows

Format = Literal["csv", "json", "jsonl", "markdown"]

MIME: Final[dict[Format, str]] = {
    "csv": "text/csv",
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "markdown": "text/markdown",
}
SUFFIX: Final[dict[Format, str]] = {"csv": ".csv", "json": ".json", "jsonl": ".jsonl", "markdown": ".md"}

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""First characters that make a spreadsheet run a text as a formula, with the full-width forms it treats alike."""

_QUOTE: Final = '"'
_QUOTED: Final = re.compile(r'[",\r\n]|^\s|\s$')
_MAX_CELLS: Final = 20_000_000
_NULL_SIZE: Final = 5
"""Size of an empty cell in Markdown, in empty cells of CSV."""


def exported(rows: Rows, form: Format) -> str:
    """All rows as one text in that format."""
    return _FORMS[form](rows)


def _csv(rows: Rows) -> str:
    """CSV of RFC 4180 in which, as of PostgreSQL's COPY, NULL is an empty cell and an empty text is one in quotes."""
    text = io.StringIO()
    text.write(_line(rows, 0, rows.columns))
    for number, row in enumerate(_table(rows, _MAX_CELLS), 1):
        text.write(_line(rows, number, row))
    return text.getvalue()


def _line(rows: Rows, number: int, values: Sequence[Any]) -> str:
    cells = []
    for column, value in zip(rows.columns, values, strict=True):
        text = _plain(value)
        if not isinstance(value, (int, float)) and _is_formula(text):
            rows.findings.add(FORMULA, column, number)
            text = f"'{text}"
        cells.append(f'"{text.replace(_QUOTE, _QUOTE * 2)}"' if _needs_quotes(text, value) else text)
    if cells == [""]:
        rows.findings.add(EMPTY_LINE, rows.columns[0], number)
    return ",".join(cells) + "\r\n"


def _needs_quotes(text: str, value: Any) -> bool:
    return bool(_QUOTED.search(text)) if text else value is not None


def _json(rows: Rows) -> str:
    return "[" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows.objects()) + "]\n"


def _json_lines(rows: Rows) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows.objects())


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


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _is_formula(text: str) -> bool:
    """Whether a spreadsheet would run the text as a formula; numbers written as text are none."""
    if not text.lstrip(" ").startswith(_FORMULA):
        return False
    try:
        float(text)
    except ValueError:
        return True
    return False


def _cell(value: Any) -> str:
    text = "NULL" if value is None else _plain(value)
    for found, replaced in (
        ("\\", "\\\\"),
        ("|", "\\|"),
        ("<", "&lt;"),
        ("\r\n", "<br>"),
        ("\r", "<br>"),
        ("\n", "<br>"),
    ):
        text = text.replace(found, replaced)
    return text


_FORMS: Final[dict[Format, Callable[[Rows], str]]] = {
    "csv": _csv,
    "json": _json,
    "jsonl": _json_lines,
    "markdown": _markdown,
}
