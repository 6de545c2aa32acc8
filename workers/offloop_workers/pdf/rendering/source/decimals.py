"""Decimal arithmetic and rounding for templates: numbers are what their digits say, and halves round away from zero."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any, Final

_CONTEXT: Final = Context(prec=400, rounding=ROUND_HALF_UP, Emax=10_000, Emin=-10_000)
_ROUNDINGS: Final = {"common": ROUND_HALF_UP, "ceil": ROUND_CEILING, "floor": ROUND_FLOOR}
_MAX_DIGITS: Final = 320
"""More than any float has before its point."""

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_OPERATORS: Final = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide"}
_PRINTF = re.compile(
    r"%(?:\((?P<name>[^)]*)\))?[#0 +-]*(?P<star>\*)?\d*(?:\.(?P<digits>\d+))?[hlL]?(?P<sort>[a-zA-Z%*])"
)


class NoNumberError(ValueError):
    """A value that was to be formatted or rounded is no number."""


def exact(value: Any, use: str) -> Decimal:
    """The number that a value shows: a number, or text such as ``-1234.50``.

    Args:
        value: a number or text.
        use: name of the filter, for the message.

    Raises:
        NoNumberError: it is none, or has too many digits.
    """
    shown = repr(value)[:60]
    if isinstance(value, Decimal):
        found = value
    elif isinstance(value, int) and not isinstance(value, bool):
        found = Decimal(value) if value.bit_length() < 4 * _MAX_DIGITS else Decimal("inf")
    elif isinstance(value, float):
        found = Decimal(repr(value))
    elif isinstance(value, str) and len(value) < _MAX_DIGITS and _NUMBER.fullmatch(value.strip()):
        found = Decimal(value.strip())
    else:
        advice = (
            f"use |default(0, true) before |{use} where it may be missing"
            if value is None
            else ('give a number such as 1234.5, or text such as "1234.50", without thousands separators')
        )
        message = f"{use}: {shown} is not a number: {advice}"
        raise NoNumberError(message)
    if not found.is_finite() or abs(found.adjusted()) > _MAX_DIGITS:
        message = f"{use}: {shown} is not a number of at most {_MAX_DIGITS} digits"
        raise NoNumberError(message)
    return found


def rounded(number: Decimal, decimals: int, rounding: str = ROUND_HALF_UP) -> Decimal:
    """The number with so many decimals; zero has no sign."""
    found = number.quantize(Decimal(1).scaleb(-decimals), rounding=rounding, context=_CONTEXT)
    return found or abs(found)


def calculate(operator: str, left: Any, right: Any) -> Any:
    """``left operator right``; where one is a float, in decimals, so that 0.1 + 0.2 is 0.3.

    The result is a float, with the 17 digits that it has: amounts are exact up to 15 digits.
    """
    if operator in _OPERATORS and _are_numbers(left, right):
        try:
            result = getattr(_CONTEXT, _OPERATORS[operator])(exact(left, operator), exact(right, operator))
        except (NoNumberError, InvalidOperation, ArithmeticError):
            pass  # infinite, not a number, or a division by zero: as Python does it
        else:
            return float(result)
    return _plain(operator, left, right)


def total(values: Iterable[Any], start: Any) -> Any:
    """Sum of values, in decimals where there are floats.

    Raises:
        NoNumberError: there is text among them, which would be a mistake of the data.
    """
    found = start
    for value in values:
        if isinstance(value, str) and isinstance(start, (int, float)):
            message = f"sum: {value[:60]!r} is text: give numbers without quotes, or map them with |map('float')"
            raise NoNumberError(message)
        found = calculate("+", found, value)
    return found


def round_filter(value: Any, precision: int = 0, method: str = "common") -> float:
    """Jinja's ``round``, in decimals: ``2.675|round(2)`` is 2.68.

    Raises:
        NoNumberError: the value is no number, or the precision or the method does not exist.
    """
    if method not in _ROUNDINGS or type(precision) is not int or abs(precision) > 20:  # noqa: PLR2004
        message = "round takes a precision of -20 to 20, and the methods common, ceil and floor"
        raise NoNumberError(message)
    found = rounded(exact(value, "round"), precision, _ROUNDINGS[method])
    return int(found) if type(value) is int and method == "common" else float(found)


def printf(form: str, values: Any) -> str:
    """``form % values``, whose ``%.2f`` round in decimals too."""
    fields = [field for field in _PRINTF.finditer(form) if field["sort"] != "%"]
    digits = [int(field["digits"] or 6) if field["sort"] in "fF" else None for field in fields]
    if isinstance(values, Mapping):
        named = {field["name"]: places for field, places in zip(fields, digits, strict=True)}
        values = {name: _to_print(value, named.get(str(name))) for name, value in values.items()}
    else:
        given = values if isinstance(values, tuple) else (values,)
        if len(fields) == len(given) and not any(field["star"] for field in fields):
            values = tuple(map(_to_print, given, digits))
    return str(form % values)


class Exact(float):
    """A float whose formats with a fixed number of decimals round in decimals."""

    def __format__(self, form: str) -> str:
        """As `float`, but for ``.2f`` and ``.1%``."""
        found = re.search(r"\.(\d{1,3})([f%])$", form, re.IGNORECASE)
        if not found or self != self or abs(self) == float("inf"):  # noqa: PLR0124 -- not a number
            return float(self).__format__(form)
        decimals = int(found[1]) + (2 if found[2] == "%" else 0)
        return format(rounded(Decimal(repr(float(self))), min(decimals, 340)), form)


def to_format(value: Any) -> Any:
    """A value as `str.format` should see it."""
    return Exact(value) if type(value) is float else value


def _to_print(value: Any, decimals: int | None) -> Any:
    if decimals is None or not isinstance(value, float) or value != value or abs(value) >= 1e15:  # noqa: PLR0124, PLR2004
        return value
    return float(rounded(Decimal(repr(value)), min(decimals, 320)))


def _are_numbers(*values: Any) -> bool:
    numbers = [isinstance(value, (int, float)) and not isinstance(value, bool) for value in values]
    return all(numbers) and any(isinstance(value, float) for value in values)


def _plain(operator: str, left: Any, right: Any) -> Any:
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    return left / right if operator == "/" else left * right
