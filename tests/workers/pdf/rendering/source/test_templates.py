"""Templates: values, escaping, errors with their position."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from offloop.errors import JobError
from offloop.jobs.pdf import Pdf
from offloop.kinds.job_context import JobContext
from offloop_workers.pdf.rendering.source import templates
from support.files.rendered import Document, data

Run = Callable[..., tuple[Pdf, Document]]


def fill(template: str, assets: dict[str, str] | None = None, **values: Any) -> str:
    """Fill a template, without rendering it."""
    return templates.fill(template, values, (assets or {}).get, lambda text: f"<i>{text}</i>")


def test_a_template_and_its_data_become_pages(run: Run, context: JobContext) -> None:
    template = """
        {% extends "base.html" %}{% block body %}
        {% for item in invoice.items %}<tr><td>{{ item.name }}<td>{{ (item.count * item.price)|number }}{% endfor %}
        {% include "note.html" %}{% endblock %}"""
    assets = {
        "base.html": data(b"<title>{{ invoice.title }}</title><table>{% block body %}{% endblock %}</table>"),
        "note.html": data(b"<p>{{ note|markdown }}</p>"),
    }
    invoice = {"title": "Bill 7", "items": [{"name": "Tea & <b>milk</b>", "count": 3, "price": 411.5}]}
    pdf, document = run(template=template, data={"invoice": invoice, "note": "**Paid**"}, assets=assets)
    assert pdf.title == "Bill 7"
    for part in ("Tea & <b>milk</b>", "1,234.50", "Paid"):
        assert part in document.text
    assert "**" not in document.text
    assert context.warnings == []


def test_keys_of_the_data_take_precedence_over_methods() -> None:
    assert fill("{{ a.items }} {{ a.keys }}", a={"items": 1, "keys": 2}) == "1 2"
    assert fill("{% for k, v in a.items() %}{{ k }}{{ v }}{% endfor %}", a={"b": 1}) == "b1"


def test_values_of_the_data_are_escaped() -> None:
    assert fill("{{ a }}|{{ a|safe }}|{{ a|markdown }}", a="<b>") == "&lt;b&gt;|<b>|<i><b></i>"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("{{ 1234567.891|number }}", "1,234,567.89"),
        ("{{ 1234.5|number(1, '.', ',') }}", "1.234,5"),
        ("{{ 1234.5|number(0, ' ') }}", "1 235"),
        ("{{ '2026-11-20'|date('%d.%m.%Y') }}", "20.11.2026"),
        ("{{ '2026-11-20T08:30:00Z'|date('%H:%M') }}", "08:30"),
        ("{{ 2.675|number }} {{ 1.005|number }} {{ (-0.001)|number }}", "2.68 1.01 0.00"),
        ("{{ -2.675|number }} {{ 0.125|number }} {{ 0.5|number(0) }} {{ 1.5|number(0) }}", "-2.68 0.13 1 2"),
        ("{{ '12.345'|number }} {{ ' -7 '|number }} {{ '1e3'|number }}", "12.35 -7.00 1,000.00"),
        ("{{ 90071992547409931234|number(0) }}", "90,071,992,547,409,931,234"),
        ("{{ 2.675|money }} {{ 1234.5|money('EUR') }}", "2.68 1,234.50\xa0EUR"),
        ("{{ 1234.5|money('JPY') }} {{ 1.0005|money('kwd') }}", "1,235\xa0JPY 1.001\xa0kwd"),
        ("{{ 1234.5|money('€', '.', ',') }} {{ 9.999|money('USD', decimals=0) }}", "1.234,50\xa0€ 10\xa0USD"),
        ("{{ 0.195|percent }} {{ 0.19625|percent(2) }} {{ (-0.0004)|percent }}", "20% 19.63% 0%"),
        ("{{ 2.675|round(2) }} {{ 4.35|round(1) }} {{ 42|round }} {{ (-2.5)|round }}", "2.68 4.4 42 -3.0"),
        ("{{ 1.1|round(1, 'ceil') }} {{ 4.359|round(2, 'floor') }} {{ 1250|round(-2) }}", "1.1 4.35 1300"),
        ("{{ '%.2f'|format(2.675) }} {{ '%.2f' % 1.005 }} {{ '%s: %+.1f' % ('a', 0.25) }}", "2.68 1.01 a: +0.3"),
        ("{{ '%(x).2f'|format(x=-0.001) }} {{ '%d%%' % 5 }}", "0.00 5%"),
        ("{{ '{:,.2f}'.format(1002.675) }} {{ '{:.1%} {x:.0f}'.format(0.0125, x=2.5) }}", "1,002.68 1.3% 3"),
        ("{{ 0.1 + 0.2 }} {{ 3 * 1.1 }} {{ 1.1 - 1 }} {{ 0.3 / 3 }} {{ 7 / 2 }}", "0.3 3.3 0.1 0.1 3.5"),
        ("{{ [0.1, 0.2, 0.3]|sum }} {{ [{'p': 1.1}, {'p': 2.2}]|sum(attribute='p') }} {{ [1, 2]|sum }}", "0.6 3.3 3"),
        ("{{ 'a' + 'b' }}{{ [1] + [2] }}{{ 'ab' * 2 }}{{ 2 - 3 }}{{ 7 % 4 }}", "ab[1, 2]abab-13"),
    ],
)
def test_numbers_and_dates_are_formatted(value: str, text: str) -> None:
    assert fill(value) == text


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("a\n\n{{ customer.name }}", ["line 3", "'customer' is undefined", "data has order"]),
        ("{{ order.nmae }}", ["line 1", "'nmae'"]),
        ("a\n{% for x in order %}", ["line 2", "endfor"]),
        ("{{ order.total / 0 }}", ["line 1", "division by zero"]),
        ("{{ 'x'|nosuch }}", ["line 1", "nosuch"]),
        ("a\n{% include 'foot.html' %}", ["line 2 of 'foot.html'", "'x' is undefined"]),
        ("{% include 'none.html' %}", ["no asset is called 'none.html'", "assets"]),
        ("{{ 'soon'|date }}", ["line 1", "soon", "is not a date", "2026-11-20"]),
        ("{{ 20261120|date }}", ["line 1", "20261120 is not a date"]),
        ("{{ none|money }}", ["line 1", "None is not a number", "default(0, true)"]),
        ("{{ 'nan'|number }}", ["'nan' is not a number"]),
        ("{{ '1,234.50'|number }}", ["'1,234.50' is not a number", "without thousands separators"]),
        ("{{ true|percent }}", ["True is not a number"]),
        ("{{ ('9' * 300 ~ 'e999')|number }}", ["not a number"]),
        ("{{ 1|number(1.5) }}", ["0 to 20 decimals, a whole number"]),
        ("{{ ['1.10', 2]|sum }}", ["'1.10' is text", "map('float')"]),
        ("{{ 1|round(2, 'up') }}", ["common, ceil and floor"]),
    ],
)
def test_an_error_names_its_line(template: str, words: list[str]) -> None:
    with pytest.raises(JobError) as failed:
        fill(template, {"foot.html": "-\n{{ x }}"}, order={"total": 1})
    assert failed.value.reason == "template_error"
    for word in words:
        assert word in failed.value.message


def test_amounts_round_as_decimal_arithmetic_does() -> None:
    """Each amount of three decimals: the reference is the exact fraction, with halves away from zero."""
    thousandths = [*range(-3000, 3000), *range(1_000_000, 1_000_400), 2**53 - 1]
    amounts = [number / 1000 for number in thousandths]
    found = fill("{% for x in xs %}{{ x|money(thousands='') }} {{ '%.2f' % x }} {% endfor %}", xs=amounts).split()
    cents = [(abs(number) * 2 + 10) // 20 * (-1 if number < 0 else 1) for number in thousandths]
    expected = [f"{'-' if cent < 0 else ''}{abs(cent) // 100}.{abs(cent) % 100:02}" for cent in cents]
    assert found == [text for text in expected for _ in range(2)]


def test_a_missing_variable_is_an_error_and_not_a_blank() -> None:
    with pytest.raises(JobError):
        fill("{% if a %}x{% endif %}")
    assert fill("{{ a|default('none') }}{% if a is defined %}x{% endif %}") == "none"


def test_templates_share_no_state() -> None:
    fill("{% macro m() %}x{% endmacro %}{% set g = 1 %}{{ m() }}")
    with pytest.raises(JobError, match="'g' is undefined"):
        fill("{{ g }}")
    assert "markdown" not in templates._environment().filters
