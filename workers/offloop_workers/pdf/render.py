"""Rendering: a page of HTML or Markdown becomes a PDF."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import weasyprint
from weasyprint.text.fonts import FontConfiguration

from offloop.errors import JobError, LimitExceeded
from offloop.job import Context, performs
from offloop.jobs.pdf import MAX_PAGES, Page, Pdf, render_pdf
from offloop_workers.context import JobContext
from offloop_workers.pdf import links, pictures, styles
from offloop_workers.pdf.fetcher import BASE, JobFetcher
from offloop_workers.pdf.markdown import to_html
from offloop_workers.pdf.notices import Notices, collected

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_WARM = "# Warm\n\n| a | b |\n|---|---|\n| *x* | `y` |\n\n```python\nprint('z')\n```\n"


@performs(render_pdf)
def render(page: Page, context: Context) -> Pdf:
    """Lay the document out, count its pages, and write it.

    Raises:
        LimitExceeded: it has more than `MAX_PAGES` pages.
        JobError: an asset cannot be read, or the markup is nested too deep.
    """
    for reference in page.assets.values():
        context.open(reference).close()
    fetcher = JobFetcher(page.assets, context)
    notices = Notices(lambda number: _begin_page(number, context))
    with collected(notices), pictures.guarded(), _temporary_files_in(context.folder):
        try:
            document = _lay_out(page, fetcher, context)
            pages = len(document.pages)
            _limit(pages)
            context.progress(pages, pages + 1, "writing the file")
            with context.create(_file_name(page.name), "application/pdf") as file:
                document.write_pdf(file, **styles.OPTIONS)
                size = file.tell()
        except RecursionError:
            message = "The document's elements are nested too deep to lay out: flatten them."
            raise JobError(message, code="too_complex") from None
    notices.tell(context)
    if unused := fetcher.unused:
        names = ", ".join(map(repr, unused[:10]))
        context.warn(f"Assets the document never used: {names}. Give each the name that the document uses for it.")
    context.progress(pages + 1, pages + 1, "done")
    return Pdf(pages=pages, size=size, title=document.metadata.title or None)


def _lay_out(page: Page, fetcher: JobFetcher, context: Context) -> Any:
    source = page.html if page.html is not None else to_html(page.markdown or "", context)
    html = weasyprint.HTML(string=source or "<p></p>", base_url=BASE, url_fetcher=fetcher)
    html.base_url = BASE  # a <base> of the document speaks of links, not of assets
    root = html.etree_element
    links.settle(root, context)
    sheets = styles.user_sheets(plain=page.html is not None and styles.has_own(root, fetcher.serves))
    styles.add_last(root, styles.asked_for(page) + (page.css or ""))
    # Fonts and images of one job must not be seen by the next: nothing is shared but the parsed theme.
    document = html.render(font_config=FontConfiguration(), stylesheets=sheets, **styles.OPTIONS, cache={})
    document.metadata.title = page.title or document.metadata.title or _first_heading(root)
    return document


def _begin_page(number: int, context: Context) -> None:
    _limit(number)
    context.progress(number - 1, None, f"laying out page {number}")


def _limit(pages: int) -> None:
    if pages > MAX_PAGES:
        message = (
            f"The document has more than {MAX_PAGES:,} pages, the most that one job renders: "
            "split it and send the parts."
        )
        raise LimitExceeded(message)


def _first_heading(root: Element) -> str | None:
    heading = next(root.iter("h1"), None)
    return " ".join("".join(heading.itertext()).split())[:500] or None if heading is not None else None


def _file_name(name: str) -> str:
    return name if name.lower().endswith(".pdf") else f"{name}.pdf"


@contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """Fonts of the document are unpacked to files; a killed child must leave them where they get deleted."""
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


def warm() -> None:
    """Render one small page, so that the first job finds everything loaded: parsers, fonts, lexers, the theme."""
    page = Page.model_validate({"markdown": _WARM})
    with tempfile.TemporaryDirectory() as folder:
        context = JobContext(
            job_id="warm",
            attempt=1,
            folder=Path(folder),
            inputs={},
            roots={},
            output_bytes=2**24,
            report=lambda _message: None,
        )
        render(page, context)
