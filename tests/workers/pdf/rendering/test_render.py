"""Rendering of real and hostile documents."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageFile

from offloop import testing
from offloop.errors import JobError, LimitExceeded
from offloop.jobs.pdf import Page, Pdf
from offloop.kinds.job_context import JobContext
from offloop_workers.pdf import typefaces
from offloop_workers.pdf.rendering import render as module
from offloop_workers.pdf.rendering import styles
from support.files.rendered import Document, data, picture, warned

Run = Callable[..., tuple[Pdf, Document]]


@pytest.fixture
def context(tmp_path: Path) -> JobContext:
    """A context whose root ``in`` is a folder of assets."""
    (tmp_path / "in").mkdir()
    return testing.context(tmp_path, roots={"in": tmp_path / "in"})


@pytest.fixture
def run(context: JobContext) -> Run:
    """Render a page and open the result."""

    def render(**page: Any) -> tuple[Pdf, Document]:
        pdf = module.render(Page.model_validate(page), context)
        artifact = context.artifacts[-1]
        assert artifact.mime_type == "application/pdf"
        assert artifact.size == pdf.size == artifact.path.stat().st_size
        document = Document(artifact.path.read_bytes())
        assert len(document.pdf) == pdf.pages
        return pdf, document

    return render


MARKDOWN = """---
layout: ignored
---
# The *first* heading

Some **bold** text, `code`, ~~struck~~, https://example.org and a note[^1]. See [below](#a-table).

## A table

| name | count |
|:-----|------:|
| one  |     1 |

- [x] done
- [ ] to do

```python
def answer() -> int:
    return 42
```

> [!WARNING]
> An alert.

