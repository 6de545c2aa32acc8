"""Paper, margins, headers and footers, themes, options of the file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from offloop.errors import JobError, LimitExceeded
from offloop.jobs.pdf import Page, Pdf
from offloop.kinds.job_context import JobContext
from offloop_workers.pdf import typefaces
from offloop_workers.pdf.rendering import styles
from support.files.rendered import Document, data, warned

Run = Callable[..., tuple[Pdf, Document]]
TWO = "<title>A title</title><p>one<p style='break-before: page'>two"


@pytest.mark.parametrize(
    ("paper", "size"),
    [
        ({"page_size": "100mm x 150mm"}, (100, 150)),
        ({"page_size": "4in\u00d76in"}, (102, 152)),
        ({"page_size": "100mmx150mm", "landscape": True}, (150, 100)),
        ({"page_size": "a6"}, (105, 148)),
        ({"page_size": "C5"}, (162, 229)),
        ({"page_size": "jis-b5"}, (182, 257)),
        ({"page_size": "Legal", "landscape": True}, (356, 216)),
    ],
)
def test_paper_has_a_name_or_a_width_and_a_height(run: Run, paper: dict[str, Any], size: tuple[int, int]) -> None:
    assert run(html="<p>x", **paper)[1].size() == size


@pytest.mark.parametrize("paper", ["A11", "letterhead", "100mm", "1mm x 1mm", "9000mm x 10mm", "A4; }", "10em x 10em"])
def test_paper_that_does_not_exist_is_refused(paper: str) -> None:
    with pytest.raises(ValidationError, match="page_size"):
        Page.model_validate({"html": "x", "page_size": paper})


def test_headers_and_footers_are_filled_in_on_every_page(run: Run) -> None:
    header = {"left": "{title}", "center": "as of {date}", "right": 'no "quotes" \\ end'}
    footer = {"left": "{page} of {pages}", "right": "<b>plain</b>"}
    _, document = run(html=TWO, header=header, footer=footer, created="2026-11-20")
    for number, page in enumerate(document.pdf, 1):
        text = page.get_textpage().get_text_range()
        for part in ("A title", "as of 2026-11-20", 'no "quotes" \\ end', f"{number} of 2", "<b>plain</b>"):
            assert part in text
        assert f"{number} / 2" not in text


def test_a_footer_replaces_the_documents_own(run: Run) -> None:
    html = "<style>@page { @bottom-center { content: 'old' } @top-left { content: 'kept' } }</style><p>x"
    text = run(html=html, footer={"left": "new"})[1].text
    assert ("old" in text, "new" in text, "kept" in text) == (False, True, True)


def test_a_placeholder_that_means_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"\{pagse\} means nothing here; there are \{page\}, \{pages\}"):
        Page.model_validate({"html": "x", "header": {"left": "{pagse}"}})
    assert Page.model_validate({"html": "x", "header": {"left": "{} { page } {1}"}}).header


def test_a_printed_date_belongs_to_the_request() -> None:
    page = Page.model_validate({"html": "x", "footer": {"left": "{date}"}})
    assert page.created == datetime.now(UTC).date().isoformat()
    assert "created" in page.model_dump(exclude_unset=True)
    assert Page.model_validate({"html": "x", "footer": {"left": "{page}"}}).created is None


@pytest.mark.parametrize("theme", ["plain", "report", "invoice", "compact"])
def test_each_theme_looks_its_own_way_and_uses_only_known_css(run: Run, context: JobContext, theme: str) -> None:
    styles._shipped.cache_clear()
    markdown = "# Head\n\nText\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n> quote\n\n```\ncode\n```\n"
    themed, plain = run(markdown=markdown, theme=theme)[1], run(markdown=markdown)[1]
    assert themed.picture().tobytes() != plain.picture().tobytes()
    assert context.warnings == []


def test_a_chosen_theme_lies_under_the_documents_own_styles(run: Run) -> None:
    html = "<style>h1 { color: #f0f; background: #f0f }</style><h1>Head</h1><table><thead><tr><th>a</table>"
    own, themed = run(html=html)[1], run(html=html, theme="invoice")[1]
    assert themed.has((255, 0, 255))
    assert themed.has((0x10, 0x24, 0x3E))
    assert not own.has((0x10, 0x24, 0x3E))


def test_the_outline_follows_the_headings_unless_it_is_not_wanted(run: Run) -> None:
    html = "<style>h2 { bookmark-level: 2 }</style><h1>One</h1><h2>Two</h2><h1>Three</h1>"
    found = [(entry.level, entry.get_title()) for entry in run(html=html)[1].pdf.get_toc()]
    assert found == [(0, "One"), (1, "Two"), (0, "Three")]
    assert list(run(html=html, outline=False)[1].pdf.get_toc()) == []


def test_the_answer_has_fonts_and_timings(run: Run) -> None:
    pdf, _ = run(html="<h1>x</h1><code>y</code>")
    assert pdf.fonts == ["Source Code Pro", "Source Sans 3"]
    assert pdf.timings is not None
    assert min(pdf.timings.layout, pdf.timings.write) > 0
    assert (pdf.variant, pdf.layout) == (None, "as_is")


def test_pages_may_be_limited_further(run: Run) -> None:
    assert run(html=TWO, max_pages=2)[0].pages == 2
    with pytest.raises(LimitExceeded, match="more than 1 pages, as max_pages says"):
        run(html=TWO, max_pages=1)


def test_strict_turns_every_warning_into_a_failure_that_lists_them(run: Run, context: JobContext) -> None:
    html = "<style>p { zoom: 2 }</style><p>\U0001334f<img src=missing.png><a href='javascript:x'>y</a>"
    with pytest.raises(JobError) as failed:
        run(html=html, strict=True, assets={"unused.png": data(b"")})
    assert failed.value.reason == "strict"
    for word in ("'missing.png'", "U+1334F", "zoom", "'unused.png'", "Links other than", "(5)"):
        assert word in failed.value.message
    assert context.artifacts == []
    assert run(html="<p>x", strict=True)[0].pages == 1


def test_missing_characters_are_reported_by_writing_system(run: Run, context: JobContext) -> None:
    run(html="<p>\U00013000 \U0001e900\U0001e901 \U000e0fff")
    assert warned(context, "Egyptian hieroglyphs", "U+13000")
    assert warned(context, "Adlam", "U+1E900", "U+1E901", "Noto Sans Adlam")


IMPORT = "@import 'a.css';"
PAPERS: list[dict[str, Any]] = [
    {},
    {"margin": "10mm"},
    {"margin_left": "10mm"},
    {"landscape": True},
    {"page_size": "A5"},
    {"page_numbers": False},
    {"header": {"left": "x"}},
    {"footer": {"left": "{page}"}},
    {"outline": False},
    {"theme": "report"},
]
SHEETS = [
    "@import url(a.css) print; p { font-size: 30pt }",
    "@charset 'utf-8'; @import 'a.css';",
    "@import 'b.css'; @font-face { font-family: F; src: url(f.ttf) } p { font-family: F }",
    "@layer weak, strong; @layer strong { p { background: #f0f } } @layer weak { p { background: red } }",
    "@font-face { font-family: F; src: url(f.ttf) } @import 'a.css'; p { font-family: F; background: #f0f }",
]


@pytest.mark.parametrize(
    ("css", "paper"), [*((IMPORT, paper) for paper in PAPERS), *((css, {"margin": "10mm"}) for css in SHEETS)]
)
def test_css_may_import_with_every_setting_of_the_paper(
    run: Run, context: JobContext, css: str, paper: dict[str, Any]
) -> None:
    font = (typefaces.FOLDER / "SourceCodePro-Regular.ttf").read_bytes()
    assets = {"a.css": data(b"p { background: #f0f }"), "b.css": data(b"@import 'a.css';"), "f.ttf": data(font)}
    _, document = run(html="<p>x", css=css, assets=assets, **paper)
    assert document.has((255, 0, 255))
    assert not [warning for warning in context.warnings if "never used" not in warning and not css.startswith("@font")]
    assert bool(warned(context, "@import rule", "not at the beginning")) == css.startswith("@font")


def test_right_to_left_text_stands_on_the_right(run: Run, context: JobContext) -> None:
    _, document = run(html="<p dir=rtl lang=he>שלום עולם", page_numbers=False)
    page = document.picture()
    assert page.crop((0, 0, page.width // 2, page.height)).getcolors() == [(page.width // 2 * page.height, (255,) * 3)]
    assert context.warnings == []


def test_form_fields_can_be_filled_in_where_they_are_wanted(run: Run) -> None:
    html = "<form><input name=a value=x><input type=checkbox name=b><textarea name=c></textarea></form>"
    assert b"/AcroForm" in run(html=html, forms=True)[1].unpacked
    assert b"/AcroForm" not in run(html=html)[1].unpacked


def test_pictures_are_scaled_down_to_the_resolution_asked_for(run: Run) -> None:
    import io  # noqa: PLC0415 -- only this test draws noise

    from PIL import Image  # noqa: PLC0415 -- the same

    out = io.BytesIO()
    Image.effect_noise((900, 900), 80).convert("RGB").save(out, "JPEG", quality=95)
    html = f"<img style='width: 50mm' src='{data(out.getvalue())}'>"
    whole, small = run(html=html)[0].size, run(html=html, image_dpi=72, jpeg_quality=40)[0].size
    assert small < whole / 10


def test_whole_fonts_are_larger_than_the_letters_used(run: Run) -> None:
    assert run(html="<p>x", full_fonts=True)[0].size > 5 * run(html="<p>x")[0].size


def test_a_style_sheet_of_the_caller_cannot_leave_its_element(run: Run) -> None:
    _, document = run(html="<p>x", css="p { color: #f0f } </style><h1>injected</h1><style>")
    assert "injected" not in document.text


def test_headers_and_footers_may_be_in_any_script(run: Run) -> None:
    _, document = run(html="<p>x", header={"left": "Ünïcödé Ω", "right": "a\nb"})
    assert re.search(r"Ünïcödé Ω.*", document.text)


def test_the_examples_of_the_documentation_are_right() -> None:
    text = (Path(__file__).parents[4] / "docs" / "jobs.md").read_text("utf-8").split("## Rendering PDFs")[1]
    examples = re.findall(r"```json\n(.*?)```", text.split("\n## ")[0], re.DOTALL)
    assert len(examples) >= 4
    for example in examples:
        Page.model_validate(json.loads(example))
