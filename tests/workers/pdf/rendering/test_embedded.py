"""Pictures of real pages: lazy ones, several sizes, missing ones; and elements without a form on paper."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from offloop.jobs.pdf import Pdf
from offloop.kinds.job_context import JobContext
from support.files.rendered import Document, data, picture, warned

Run = Callable[..., tuple[Pdf, Document]]
PINK = (255, 0, 255)
BLANK = data(picture("white", size=(1, 1)), "image/png")


@pytest.mark.parametrize(
    "html",
    [
        "<img data-src=p.png>",
        f"<img src='{BLANK}' data-src=p.png>",
        f"<img src='{BLANK}' data-original=p.png>",
        "<img src=none.png srcset='none2.png 1x, p.png 2x'>",
        "<img srcset='none.png 100w, p.png 300w'>",
        "<img srcset='p.png'>",
        "<picture><source srcset='none.webp' type=image/webp><source srcset=p.png><img></picture>",
        "<picture><source srcset='p.png 2x'><img src=none.png></picture>",
        "<img loading=lazy src=p.png srcset='none.png 2x'>",
        "<div style='content: url(p.png)'></div><img src=p.png alt=''>",
    ],
)
def test_the_picture_that_is_there_is_shown(run: Run, context: JobContext, html: str) -> None:
    assert run(html=html, assets={"p.png": data(picture("#ff00ff"))})[1].has(PINK)
    assert context.warnings == []


def test_pictures_that_are_missing_are_named(run: Run, context: JobContext) -> None:
    run(html="<img src=a.png srcset='b.png 2x' alt='its text'><img>")
    assert warned(context, "'a.png' was left out")
    assert warned(context, "left out: img without src")


def test_elements_without_a_form_on_paper_are_counted(run: Run, context: JobContext) -> None:
    run(html="<iframe src=x></iframe><video src=y></video><canvas></canvas><iframe></iframe><math><mi>x</mi></math>")
    assert warned(context, "iframe (2x)", "video", "canvas", "MathML")


def test_a_picture_higher_than_its_page_becomes_as_high(run: Run, context: JobContext) -> None:
    drawing = (
        "<svg viewBox='0 0 10 60'><rect width=10 height=59 fill=red /><rect y=59 width=10 height=1 fill=#f0f /></svg>"
    )
    pdf, document = run(html=drawing, page_numbers=False)
    assert document.has(PINK, page=pdf.pages - 1)
    assert context.warnings == []
    run(html=f"<style>svg {{ max-height: none; width: 100% }}</style>{drawing}")
    assert warned(context, "Pictures that are cut off at the edge of their page: 1")


def test_names_that_are_defined_twice_are_one_warning(run: Run, context: JobContext) -> None:
    run(html="<p id=a>x<p id=a>y<p id=b>x<p id=b>")
    assert warned(context, "several elements have", "a, b")
    assert len(context.warnings) == 1
