"""Fonts that are loaded ahead: used once, and by nothing but one document."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import weasyprint
from weasyprint.text.fonts import FontConfiguration

from offloop.jobs.pdf import Pdf, render_pdf
from offloop_workers.children.pool import Children
from offloop_workers.pdf.rendering import render as module
from offloop_workers.pdf.rendering import styles
from offloop_workers.pdf.rendering.layout import fonts
from offloop_workers.pdf.rendering.layout.fonts import Fonts
from offloop_workers.pdf.typefaces import FOLDER
from support.files.rendered import Document, data
from support.tasks import task_of

Run = Callable[..., tuple[Pdf, Document]]

OWN = "<style>@font-face { font-family: Own; src: url(own.ttf) } body { font-family: Own }</style>Words"
ASSETS = {"own.ttf": data((FOLDER / "SourceCodePro-Bold.ttf").read_bytes(), "font/ttf")}


@pytest.fixture
def loaded() -> Iterator[None]:
    """A configuration is loaded, and gone after the test."""
    fonts.load()
    yield
    fonts._loaded.clear()


@pytest.mark.usefixtures("loaded")
def test_a_loaded_configuration_is_as_the_librarys_and_used_once() -> None:
    first, second, theirs = Fonts(), Fonts(), FontConfiguration()
    assert first._config != second._config
    for found in (first, second):
        assert {name: type(value) for name, value in vars(found).items()} == {
            name: type(value) for name, value in vars(theirs).items()
        }


@pytest.mark.usefixtures("loaded")
def test_the_file_is_the_same_with_it_and_without() -> None:
    html = "<h1>Größe</h1><p>Some <b>bold</b> <code>code</code>, Ελληνικά, 漢字"
    files = [weasyprint.HTML(string=html).write_pdf(font_config=make()) for make in (Fonts, Fonts, FontConfiguration)]
    assert files[0] == files[1] == files[2]


@pytest.mark.usefixtures("loaded")
def test_a_font_of_one_document_is_unknown_to_the_next(run: Run) -> None:
    pdf, _ = run(html=OWN, assets=ASSETS)
    assert pdf.fonts == ["Own", "Source Sans 3"]  # page numbers are in the latter
    pdf, _ = run(html="<style>body { font-family: Own }</style>Words")
    assert "Own" not in pdf.fonts


@pytest.mark.anyio
async def test_a_font_of_one_child_is_unknown_to_the_next(pdf_children: Children, tmp_path: Path) -> None:
    """Both have the configuration that was loaded before they were forked."""
    with_font: dict[str, Any] = {"html": OWN, "assets": ASSETS}
    found = []
    for number, page in enumerate([with_font, {"html": "<style>body { font-family: Own }</style>Words"}] * 2):
        done = await pdf_children.run(task_of(render_pdf, page, tmp_path / f"{number}"), lambda _: None)
        found.append("Own" in done["output"]["fonts"])
    assert found == [True, False, True, False]


def test_the_warm_up_loads_fonts_and_all_themes() -> None:
    styles._shipped.cache_clear()
    try:
        module.warm()
        assert len(fonts._loaded) == 1
        assert styles._shipped.cache_info().currsize == 5
    finally:
        fonts._loaded.clear()


def test_a_render_changes_no_shared_style_sheet(run: Run) -> None:
    """The parsed themes are all that documents share in a process, so that none may change them."""
    sheets = [sheet for theme in styles._THEMES for sheet in styles.user_sheets(theme, own=True)]
    before = [_state(sheet) for sheet in sheets]
    first = run(html="<h1>T</h1><table><tr><td>x</table>", theme="report")[1]
    run(
        html="<style>@layer a { h1 { color: red } } @page { size: A5 } h1 { --x: 1 } @font-face { font-family: Q; "
        "src: url(own.ttf) } @counter-style c { system: cyclic; symbols: x }</style><h1>U</h1>" + "<p>text" * 99,
        css="h1 { color: blue !important } @page { margin: 1mm }",
        theme="report",
        assets=ASSETS,
        page_size="A6",
    )
    assert [_state(sheet) for sheet in sheets] == before
    assert run(html="<h1>T</h1><table><tr><td>x</table>", theme="report")[1].content == first.content


def _state(sheet: weasyprint.CSS) -> str:
    matcher = {name: repr(value) for name, value in vars(sheet.matcher).items()}
    return repr((matcher, sheet.page_rules, sheet.layers, sheet.base_url))
