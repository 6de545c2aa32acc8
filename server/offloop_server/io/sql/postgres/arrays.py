"""Text form of PostgreSQL's arrays: read into lists, and written from lists."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

Decode = Callable[[str], Any]

_PLAIN = re.compile(r"[^\s{}\\\"]+")
"""An element that needs no quotes, unless it has the delimiter."""


def read(text: str, delimiter: str, decode: Decode | None, *, of_lists: bool = False) -> Any:
    """The array as nested lists, or the text itself where lists would not tell all.

    Args:
        text: as the server writes it.
        delimiter: between the elements.
        decode: makes a value of the text of an element.
        of_lists: an element may be a list itself; of such elements, an array of several dimensions stays text.
    """
    if text.startswith("[") or (of_lists and text.startswith("{{")):  # bounds other than 1, such as [0:1]={1,2}
        return text
    if '"' not in text and not text.startswith("{{"):
        items = text[1:-1].split(delimiter) if text != "{}" else []
        if "NULL" in text:
            return [_element(item, decode) for item in items]
        return items if decode is None else [decode(item) for item in items]
    top: list[Any] = []
    open_lists = [top]
    for found in _tokens(delimiter).finditer(text):
        plain, quoted = found["plain"], found["quoted"]
        if found[0] == "{":
            inner: list[Any] = []
            open_lists[-1].append(inner)
            open_lists.append(inner)
        elif found[0] == "}":
            open_lists.pop()
        elif plain is not None:
            open_lists[-1].append(_element(plain, decode))
        elif quoted is not None:
            item = re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL) if "\\" in quoted else quoted
            open_lists[-1].append(item if decode is None else decode(item))
    return top[0]


def write(items: list[Any], delimiter: str, encode: Callable[[Any], str | None], *, of_lists: bool = False) -> str:
    """The array of nested lists.

    Args:
        items: the elements.
        delimiter: between them.
        encode: makes the text of an element; ``None`` for NULL.
        of_lists: lists among the elements are elements, and no further dimension.
    """
    return "{" + delimiter.join(_written(item, delimiter, encode, of_lists=of_lists) for item in items) + "}"


def _written(item: Any, delimiter: str, encode: Callable[[Any], str | None], *, of_lists: bool) -> str:
    if isinstance(item, list) and not of_lists:
        return write(item, delimiter, encode)
    text = encode(item)
    if text is None:
        return "NULL"
    if delimiter not in text and _PLAIN.fullmatch(text) and text.upper() != "NULL":
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _element(text: str, decode: Decode | None) -> Any:
    if text == "NULL":
        return None
    return text if decode is None else decode(text)


@cache
def _tokens(delimiter: str) -> re.Pattern[str]:
    mark = re.escape(delimiter)
    return re.compile(rf'[{{}}]|"(?P<quoted>[^"\\]*(?:\\.[^"\\]*)*)"|(?P<plain>[^{{}}"{mark}]+)', re.DOTALL)
