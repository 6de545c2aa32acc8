"""JSON of unknown origin, parsed without loss and nested within bounds; numbers that JSON readers would round are text.

Most JSON readers keep a number as a double, so that 9007199254740993 becomes 9007199254740992. Every answer gives such
numbers as text, digit for digit.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any, Final, NoReturn

MAX_DEPTH: Final = 100
"""Maximum levels of lists and objects: encoders of an answer fail beyond some depth."""
EXACT: Final = 2**53
"""Largest integer up to which a double holds each one."""
_SURE_DIGITS: Final = 15
"""A double holds each decimal of so many digits, and each integer."""
_MAX_DIGITS: Final = 16
"""Digits of `EXACT`."""


def parsed(text: str, as_text: list[str] | None = None) -> Any:
    """The value of a JSON text; numbers that a double does not hold as text.

    Args:
        text: the JSON.
        as_text: receives these numbers.

    Raises:
        ValueError: it is no JSON, or a value would be lost: it has more than `MAX_DEPTH` levels, an object repeats a
            name, or a string has half of a surrogate pair.
    """
    kept: list[str] = [] if as_text is None else as_text
    try:
        value = json.loads(
            text,
            parse_int=partial(_noted, exact_int, kept),
            parse_float=partial(_noted, exact_float, kept),
            parse_constant=_refuse,
            object_pairs_hook=_object,
        )
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if too_deep(value):
        raise ValueError(_TOO_DEEP)
    if "\\u" in text:
        _check_pairs(value)
    return value


def _check_pairs(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        message = f"a string in it has half of a surrogate pair, {half}, which no text has"
        raise ValueError(message) from None


def _noted(exact: Callable[[str], float | str], kept: list[str], text: str) -> float | str:
    value = exact(text)
    if isinstance(value, str):
        kept.append(value)
    return value


def exact_int(text: str) -> int | str:
    """The integer that a JSON text writes, or the text where a double would round it."""
    if len(text) <= _SURE_DIGITS:
        return int(text)
    if len(text.lstrip("-")) > _MAX_DIGITS:
        return text
    value = int(text)
    return value if -EXACT <= value <= EXACT else text


def exact_float(text: str) -> float | str:
    """The number with a fraction or exponent that a JSON text writes, or the text where a double would round it."""
    value = float(text)
    if len(text) <= _SURE_DIGITS and "e" not in text and "E" not in text:
        return value
    try:
        return value if Decimal(repr(value)) == Decimal(text) else text
    except ArithmeticError:  # an exponent beyond those of decimals
        return text


def written(value: float) -> str:
    """The text of a caller's number; without a fraction where it is whole, since some clients send 1 as 1.0."""
    if not isinstance(value, int) and value.is_integer():
        return f"{Decimal(repr(value)):.0f}"  # 1e23 is the number that was written, not its nearest double
    return json.dumps(value)


def too_deep(value: Any) -> bool:
    """Whether a parsed JSON value has more than `MAX_DEPTH` levels."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True


_TOO_DEEP: Final = f"it has more than {MAX_DEPTH} levels"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        message = "an object in it repeats a name"
        raise ValueError(message)
    return found


def _refuse(name: str) -> NoReturn:
    message = f"{name} is no JSON value"
    raise ValueError(message)
