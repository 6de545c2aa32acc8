"""Arguments and replies of Redis: text where the bytes are UTF-8, {"base64": …} elsewhere."""

from __future__ import annotations

import base64
from typing import Any

from offloop.errors import BadInput
from offloop_server.io.exact_json import written

Argument = str | int | float | dict[str, str]


def encoded(argument: Argument) -> bytes:
    """The bytes of an argument.

    Raises:
        BadInput: it is an object other than {"base64": …}, or no text.
    """
    if not isinstance(argument, dict):
        try:
            return argument.encode() if isinstance(argument, str) else written(argument).encode()
        except UnicodeEncodeError:
            message = "An argument has half of a surrogate pair in it, which is no character: send it without."
            raise BadInput(message) from None
    try:
        if set(argument) == {"base64"}:
            return base64.b64decode(argument["base64"], validate=True)
    except ValueError:  # of another character than ASCII, too
        pass
    message = 'An argument is a text, a number, or bytes as {"base64": "…"}.'
    raise BadInput(message)


def decoded(value: Any) -> Any:
    """A reply as a value for a row: bytes stay bytes only where they are no UTF-8."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value
    if isinstance(value, list):
        return [decoded(item) for item in value]
    return value


def pairs(flat: list[Any]) -> list[tuple[Any, Any]]:
    """The pairs of a flat list: field, value, field, value."""
    return list(zip(flat[::2], flat[1::2], strict=True))
