"""Extent of box trees: it grows from page break to page break, and leaves out what may be cut."""

from __future__ import annotations

from typing import Any

import pytest
from weasyprint.text.fonts import FontConfiguration

from offloop_workers.pdf.rendering.layout.document import Html
from offloop_workers.pdf.rendering.layout.extent import Extent

TEXT = "Words that fill a line or two of the page. " * 12
ROW = "<tr><td>one<td>two<td>three"
NESTED = "<table><tr><td>a<td>b<tr><td>c<td>d</table>"
DOCUMENTS = {
    "paragraphs": f"<p>{TEXT}" * 60,
    "one paragraph": f"<p>{TEXT * 60}",
    "a table": f"<table>{ROW * 200}</table>",
    "tables in tables": f"<table>{f'<tr><td>{NESTED}<td>{NESTED}' * 60}</table>",
    "a list": "<ul>" + "<li>item" * 200 + "</ul>",
    "spans": "<p>" + "<span>word </span>" * 4000,
    "code": f"<pre>{'some code' * 5}" + "\nsome code" * 200,
    "columns": f"<div style='columns: 2'>{f'<p>{TEXT}' * 60}</div>",
    "rows of flex boxes": "<div style='display: flex'><b>left</b><i>right</i></div>" * 400,
    "page breaks": "<section style='break-after: page'>x</section>" * 20,
}


class Tree:
    """A `Watch` that measures the tree when the layout begins."""

    def __init__(self) -> None:
        self.root: Any = None
        self.breaks: Any = None
        self.extent: Extent | None = None

    def styles(self) -> None: ...

    def boxes(self) -> None: ...

    def again(self) -> None: ...

    def begin(self, root: Any, breaks: Any) -> None:
        self.root, self.breaks, self.extent = root, breaks, Extent(root)

    def finished(self, page: int, pages: int) -> None: ...

    def painted(self) -> None: ...


def laid_out(html: str) -> tuple[Extent, list[float]]:
    """The extent of a document, and those before its page breaks."""
    tree = Tree()
    Html(string=html).lay_out(tree, FontConfiguration())
    assert tree.extent
    return tree.extent, [tree.extent.before(entry[0]) for entry in tree.breaks.page_maker[:-1]]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_extent_before_the_page_breaks_of_an_even_document_grows_evenly(name: str) -> None:
    extent, before = laid_out(DOCUMENTS[name])
    pages = len(before)
    assert pages >= 4
    assert before[0] == 0
    assert before == sorted(before)
    for number, found in enumerate(before):
        assert found / extent.total == pytest.approx(number / pages, abs=1.6 / pages)


def test_text_and_boxes_count() -> None:
    short, long, nested = (laid_out(html)[0].total for html in ("<p>x", f"<p>{'x' * 1001}", "<div><div><div><p>x"))
    assert long - short == 2000
    assert nested - short == 3 * 32


@pytest.mark.parametrize(
    "style",
    [
        "height: 10mm",
        "height: 10mm; overflow: hidden",
        "block-size: 10mm",
        "continue: discard",
        "max-lines: 3",
        "line-clamp: 3",
        "float: left; height: 20mm",
    ],
)
def test_content_that_may_be_cut_does_not_count(style: str) -> None:
    """The library leaves out what does not fit such a box; it must not be taken for work that is left."""
    content = f"<p>{TEXT}" * 40
    cut, before = laid_out(f"<div style='{style}'>{content}</div><p>end")
    assert len(before) <= 2, "nothing is cut any longer: the exception has become needless"
    assert cut.total < 1000 < laid_out(content)[0].total


def test_a_body_as_high_as_the_page_is_cut_only_where_the_root_is() -> None:
    content = f"<p>{TEXT}" * 40
    cut, before = laid_out(f"<style>html, body {{ height: 100% }}</style>{content}")
    assert len(before) == 1
    assert cut.total < 1000
    whole, before = laid_out(f"<style>body {{ height: 100% }}</style>{content}")
    assert len(before) > 4
    assert whole.total > 10_000


def test_rows_of_a_height_are_not_cut() -> None:
    table, before = laid_out("<style>tr, td { height: 5mm }</style><table>" + ROW * 200 + "</table>")
    assert len(before) > 4
    assert table.total > 10_000


def test_a_tree_as_deep_as_the_library_can_lay_out_is_measured() -> None:
    assert laid_out("<div>" * 120 + "x")[0].total > 120 * 32
