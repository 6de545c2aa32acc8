"""Parameters of a statement: messages for those that cannot be sent, and bytes in their JSON form."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from typing import Any, Final

from offloop.errors import BadInput

Parameters = list[Any] | dict[str, Any]

_SHOWN: Final = 60
"""Characters of a value in a message."""
_HALF: Final = re.compile("[\ud800-\udfff]")
_INSTEAD: Final = {
    list: "write a placeholder for each value: IN (?, ?); a list that is JSON as a text",
    dict: "write JSON as a text",
}


def unfit(place: int | str, value: Any, expected: str, why: str = "") -> BadInput:
    """The error for a parameter of the wrong form.

    Args:
        place: number of the parameter, or its name.
        value: the value.
        expected: the form, with an example.
        why: the reason, if there is more to say.
    """
    reason = f" ({why.rstrip('.')})" if why else ""
    return BadInput(f"Parameter {place} is {shown(value)}; send {expected}{reason}.")


def shown(value: Any) -> str:
    """A value in a message: its sort, and its beginning."""
    if isinstance(value, bytes):
        return f"bytes ({len(value)})"
    kinds: dict[type, str] = {str: "the text ", list: "the list ", dict: "the object "}
    text = json.dumps(value, ensure_ascii=_HALF.search(str(value)) is not None, default=str)
    return kinds.get(type(value), "") + (text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def wrong_count(expected: int, given: int, placeholder: str) -> BadInput:
    """The error for a statement with more or fewer placeholders than parameters."""
    plural = "s" * (expected != 1)
    return BadInput(f"The statement expects {expected} parameter{plural} ({placeholder}), and {given} came with it.")


def with_bytes(parameters: Parameters, *, unsigned: bool = True) -> Parameters:
    """The parameters with ``{"base64": …}``, the JSON form of bytes, decoded.

    Args:
        parameters: values of a caller.
        unsigned: integers may have 64 bits without a sign.

    Raises:
        BadInput: one cannot be sent.
    """
    if isinstance(parameters, dict):
        return dict(_plain(parameters.items(), unsigned=unsigned))
    return [value for _, value in _plain(enumerate(parameters, 1), unsigned=unsigned)]


def _plain(parameters: Iterable[tuple[Any, Any]], *, unsigned: bool) -> Iterable[tuple[Any, Any]]:
    for place, value in parameters:
        if is_bytes(value):
            yield place, _decoded(place, value)
        elif isinstance(value, (dict, list)):
            raise unfit(place, value, "a number, a text, true, false, null or bytes", _INSTEAD[type(value)])
        elif isinstance(value, int) and not -(2**63) <= value < 2 ** (64 if unsigned else 63):
            raise unfit(place, value, "an integer of 64 bits, or the number as a text")
        else:
            check_text(place, value)
            yield place, value


def check_text(place: int | str, value: Any) -> None:
    """Refuse a text that has no form in UTF-8.

    Raises:
        BadInput: it has half of a surrogate pair.
    """
    if isinstance(value, str) and _HALF.search(value):
        raise unfit(place, value, "it without the half of a surrogate pair, which is no character")


def is_bytes(value: Any) -> bool:
    """Whether a value is the JSON form of bytes."""
    return isinstance(value, dict) and set(value) == {"base64"} and isinstance(value["base64"], str)


def _decoded(place: int | str, value: dict[str, str]) -> bytes:
    try:
        return base64.b64decode(value["base64"], validate=True)
    except ValueError:  # of another character than ASCII, too
        raise unfit(place, value, 'bytes such as {"base64": "AP8="}', "it does not decode") from None
