"""The watched layout gives the very file of WeasyPrint's own `render`, and reports its steps in order."""

from __future__ import annotations

from typing import Any

import pytest
import weasyprint
from weasyprint.text.fonts import FontConfiguration

from offloop_workers.pdf.rendering.layout.document import Html

TEXT = "Words that fill a line or two of the page. " * 12
CONTENTS = "<style>a::after { content: target-counter(attr(href), page) }</style>"
DOCUMENTS = {
    "text": f"<title>T</title><h1>H</h1>{f'<p>{TEXT}' * 20}",
    "contents": CONTENTS + "<p><a href='#end'>End</a>" + f"<p>{TEXT}" * 20 + "<h2 id=end>End</h2>",
    "table": "<table><thead><tr><th>H</thead>" + "<tr><td>a<td>b" * 90 + "</table>",
    "flex": "<div style='display: flex'><b>left</b><i>right</i></div>" * 9,
}


class Steps:
    """A `Watch` that lists its steps."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.breaks: Any = None

    def styles(self) -> None:
        self.seen.append("styles")

    def boxes(self) -> None:
        self.seen.append("boxes")

    def again(self) -> None:
        self.seen.append("again")

    def begin(self, root: Any, breaks: Any) -> None:
        self.breaks = breaks
        self.seen.append(f"begin {root.element_tag}")

    def finished(self, page: int, pages: int) -> None:
        self.seen.append((page, pages))

    def painted(self) -> None:
        self.seen.append("painted")


@pytest.mark.parametrize("variant", [None, "pdf/ua-1"])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_file_is_that_of_the_library(name: str, variant: str | None) -> None:
    options = {"pdf_variant": variant, "presentational_hints": True, "pdf_identifier": b"same"}
    theirs = weasyprint.HTML(string=DOCUMENTS[name]).write_pdf(**options)
    ours = Html(string=DOCUMENTS[name]).lay_out(Steps(), FontConfiguration(), **options).write_pdf(**options)
    assert ours == theirs


@pytest.mark.parametrize(("variant", "intent"), [(None, None), ("pdf/a-3b", "srgb"), ("pdf/x-4", "device-cmyk")])
def test_the_standard_implies_options(variant: str | None, intent: str | None) -> None:
    laid_out = Html(string="<p>x").lay_out(Steps(), FontConfiguration(), pdf_variant=variant)
    assert laid_out.output_intent == weasyprint.HTML(string="<p>x").render(pdf_variant=variant).output_intent == intent


def test_the_steps_are_reported_in_order() -> None:
    steps = Steps()
    document = Html(string=DOCUMENTS["text"]).lay_out(steps, FontConfiguration())
    count = len(document.pages)
    assert count > 1
    assert steps.seen == ["styles", "boxes", "begin html", *((page, count) for page in range(1, count + 1))]
    document.write_pdf()
    assert steps.seen[-count:] == ["painted"] * count


def test_page_breaks_are_positions_in_the_tree_of_boxes() -> None:
    steps = Steps()
    pages = Html(string="<section><p>x</p></section><p style='break-before: page'>y").lay_out(
        steps, FontConfiguration()
    )
    assert len(pages.pages) == 2
    assert steps.breaks.page_maker[0][0] is None
    assert steps.breaks.page_maker[1][0] == {0: {1: None}}
