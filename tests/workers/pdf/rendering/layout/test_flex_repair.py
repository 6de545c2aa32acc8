"""Flex boxes at the end of a page: what browsers break side by side stays so, and no words are lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from offloop.jobs.pdf import Pdf
from offloop.kinds.job_context import JobContext
from support.files.rendered import Document, warned

Run = Callable[..., tuple[Pdf, Document]]

SMALL = "@page { size: A5; margin: 10mm }"
FLEX = ".f { display: flex; gap: 5mm }"


def paragraphs(letter: str, count: int) -> str:
    """Paragraphs of two lines, each with a number."""
    return "".join(f"<p>{letter}{number} {'alpha beta gamma ' * 6}</p>" for number in range(count))


def words(document: Document, page: int) -> list[str]:
    """The numbers of the paragraphs on a page."""
    text: str = document.pdf[page].get_textpage().get_text_range()
    return [word for word in text.split() if word[0] in "LR" and word[1:].isdigit()]


SIDES = f"<div class=f><div>{paragraphs('L', 16)}</div><div>{paragraphs('R', 16)}</div></div><p>After"
BROKEN = {
    "equal": ".f > div { flex: 1 }",
    "natural widths": ".f > div { }",
    "a side of fixed width": ".f > :first-child { width: 50mm; flex-shrink: 0 } .f > :last-child { flex: 1 }",
    "wrapping halves": ".f { flex-wrap: wrap; gap: 0 } .f > div { width: 50%; padding: 2mm; box-sizing: border-box }",
    "reversed": ".f { flex-direction: row-reverse } .f > div { flex: 1 }",
    "in the middle": ".f { align-items: center } .f > div { flex: 1 }",
    "as high as the window": ".f { min-height: 100vh } .f > div { flex: 1 }",
    "with margins": ".f > div { flex: 1; margin: 0 3mm }",
    "columns within": ".f > div { flex: 1; display: flex; flex-direction: column }",
    "ordered": ".f > div { flex: 1 } .f > :first-child { order: 2 }",
}


@pytest.mark.parametrize("name", BROKEN)
def test_columns_break_side_by_side(run: Run, context: JobContext, name: str) -> None:
    pdf, document = run(html=f"<style>{SMALL} {FLEX} {BROKEN[name]}</style><h1>Head</h1>{SIDES}")
    first = words(document, 0)
    assert {"L0", "R0"} <= set(first), "both begin under the heading"
    assert pdf.pages <= 4
    found = [word for page in range(pdf.pages) for word in words(document, page)]
    assert sorted(found) == sorted(f"{side}{number}" for side in "LR" for number in range(16))
    assert warned(context, "Flex boxes", "laid out as tables, grids or blocks")
    assert len(context.warnings) == 1


@pytest.mark.parametrize(
    "html",
    [
        f"<style>.f {{ flex-direction: column; min-height: 100vh }}</style><div class=f><p>{paragraphs('L', 30)}</div>",
        f"<style>.f {{ flex-direction: column; height: 200px }}</style><div class=f>{paragraphs('L', 30)}</div>",
        f"<style>.f {{ flex-direction: column }}</style><h1>Head</h1><div class=f>{paragraphs('L', 30)}</div>",
        f"<style>.f {{ flex-direction: column-reverse }}</style><h1>Head</h1><div class=f>{paragraphs('L', 30)}</div>",
    ],
)
def test_columns_of_items_lose_nothing(run: Run, html: str) -> None:
    pdf, document = run(html=f"<style>{SMALL} {FLEX}</style>{html}")
    found = [word for page in range(pdf.pages) for word in words(document, page)]
    assert sorted(found) == sorted(f"L{number}" for number in range(30))
    assert words(document, 0)


def test_cards_begin_under_their_heading(run: Run) -> None:
    cards = "".join(f"<div><h3>L{number}</h3>{'alpha ' * 20}</div>" for number in range(20))
    css = f"{SMALL} {FLEX} .f {{ flex-wrap: wrap }} .f > div {{ width: 55mm }}"
    pdf, document = run(html=f"<style>{css}</style><h1>Head</h1><div class=f>{cards}</div>")
    assert words(document, 0)[:4] == ["L0", "L1", "L2", "L3"]
    assert sum(len(words(document, page)) for page in range(pdf.pages)) == 20


def test_boxes_that_fit_their_page_stay(run: Run, context: JobContext) -> None:
    rows = "<div class=f style='justify-content: space-between'><div>left</div><div>right</div></div>" * 80
    run(html=f"<style>{FLEX}</style>{rows}")
    run(html=f"<style>{FLEX}</style><p>x</p><div class=f style='break-before: page'><p>a</p><p>b</p></div>")
    assert context.warnings == []


def test_an_inline_box_that_is_higher_than_a_page_is_told(run: Run, context: JobContext) -> None:
    css = f"{SMALL} {FLEX} .f {{ display: inline-flex }} .f > div {{ width: 50mm }}"
    run(html=f"<style>{css}</style><h1>Head</h1>{SIDES}")
    assert warned(context, "beyond the edge")


def test_boxes_stay_where_the_caller_says_so(run: Run, context: JobContext) -> None:
    html = f"<style>{SMALL} {FLEX} {BROKEN['equal']}</style><h1>Head</h1>{SIDES}"
    run(html=html, layout="as_is")
    assert not warned(context, "laid out as tables")
    assert warned(context, "Rows of flex items")


def test_rows_that_cannot_be_placed_are_told(run: Run, context: JobContext) -> None:
    run(html=f"<style>{SMALL} {FLEX}</style><h1>Head</h1><div class=f>bare text<div>{paragraphs('L', 40)}</div></div>")
    assert warned(context, "Rows of flex items that go over the end of a page: 1")
