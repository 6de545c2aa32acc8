"""Drawings inside a page: colours, fonts and symbols that they take from it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from offloop.jobs.pdf import Pdf
from offloop.kinds.job_context import JobContext
from support.files.rendered import Document, data, warned

Run = Callable[..., tuple[Pdf, Document]]

SVG = "<svg width=40 height=40 viewBox='0 0 40 40'>"
SHAPE = "<path d='M0 0h40v40h-40z'"
GRADIENT = "<linearGradient id=g><stop stop-color=#f0f /></linearGradient>"
PINK = (255, 0, 255)


@pytest.mark.parametrize(
    "html",
    [
        f"<p style='color: #f0f'>{SVG}{SHAPE} fill=currentColor /></svg>",
        f"<p style='color: #f0f'>{SVG}{SHAPE} style='fill: currentcolor'/></svg>",
        f"<p style='color: #f0f'>{SVG}<g fill=CURRENTCOLOR>{SHAPE}/></g></svg>",
        f"<p style='color: #f0f'>{SVG}{SHAPE} fill=none stroke=currentColor stroke-width=20 /></svg>",
        f"<style>:root {{ --c: #f0f }} p {{ color: var(--c) }}</style><p>{SVG}{SHAPE} fill=currentColor /></svg>",
        f"<style>svg {{ color: #f0f }}</style>{SVG}{SHAPE} fill=currentColor /></svg>",
        f"<style>path {{ color: #f0f }}</style>{SVG}{SHAPE} fill=currentColor /></svg>",
        f"<style>.i path {{ fill: #f0f }}</style><p class=i>{SVG}{SHAPE} fill=red /></svg>",
        f"<style>svg {{ fill: #f0f }}</style>{SVG}{SHAPE}/></svg>",
        f"<style>p {{ fill: #f0f }}</style><p>{SVG}{SHAPE}/></svg>",
        f"<p style='fill: #f0f'>{SVG}{SHAPE}/></svg>",
        f"<style>p {{ --c: #f0f }} path {{ fill: var(--c) }}</style><p>{SVG}{SHAPE}/></svg>",
        f"<style>path {{ fill: var(--none, #f0f) }}</style><p>{SVG}{SHAPE}/></svg>",
        f"<style>@media print {{ * {{ fill: #f0f }} }} @media tv {{ * {{ fill: red }} }}</style>{SVG}{SHAPE}/></svg>",
        f"<style>@media only PRINT {{ * {{ fill: #f0f }} }}</style>{SVG}{SHAPE}/></svg>",
        f"<style>* {{ fill: #f0f }}</style><style media=screen>* {{ fill: red }}</style>{SVG}{SHAPE}/></svg>",
        f"<style media='screen, Print'>* {{ fill: #f0f }}</style>{SVG}{SHAPE}/></svg>",
        f"<style>path {{ fill: #f0f !important }} svg path {{ fill: red }}</style>{SVG}{SHAPE}/></svg>",
        f"<style>path {{ fill: red }}</style>{SVG}{SHAPE} style='fill: #f0f'/></svg>",
        f"<svg hidden><symbol id=s viewBox='0 0 40 40'>{SHAPE}/></symbol></svg>{SVG}<use href='#s' fill=#f0f /></svg>",
        f"<svg hidden>{SHAPE} id=s fill=currentColor /></svg><p style='color: #f0f'>{SVG}<use xlink:href='#s'/></svg>",
        f"<svg hidden>{GRADIENT}</svg>{SVG}{SHAPE} fill='url(#g)'/></svg>",
        f"<svg hidden><g id=a><use href='#b'/></g><g id=b>{SHAPE} fill=#f0f /></g></svg>{SVG}<use href='#a'/></svg>",
        f"<link rel=stylesheet href=site.css>{SVG}{SHAPE} class=linked /></svg>",
    ],
)
def test_a_drawing_takes_colours_from_its_page(run: Run, context: JobContext, html: str) -> None:
    assert run(html=html, assets={"site.css": data(b".linked { fill: #f0f }")})[1].has(PINK)
    assert all("never used" in warning for warning in context.warnings)


def test_rules_that_the_page_ignores_change_no_drawing(run: Run) -> None:
    rules = "* { fill: #f0f } @media not print { * { fill: red } } @media print and (color) { * { fill: red } }"
    assert run(html=f"<style>{rules}</style>{SVG}{SHAPE}/></svg>")[1].has(PINK)


def test_text_of_a_drawing_has_the_font_of_its_page(run: Run) -> None:
    pdf, _ = run(html=f"<p style='font-family: \"Source Code Pro\"'>{SVG}<text y=20>T</text></svg>", page_numbers=False)
    assert pdf.fonts == ["Source Code Pro"]


def test_parts_that_are_not_drawn_are_named(run: Run, context: JobContext) -> None:
    run(
        html=f"{SVG}<foreignObject><p>x</p></foreignObject><filter id=f><feGaussianBlur/><feOffset/></filter>"
        f"<use href='#none'/><use href='sprite.svg#x'/></svg>"
    )
    assert warned(context, "Parts of drawings", "foreignObject", "feGaussianBlur", "#none", "sprite.svg#x")
    assert not warned(context, "feOffset")


def test_symbols_that_name_each_other_end(run: Run, context: JobContext) -> None:
    symbols = "".join(f"<g id=s{number}>{f'<use href=#s{number + 1} />' * 9}</g>" for number in range(7))
    run(html=f"<svg width=0 height=0>{symbols}</svg>" + f"{SVG}<use href='#s6'/></svg>" * 50)
    assert warned(context, "Parts of drawings", "#s7")
