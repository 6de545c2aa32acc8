"""Parser of ``key=value`` arguments, typed by the tool's input schema.

``key=text``, ``key=3``, ``key=true``   converted to the schema's type; lists of strings may be written ``a,b,c``
``key=@path``                           the text of a file; a file argument gets the file itself, uploaded
``key:=json``                           any JSON value
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from offloop.errors import BadInput

_WORD = re.compile(r"(?P<key>[A-Za-z_][A-Za-z0-9_.-]*)(?P<sign>:=|=)(?P<text>.*)", re.DOTALL)


_PYTHON: dict[str, tuple[type, ...]] = {
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "array": (list,),
    "object": (dict,),
}


class Upload(str):
    """Path of a file to upload before the call."""

    __slots__ = ()


def parse(words: Iterable[str], schema: dict[str, Any]) -> dict[str, Any]:
    """Parse the arguments; a file to upload stays an `Upload`.

    Raises:
        BadInput: a word is not ``key=value``, the argument is unknown, or the value has the wrong type.
    """
    properties = schema.get("properties", {})
    arguments: dict[str, Any] = {}
    for word in words:
        found = _WORD.fullmatch(word)
        if not found:
            message = f"{word!r} is not an argument: write key=value, key=@file or key:=json"
            raise BadInput(message)
        key = found["key"]
        if key not in properties:
            message = f"there is no argument {key!r}.{suggestion(key, properties, 'Its arguments are')}"
            raise BadInput(message)
        resolved = _resolved(properties[key], schema)
        arguments[key] = _json(key, found["text"]) if found["sign"] == ":=" else _value(key, found["text"], resolved)
    return arguments


def suggestion(name: str, known: Iterable[str], otherwise: str) -> str:
    """Text that follows "there is no …": the closest known name, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f" Did you mean {close[0]!r}?" if close else f" {otherwise}: {', '.join(names) or 'none'}."


def _resolved(field: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The alternatives of a field without null; references are resolved."""
    if name := str(field.get("$ref", "")).removeprefix("#/$defs/"):
        field = schema.get("$defs", {}).get(name, {})
    choices = field.get("anyOf") or field.get("oneOf") or [field]
    return [
        option
        for choice in choices
        for option in (_resolved(choice, schema) if choice is not field else [field])
        if option.get("type") != "null"
    ]


def _value(key: str, text: str, options: list[dict[str, Any]]) -> Any:
    types = {kind for option in options for kind in _types(option)}
    if text.startswith("@"):
        if any(option.get("format") == "file-reference" for option in options):
            return Upload(_path(key, text[1:]))
        text = _content(key, text[1:])
    if "string" in types or not types:
        return text
    if "array" in types and not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    value = _json(key, text)
    if not any(type(value) in _PYTHON.get(kind, ()) for kind in types):
        message = f"{key}: expected {' or '.join(sorted(types))}, got {text[:60]!r}"
        raise BadInput(message)
    return value


def _types(option: dict[str, Any]) -> list[str]:
    named = option.get("type")
    if named is None:
        # An enumeration need not state its type.
        return ["string"] if any(isinstance(item, str) for item in option.get("enum", ())) else []
    return [named] if isinstance(named, str) else list(named)


def _json(key: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        message = f'{key}: {text[:60]!r} is not the JSON this argument takes, such as 3, true, ["a"] or {{"a": 1}}'
        raise BadInput(message) from None


def _content(key: str, path: str) -> str:
    try:
        return _path(key, path).read_text(encoding="utf-8")
    except OSError as error:
        message = f"{key}: cannot read {path}: {error.strerror}"
    except UnicodeDecodeError:
        message = f"{key}: {path} is not UTF-8 text"
    raise BadInput(message)


def _path(key: str, path: str) -> Path:
    try:
        if "\0" not in path:
            return Path(path).expanduser()
        message = f"{key}: {path!r} cannot be the name of a file: it holds a NUL"
    except RuntimeError:
        message = f"{key}: {path} names a user without a home folder"
    raise BadInput(message)
