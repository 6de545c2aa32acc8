"""Contents that pages do not show: words lost, text cut off, empty pages; and footers of tables."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from offloop.jobs.pdf import Pdf
from offloop.kinds.job_context import JobContext
from support.files.rendered import Document, warned

Run = Callable[..., tuple[Pdf, Document]]

PARAGRAPHS = "<p>words of a paragraph</p>" * 80


@pytest.mark.parametrize(
    ("html", "words"),
    [
        ("<style>html, body { height: 100% } div { height: 300px; overflow: auto }</style><div>%s</div>", "on no page"),
        ("<div style='overflow: hidden; height: 40px'>%s</div>", "beyond the edge"),
        ("<pre style='white-space: pre'>%s</pre>" % ("word " * 80), "beyond the edge"),
        ("<table><tr>%s</table>" % ("<td>averyveryverylongword" * 20), "beyond the edge"),
        ("<p>x<p style='position: absolute; left: 3000px'>far right", "beginning with 'far right'"),
        ("<p>x<p style='position: absolute; top: 3000px'>far below", "beginning with 'far below'"),
    ],
)
def test_words_that_no_page_shows_are_counted(run: Run, context: JobContext, html: str, words: str) -> None:
    run(html=html.replace("%s", PARAGRAPHS))
    assert warned(context, words)


@pytest.mark.parametrize(
    "html",
    [
        PARAGRAPHS,
        "<p>x<p style='break-before: right'>a page of its own",
        "<p>x<div style='break-before: page; break-after: page; background: red; height: 5cm'></div><p>y",
        "<p>x<p style='break-before: page'><img src='data:image/svg+xml,<svg xmlns=%22http://www.w3.org/2000/svg%22/>'>",
        "<style>.r { position: absolute; width: 1px; height: 1px; overflow: hidden }</style><span class=r>Skip this",
        "<p>x<span style='position: absolute; left: -9999px'>for screen readers",
        "<h1 style='text-indent: -9999px'>A logo",
        "<style>h1 { position: running(h) } @page { @top-left { content: element(h) } }</style><h1>Head</h1><p>x",
        "<style>a::after { content: target-counter(attr(href), page) }</style><a href='#z'>to</a><p id=z>hy&shy;phen",
        "<style>i { float: footnote }</style><p>x<i>a note at the foot</i>",
        "<table><thead><tr><th>head<tfoot><tr><td>foot<tbody>%s</table>" % ("<tr><td>x" * 90),
        "<p style='transform: rotate(90deg); width: 200mm'>turned at its middle",
        f"<div style='columns: 3'>{PARAGRAPHS}</div>",
        "<p dir=rtl lang=ar>%s" % ("مرحبا بالعالم " * 300),
        "<p lang=en style='hyphens: auto; text-align: justify; width: 30mm'>%s" % ("incomprehensibility " * 90),
        "<p style='text-transform: uppercase'>%s" % ("straße " * 20),
        "<ul style='columns: 2'>%s</ul>" % ("<li>an item" * 90),
    ],
)
def test_documents_that_are_whole_have_no_warning(run: Run, context: JobContext, html: str) -> None:
    run(html=html)
    assert context.warnings == []


@pytest.mark.parametrize("style", ["white-space: nowrap", "overflow: hidden; width: 60px; white-space: nowrap"])
def test_a_page_with_a_part_of_a_text_is_not_empty(run: Run, context: JobContext, style: str) -> None:
    run(html=f"<div style='{style}'>{'word ' * 80}</div>")
    assert warned(context, "beyond the edge")
    assert not warned(context, "Empty")


def test_an_empty_page_is_named(run: Run, context: JobContext) -> None:
    run(html="<p>x<div style='break-before: page; break-after: page'></div><p>y")
    assert warned(context, "Empty: page 2.")


BORDERS = ["border-collapse: collapse; border: 1px solid", "border-collapse: separate; border-spacing: 2px"]
GROUPS = {"f": "<tfoot><tr><td>TOTAL</tfoot>", "h": "<thead><tr><th>HEAD</thead>", "b": "<tbody><tr><td>ITEM</tbody>"}


@pytest.mark.parametrize("borders", BORDERS)
@pytest.mark.parametrize("theme", [None, "plain", "report", "invoice", "compact"])
def test_row_groups_stand_in_order_wherever_they_are_written(run: Run, theme: str | None, borders: str) -> None:
    tables = ["".join(GROUPS[name] for name in order) for order in itertools.permutations("fhb")]
    html = "".join(f"<table style='{borders}'><caption>CAP</caption>{table}</table>" for table in tables)
    text = run(html=html, theme=theme, page_numbers=False)[1].text
    words = [word for word in text.split() if word != "CAP"]
    assert words == ["HEAD", "ITEM", "TOTAL"] * len(tables)
    assert text.count("CAP") == len(tables)


@pytest.mark.parametrize("borders", BORDERS)
def test_a_footer_is_printed_once_unless_the_document_asks(run: Run, borders: str) -> None:
    table = f"<table style='{borders}'>{GROUPS['f']}{GROUPS['h']}<tbody>{'<tr><td>x' * 120}</tbody></table>"
    pdf, document = run(html=table)
    assert pdf.pages > 1
    assert (document.text.count("TOTAL"), document.text.count("HEAD")) == (1, pdf.pages)
    assert "TOTAL" in document.pdf[pdf.pages - 1].get_textpage().get_text_range()
    asked, repeated = run(html=f"<style>tfoot {{ display: table-footer-group }}</style>{table}")
    assert repeated.text.count("TOTAL") == asked.pages
