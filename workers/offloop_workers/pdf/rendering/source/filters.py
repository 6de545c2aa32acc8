"""Filters of templates: number, money, percent, date; round, sum and format in decimals."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, Final

import jinja2
from jinja2.filters import do_format, make_attrgetter
from markupsafe import Markup

from offloop_workers.pdf.rendering.source import decimals as arithmetic
from offloop_workers.pdf.rendering.source.decimals import NoNumberError, exact, rounded

_MAX_DECIMALS: Final = 20
# The minor units of ISO 4217 that are not two.
_WHOLE: Final = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THOUSANDTHS: Final = "BHD IQD JOD KWD LYD OMR TND"
_MINOR_UNITS: Final = {
    **dict.fromkeys(_WHOLE.split(" "), 0),
    **dict.fromkeys(_THOUSANDTHS.split(" "), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}


def number(value: Any, decimals: int = 2, thousands: str = ",", point: str = ".") -> str:
    """Format ``1234.5`` as ``1,234.50``; halves round away from zero."""
    _check(decimals, "number")
    return _grouped(rounded(exact(value, "number"), decimals), decimals, thousands, point)


def money(value: Any, currency: str = "", thousands: str = ",", point: str = ".", decimals: int | None = None) -> str:
    """Format an amount with the decimals of its currency: ``1234.5|money('EUR')`` is ``1,234.50 EUR``.

    Args:
        value: the amount.
        currency: ISO 4217 code, which follows the amount; other text, such as a sign, does too, with two decimals.
        thousands: separator of groups.
        point: decimal separator.
        decimals: instead of the currency's own, which ISO 4217 defines.
    """
    code = str(currency).strip()
    places = _MINOR_UNITS.get(code.upper(), 2) if decimals is None else decimals
    _check(places, "money")
    text = _grouped(rounded(exact(value, "money"), places), places, thousands, point)
    return f"{text}\N{NO-BREAK SPACE}{code}" if code else text


def percent(value: Any, decimals: int = 0, thousands: str = ",", point: str = ".") -> str:
    """Format the ratio ``0.195`` as ``20%``, and with one decimal as ``19.5%``."""
    _check(decimals, "percent")
    return _grouped(rounded(exact(value, "percent") * 100, decimals), decimals, thousands, point) + "%"


def moment(value: Any, form: str = "%Y-%m-%d") -> str:
    """Format an ISO date or time.

    Raises:
        NoNumberError: it is none.
    """
    found: date | None = None
    if isinstance(value, str):
        text = value.strip()
        try:
            found = datetime.fromisoformat(text) if len(text) > len("2000-01-01") else date.fromisoformat(text)
        except ValueError:
            found = None
    if found is None:
        message = f"date: {repr(value)[:60]} is not a date: give text such as 2026-11-20 or 2026-11-20T08:30:00Z"
        raise NoNumberError(message)
    return found.strftime(form[:100])


@jinja2.pass_environment
def total(environment: jinja2.Environment, values: Iterable[Any], attribute: Any = None, start: Any = 0) -> Any:
    """Jinja's ``sum``, in decimals."""
    if attribute is not None:
        values = map(make_attrgetter(environment, attribute), values)
    return arithmetic.total(values, start)


def formatted(form: str, *values: Any, **named: Any) -> str:
    """Jinja's ``format``: ``'%.2f'|format(x)``, in decimals."""
    if isinstance(form, Markup) or (values and named):
        return do_format(form, *values, **named)
    return arithmetic.printf(str(form), named or values)


ALL: Final = {
    "number": number,
    "money": money,
    "percent": percent,
    "date": moment,
    "round": arithmetic.round_filter,
    "sum": total,
    "format": formatted,
}


def _check(decimals: Any, use: str) -> None:
    if not isinstance(decimals, int) or isinstance(decimals, bool) or not 0 <= decimals <= _MAX_DECIMALS:
        message = f"{use}() takes 0 to {_MAX_DECIMALS} decimals, a whole number"
        raise jinja2.TemplateRuntimeError(message)


def _grouped(found: Any, decimals: int, thousands: str, point: str) -> str:
    return f"{found:,.{decimals}f}".translate({ord(","): str(thousands), ord("."): str(point)})
