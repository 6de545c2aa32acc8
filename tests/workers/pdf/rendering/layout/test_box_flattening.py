"""Box flattening: flex and grid boxes around whole pages become blocks, with a warning; small ones stay."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from offloop.errors import JobError
from offloop.jobs.pdf import Pdf
from offloop.kinds.job_context import JobContext
from support.files.rendered import Document, warned

Run = Callable[..., tuple[Pdf, Document]]

ROW = "<div class=row><b>left</b><i>right</i></div>"
STYLE = """<style>
    .page { display: flex; height: 100vh; overflow: hidden } .main { flex: 1; display: flex } .text { display: grid }
    .row { display: flex; justify-content: space-between } .row > * { background: #f0f; width: 10mm }
</style>"""
TEXT = "<h2>Heading</h2><p>" + "Words that fill a line or two of the page. " * 8
SITE = f"{STYLE}<div class=page><div class=main><div class=text><div>{ROW}{TEXT * 90}</div></div></div></div>"


def test_boxes_around_whole_pages_become_blocks_and_small_boxes_stay(run: Run, context: JobContext) -> None:
    pdf, document = run(html=SITE)
    assert pdf.layout == "print_safe"
    assert pdf.pages > 8  # nothing was cut off by the window's height
    assert warned(context, "Flex or grid boxes", "became plain blocks: 3", "as_is", "print_safe")
    page = document.picture()
    marked = [x for x in range(page.width) if any(page.getpixel((x, y)) == (255, 0, 255) for y in range(60, 90))]
    assert min(marked) < page.width * 0.2
    assert max(marked) > page.width * 0.8


def test_print_safe_gives_no_warning(run: Run, context: JobContext) -> None:
    assert run(html=SITE, layout="print_safe")[0].layout == "print_safe"
    assert context.warnings == []


@pytest.mark.slow
def test_a_small_document_is_laid_out_as_it_is(run: Run, context: JobContext) -> None:
    html = f"{STYLE}<div class=page>{ROW * 5}</div>"
    assert run(html=html)[0].layout == "as_is"
    assert run(html=html, layout="print_safe")[0].layout == "print_safe"
    assert run(html=f"{STYLE}{ROW * 300}", layout="print_safe")[0].layout == "as_is"
    assert context.warnings == []


def test_strict_refuses_an_unrequested_flattening(run: Run) -> None:
    with pytest.raises(JobError, match="became plain blocks"):
        run(html=SITE, strict=True)
    assert run(html=SITE, strict=True, layout="print_safe")[0].layout == "print_safe"


def test_deeply_nested_boxes_are_laid_out_quickly(run: Run) -> None:
    assert run(html="<div style='display: flex'>" * 60 + "x")[0].pages == 1
    assert run(html="<div style='display: grid'>" * 60 + "x")[0].pages == 1