[^1]: The footnote's text.
"""


def test_markdown_becomes_a_page_with_all_its_parts(run: Run, context: JobContext) -> None:
    pdf, document = run(markdown=MARKDOWN)
    assert pdf.title == "The first heading"
    for part in (
        "The first heading",
        "bold",
        "struck",
        "one",
        "done",
        "def answer() -> int:",
        "An alert",
        "footnote's",
    ):
        assert part in document.text
    for markup in ("**", "~~", "| name", "[x]", "[ ]", "[!WARNING]", "[^1]", "layout"):
        assert markup not in document.text
    assert context.warnings == []
    assert document.has((0x0B, 0x5C, 0xAD))  # the ticked box and the links are blue


def test_html_becomes_pages(run: Run, context: JobContext) -> None:
    sections = "".join(f"<h1 style='break-before: page'>Part {number}</h1><p>text" for number in (1, 2, 3))
    pdf, document = run(html=f"<title>A book</title><body>{sections}")
    assert (pdf.title, pdf.pages) == ("A book", 3)
    assert "Part 3" in document.pdf[2].get_textpage().get_text_range()
    assert document.size() == (210, 297)
    assert context.warnings == []


def test_each_page_has_its_number_at_the_foot(run: Run) -> None:
    html = "<p>a<p style='break-before: page'>b"
    assert [page in run(html=html)[1].text for page in ("1 / 2", "2 / 2")] == [True, True]
    assert " / 2" not in run(html=html, page_numbers=False)[1].text


@pytest.mark.parametrize(
    ("paper", "size"),
    [
        ({"page_size": "A5"}, (148, 210)),
        ({"page_size": "letter"}, (216, 279)),
        ({"landscape": True}, (297, 210)),
        ({"page_size": "A3", "landscape": True}, (420, 297)),
    ],
)
def test_paper_is_as_asked(run: Run, paper: dict[str, Any], size: tuple[int, int]) -> None:
    assert run(html="<p>x", **paper)[1].size() == size


def test_margins_are_as_asked(run: Run) -> None:
    html = "<div style='background: #f00; height: 10mm'></div>"
    page = run(html=html, margin="50mm", margin_left="10mm")[1].picture()
    millimetre = page.width / 210
    inside = [page.getpixel((int(x * millimetre), int(55 * millimetre))) for x in (5, 15, 155, 165)]
    assert inside == [(255, 255, 255), (255, 0, 0), (255, 0, 0), (255, 255, 255)]
    assert page.getpixel((int(100 * millimetre), int(45 * millimetre))) == (255, 255, 255)


def test_the_document_decides_on_its_paper_unless_the_caller_does(run: Run) -> None:
    html = "<style>@page { size: A6; margin: 3mm }</style><p>x"
    assert run(html=html)[1].size() == (105, 148)
    assert run(html=html, page_size="A5")[1].size() == (148, 210)
    assert run(html=html, page_size="A5", css="@page { size: A3 }")[1].size() == (297, 420)


def test_css_of_the_caller_overrides_everything(run: Run) -> None:
    html = "<style>p { color: #00f; background: #00f }</style><p>x</p>"
    assert run(html=html, css="p { background: #f0f; font-size: 40pt }")[1].has((255, 0, 255))


def test_a_document_with_styles_of_its_own_keeps_them(run: Run) -> None:
    table = "<table><tr><th>a<td>b</table>"
    link = f"<link rel=stylesheet href=site.css>{table}"
    plain, missing = run(html=table)[1], run(html=link)[1]
    own, linked = run(html=f"<style>x {{}}</style>{table}")[1], run(html=link, assets={"site.css": "data:text/css,"})[1]
    themed, untouched = plain.picture().tobytes(), own.picture().tobytes()
    assert themed != untouched
    assert linked.picture().tobytes() == untouched
    assert missing.picture().tobytes() == themed  # its style sheet did not come along, so it has none


@pytest.mark.parametrize(
    ("argument", "html", "title"),
    [
        ("Argument", "<title>Document</title><h1>Heading</h1>", "Argument"),
        (None, "<title>Document</title><h1>Heading</h1>", "Document"),
        (None, "<h1>A <b>heading</b></h1>", "A heading"),
        (None, "<p>nothing", None),
    ],
)
def test_the_title_is_the_argument_or_the_documents(run: Run, argument: str | None, html: str, title: str) -> None:
    pdf, document = run(html=html, title=argument)
    assert pdf.title == title
    assert document.pdf.get_metadata_value("Title") == (title or "")


@pytest.mark.parametrize(
    "use",
    [
        "<img src='logo.png'>",
        "<img src='./logo.png'>",
        "<img src='/logo.png?v=3'>",
        "<div style='width: 40px; height: 40px; background: url(logo.png)'></div>",
        "<link rel=stylesheet href='css/site.css'><p class=logo>",
        "<style>@import 'css/site.css';</style><p class=logo>",
        "<object data='logo.png'></object>",
        "<svg width=40 height=40><image href='logo.png' width=40 height=40 /></svg>",
        "<base href='https://example.org/'><img src='logo.png'>",
    ],
)
def test_assets_are_found_by_the_names_the_document_uses(run: Run, tmp_path: Path, use: str) -> None:
    (tmp_path / "in" / "any name").write_bytes(picture("#ff0000"))
    css = b".logo { height: 40px; background: url(../logo.png) }"
    assets = {"logo.png": "root:in/any name", "css/site.css": data(css)}
    _, document = run(html=use, assets=assets)
    assert document.has((255, 0, 0))


def test_assets_may_have_odd_names_or_whole_urls(run: Run, context: JobContext) -> None:
    red, blue = data(picture("#ff0000")), data(picture("#0000ff"))
    markdown = "![](my%20übung.png) ![](https://example.org/a.png)"
    _, document = run(markdown=markdown, assets={"my übung.png": red, "https://example.org/a.png": blue})
    assert document.has((255, 0, 0))
    assert document.has((0, 0, 255))
    assert context.warnings == []


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF", "GIF", "TIFF", "BMP"])
def test_pictures_of_every_accepted_format_are_drawn(run: Run, form: str) -> None:
    html = f"<img src='{data(picture('#ff0000', form))}'>"
    assert run(html=html)[1].has((255, 0, 0))


def test_an_asset_that_is_never_used_is_mentioned(run: Run, context: JobContext) -> None:
    run(html="<img src='logo.jpg'>", assets={"logo.png": data(picture("red"))})
    assert warned(context, "never used", "'logo.png'")
    assert warned(context, "'logo.jpg'", "no asset has that name")


def test_an_asset_that_cannot_be_read_fails_the_job(run: Run, context: JobContext) -> None:
    with pytest.raises(JobError, match=r"root:in/none\.png"):
        run(html="<p>x", assets={"logo.png": "root:in/none.png"})
    assert list(context.folder.iterdir()) == []


def test_fonts_of_the_document_do_not_outlive_its_job(run: Run) -> None:
    font = (typefaces.FOLDER / "SourceCodePro-Bold.ttf").read_bytes()
    css = "@font-face { font-family: Mine; src: url(mine.ttf) } p { font-family: Mine, 'Source Sans 3' }"
    own = run(html="<p>iiii", css=css, assets={"mine.ttf": data(font)})[1]
    later = run(html="<p>iiii", css="p { font-family: Mine, 'Source Sans 3' }")[1]
    assert b"+Mine" in own.unpacked
    assert b"+Mine" not in later.unpacked
    assert b"+Source-Sans-3" in later.unpacked


@pytest.fixture
def listener() -> Iterator[tuple[str, list[bytes]]]:
    """An address on this machine, and what was sent to it."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            try:
                while True:
                    connection, _ = server.accept()
                    heard.append(connection.recv(1000))
                    connection.close()
            except OSError:
                return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/x", heard
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


