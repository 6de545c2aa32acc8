"""Templates: values, escaping, errors with their position."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from offloop.errors import JobError
from offloop.jobs.pdf import Pdf
from offloop.kinds.job_context import JobContext
from offloop_workers.pdf.rendering import templates
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
        ("{{ 1234.5|number(0, ' ') }}", "1 234"),
        ("{{ '2026-11-20'|date('%d.%m.%Y') }}", "20.11.2026"),
        ("{{ '2026-11-20T08:30:00Z'|date('%H:%M') }}", "08:30"),
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
        ("{{ 'soon'|date }}", ["line 1", "soon"]),
    ],
)
def test_an_error_names_its_line(template: str, words: list[str]) -> None:
    with pytest.raises(JobError) as failed:
        fill(template, {"foot.html": "-\n{{ x }}"}, order={"total": 1})
    assert failed.value.reason == "template_error"
    for word in words:
        assert word in failed.value.message


def test_a_missing_variable_is_an_error_and_not_a_blank() -> None:
    with pytest.raises(JobError):
        fill("{% if a %}x{% endif %}")
    assert fill("{{ a|default('none') }}{% if a is defined %}x{% endif %}") == "none"


def test_templates_share_no_state() -> None:
    fill("{% macro m() %}x{% endmacro %}{% set g = 1 %}{{ m() }}")
    with pytest.raises(JobError, match="'g' is undefined"):
        fill("{{ g }}")
    assert "markdown" not in templates._environment().filters