HOSTILE = [
    "<img src='{0}'>",
    "<img srcset='{0} 2x' src='{0}'>",
    "<link rel=stylesheet href='{0}'>",
    "<style>@import url('{0}');</style>",
    "<style>p {{ background: url('{0}') }}</style><p>x",
    "<style>@font-face {{ font-family: x; src: url('{0}') }} p {{ font-family: x }}</style><p>x",
    "<style>p::before {{ content: url('{0}') }}</style><p>x",
    "<style>li {{ list-style-image: url('{0}') }}</style><ul><li>x</ul>",
    "<object data='{0}'></object>",
    "<embed src='{0}'>",
    "<link rel=attachment href='{0}'>",
    "<a rel=attachment href='{0}'>x</a>",
    "<svg width=40 height=40><image href='{0}' width=40 height=40 /></svg>",
    "<svg width=40 height=40><use href='{0}#x'/></svg>",
    "<base href='{0}'><img src='{0}'>",
    "<p style='background: url({0})'>x",
]


@pytest.mark.parametrize("markup", HOSTILE)
def test_files_of_the_worker_stay_out_of_reach(run: Run, context: JobContext, tmp_path: Path, markup: str) -> None:
    secret = tmp_path / "secret.svg"
    secret.write_text(
        "<svg xmlns='http://www.w3.org/2000/svg' width='40' height='40'><rect id='x' width='40' "
        "height='40' fill='#ff00ff'/><text y='20'>SECRET</text></svg>"
    )
    _, document = run(html=markup.format(secret.as_uri()))
    assert not document.has((255, 0, 255))
    assert b"SECRET" not in document.unpacked
    assert "SECRET" not in document.text
    assert b"EmbeddedFile" not in document.unpacked
    if "use href" not in markup:
        assert warned(context, "secret.svg", "may not fetch anything", "assets")


@pytest.mark.parametrize("markup", HOSTILE)
def test_no_request_is_sent_to_the_network(
    run: Run, context: JobContext, listener: tuple[str, list[bytes]], markup: str
) -> None:
    url, heard = listener
    run(html=markup.format(url))
    assert heard == []
    if "use href" not in markup:
        assert warned(context, "127.0.0.1", "may not fetch anything")


@pytest.mark.parametrize(
    "url", ["/etc/passwd", "../../../../etc/passwd", "//etc/passwd", "file:/etc/passwd", "FILE:///etc/passwd"]
)
def test_paths_are_names_of_assets_and_nothing_else(run: Run, context: JobContext, url: str) -> None:
    _, document = run(html=f"<link rel=attachment href='{url}'><img src='{url}'>")
    assert b"root:x" not in document.unpacked
    assert warned(context, "passwd")


def test_fonts_of_the_machine_are_not_read_through_local(run: Run, context: JobContext) -> None:
    run(html="<style>@font-face { font-family: x; src: local('DejaVu Sans') } p { font-family: x }</style><p>x")
    assert not warned(context, "Traceback")


def test_postscript_in_disguise_is_never_run(run: Run, context: JobContext) -> None:
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n(%pipe%touch /tmp/x) (w) file\n"
    for mime_type in ("image/png", "image/svg+xml", "text/css", "application/postscript"):
        run(html=f"<img src='{data(script, mime_type)}'>")
    run(html="<img src=a.png>", assets={"a.png": data(script)})
    assert warned(context, "Failed to load image")


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF", "GIF", "TIFF", "BMP"])
def test_a_damaged_picture_is_left_out_with_a_warning(run: Run, context: JobContext, form: str) -> None:
    out = io.BytesIO()
    Image.effect_noise((200, 200), 60).convert("RGB").save(out, form)
    whole = out.getvalue()
    scrambled = whole[: len(whole) // 2] + bytes(len(whole) // 2)
    for number, content in enumerate((whole[: len(whole) // 2], scrambled)):
        name = f"{number}.{form.lower()}"
        pdf, _ = run(html=f"<p>before<img src='{name}'><img src='{data(content)}'>", assets={name: data(content)})
        assert pdf.pages == 1
    assert warned(context, f"0.{form.lower()}")  # a cut AVIF is not even recognised as one


def test_a_picture_of_too_many_pixels_is_left_out_with_a_warning(run: Run, context: JobContext) -> None:
    bomb = io.BytesIO()
    Image.new("1", (12_000, 12_000)).save(bomb, "PNG")
    run(html="<img src=bomb.png>", assets={"bomb.png": data(bomb.getvalue())})
    assert warned(context, "bomb.png", "more than 100,000,000 pixels")


def test_pillow_is_as_before_after_a_job(run: Run) -> None:
    before = list(Image.ID), Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    run(html="<p>x")
    assert (list(Image.ID), Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES) == before


LINKS = """<a href="javascript:alert(1)">a</a> <a href="java
script:alert(2)">b</a> <a href="file:///etc/passwd">c</a> <a href="page.html">d</a> <a href="\x01data:text/html,x">e</a>
<a href="https://example.org/kept">f</a> <a href="mailto:a@example.org">g</a> <a href="#here">h</a><p id="here">x"""


def test_only_links_that_a_reader_may_follow_stay(run: Run, context: JobContext) -> None:
    _, document = run(html=LINKS)
    assert b"https://example.org/kept" in document.unpacked
    assert b"mailto:a@example.org" in document.unpacked
    for bad in (b"javascript", b"script:", b"passwd", b"page.html", b"data:text"):
        assert bad not in document.unpacked
    assert warned(context, "Links other than", "became plain text: 4")
    assert warned(context, "Relative links", "became plain text: 1")


def test_relative_links_work_where_the_document_has_a_base(run: Run, context: JobContext) -> None:
    _, document = run(html="<base href='https://example.org/docs/'><a href='page.html'>x</a>")
    assert b"https://example.org/docs/page.html" in document.unpacked
    assert context.warnings == []


def test_links_of_markdown_pass_the_same_filter(run: Run) -> None:
    _, document = run(
        markdown="[a](file:///etc/passwd) <a href='javascript:alert(1)'>b</a> [c](https://example.org/kept)"
    )
    assert b"https://example.org/kept" in document.unpacked
    assert b"passwd" not in document.unpacked
    assert b"javascript" not in document.unpacked


def test_raw_html_in_markdown_keeps_structure_and_loses_the_rest(run: Run, context: JobContext) -> None:
    markdown = """
<!-- a comment -->
<p align="center" onclick="x()" style="color: #f0f"><b>Bold</b><br/>next &amp; last</p>

Text with <kbd>Ctrl</kbd>, H<sub>2</sub>O, 1 < 2 & <script></script> <video src="x.mp4"></video> after.

<style>body { display: none }</style>

<script>
alert("hidden")
</script>

<iframe src="https://example.org">inside</iframe>

`<b>code</b>`
"""
    _, document = run(markdown=markdown)
    for kept in ("Bold", "next & last", "Ctrl", "1 < 2", "after.", "<b>code</b>"):
        assert kept in document.text
    for lost in ("comment", "hidden", "alert", "onclick", "display", "inside"):
        assert lost not in document.text
    assert document.has((255, 0, 255))
    assert warned(context, "Raw HTML", "<script> (2x), <video>, <style>, <iframe>", "Send the document as html")


def test_headings_are_targets_as_on_github(run: Run, context: JobContext) -> None:
    run(markdown="[a](#two-words--more) [b](#twice) [c](#twice-1) [d](#none)\n# Two *words* & more\n# Twice\n# Twice")
    assert warned(context, "#none")
    assert len(context.warnings) == 1


def test_characters_without_a_font_are_named(run: Run, context: JobContext) -> None:
    run(html="<p>a \U0001334f b \U0001334f \U00013350")
    assert warned(context, "No font has", "U+1334F", "U+13350", "@font-face")


def test_unknown_css_is_summarised_in_one_warning(run: Run, context: JobContext) -> None:
    html = "<style>" + "p { backdrop-filter: x; zoom: 2 } " * 50 + "p { color: nonsense } @nonsense x {}</style><p>x"
    run(html=html)
    assert warned(context, "was ignored", "backdrop-filter (50x)", "zoom (50x)", "color")
    assert len(context.warnings) <= 3


def test_the_shipped_styles_use_nothing_that_the_renderer_ignores(context: JobContext, run: Run) -> None:
    styles._shipped.cache_clear()
    styles._default_paper.cache_clear()
    run(markdown=MARKDOWN)
    run(html="<p>x", landscape=True, page_numbers=False, margin_top="1cm")
    assert context.warnings == []


def test_the_library_writes_nothing_to_the_log(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    run(html="<img src='http://127.0.0.1/x'><style>p { nonsense: 1 }</style>")
    assert caplog.records == []


@pytest.mark.parametrize(
    "html", ["", " ", "<p>", "<html></html>", "\0", "<!-- only a comment", "plain text", "<svg>", "]]>"]
)
def test_odd_documents_are_one_page(run: Run, html: str) -> None:
    assert run(html=html)[0].pages == 1


def test_empty_markdown_is_one_page(run: Run) -> None:
    assert run(markdown="")[0].pages == 1


def test_more_pages_than_allowed_end_the_layout(run: Run, context: JobContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PAGES", 20)
    page = "<p style='break-after: page'>x</p>"
    assert run(html=page * 19 + "<p>x")[0].pages == 20
    with pytest.raises(LimitExceeded, match="more than 20 pages"):
        run(html=page * 20 + "<p>x")
    assert len(list(context.folder.iterdir())) == 1


@pytest.mark.soak  # the test above does the same with twenty pages
@pytest.mark.timeout(300)
def test_two_thousand_and_one_pages_are_too_many(run: Run) -> None:
    with pytest.raises(LimitExceeded, match="more than 2,000 pages"):
        run(html="<p style='break-after: page'>x</p>" * 2000 + "<p>x", page_numbers=False)


def test_a_file_larger_than_the_limit_fails(context: JobContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "_output_bytes", 1000)
    with pytest.raises(LimitExceeded, match="larger than 1,000 bytes"):
        module.render(Page.model_validate({"html": "<p>many different letters: abcdefghijklmnopqrstuvwxyz"}), context)
    assert list(context.folder.iterdir()) == []


def test_elements_nested_too_deep_fail_with_a_message(run: Run) -> None:
    with pytest.raises(JobError, match="nested too deep") as failed:
        run(html="<div>" * 2000)
    assert failed.value.reason == "too_complex"


@pytest.mark.slow
def test_deeply_nested_markdown_ends(run: Run) -> None:
    for markdown in (">" * 5000 + "x", "[" * 5000, "*a " * 5000, "- " * 3000 + "x", "`" * 5000, "<b>" * 3000):
        try:
            run(markdown=markdown)
        except JobError as error:
            assert error.reason == "too_complex"  # noqa: PT017 -- it may also succeed


def test_the_file_is_named_as_asked_and_always_a_pdf(run: Run, context: JobContext) -> None:
    for name, expected in (("report.pdf", "report.pdf"), ("report", "report.pdf"), ("a/b.html", "b.html.pdf")):
        run(html="x", name=name)
        assert context.artifacts[-1].name == expected


def test_the_same_page_is_the_same_file(run: Run, context: JobContext) -> None:
    for _ in range(2):
        run(markdown=MARKDOWN)
    assert len({artifact.sha256 for artifact in context.artifacts}) == 1


def test_temporary_files_stay_in_the_folder_of_the_job(
    run: Run, context: JobContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    font = (typefaces.FOLDER / "SourceCodePro-Bold.ttf").read_bytes()
    monkeypatch.setenv("TMPDIR", "/nonexistent")
    monkeypatch.setattr("tempfile.tempdir", None)
    run(html="<p>x", css=f"@font-face {{ font-family: x; src: url({data(font)}) }} p {{ font-family: x }}")
    assert not warned(context, "x")


@pytest.mark.slow
def test_it_renders_on_a_machine_without_any_font(tmp_path: Path) -> None:
    """In a process of its own, because without a font WeasyPrint would end it with a segmentation fault."""
    fonts = typefaces.FOLDER
    alone = (
        (fonts / "fonts.conf").read_text().replace("<include", "<!-- <include").replace("</include>", "</include> -->")
    )
    (tmp_path / "fonts.conf").write_text(alone.replace('prefix="relative">.', f">{fonts}"))
    environment = {**os.environ, "FONTCONFIG_FILE": str(tmp_path / "fonts.conf"), "XDG_CACHE_HOME": str(tmp_path)}
    code = "from offloop_workers.pdf.rendering.render import warm; warm()"
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run([sys.executable, "-c", code], env=environment, timeout=100, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
