"""Rendering pipeline: HTML, Markdown, or a template with its data becomes a PDF."""

from __future__ import annotations

import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

from weasyprint.urls import URLFetchingError

from offloop import logs
from offloop.errors import JobError, LimitExceeded, OffloopError
from offloop.jobs.pdf import MAX_PAGES, Page, Pdf, Source, Timings, render_pdf
from offloop.kinds.context import Context
from offloop.kinds.job_context import JobContext
from offloop.kinds.kind import performs
from offloop_workers.pdf.rendering import embedded, links, pictures, strict, styles
from offloop_workers.pdf.rendering.fetcher import BASE, JobFetcher
from offloop_workers.pdf.rendering.layout import drawings, fonts
from offloop_workers.pdf.rendering.layout.document import Html
from offloop_workers.pdf.rendering.layout.fonts import Fonts
from offloop_workers.pdf.rendering.layout.progress import Progress
from offloop_workers.pdf.rendering.renderer_log import RendererLog
from offloop_workers.pdf.rendering.source import templates
from offloop_workers.pdf.rendering.source.markdown import to_html
from offloop_workers.pdf.rendering.standard import Standard

_log = logs.get(__name__)
_WARM = "# Warm\n\n| a | b |\n|---|---|\n| *x* | `y` |\n\n```python\nprint('z')\n```\n"


@performs(render_pdf)
def render(page: Page, context: Context) -> Pdf:
    """Parse the document, lay it out, write the PDF, and warn of its faults.

    Raises:
        LimitExceeded: it has more pages than allowed.
        JobError: an asset cannot be read, the template cannot be filled, the markup is nested too deep, or there are
            warnings and ``strict`` is set.
    """
    context, recorded = strict.recording(context)
    for reference in (*page.assets.values(), *(attachment.file for attachment in page.attachments)):
        context.open(reference).close()
    fetcher = JobFetcher(page.assets, context, allow_fetch=page.allow_fetch)
    progress = Progress(context)
    log = RendererLog(lambda number: _begin_page(number, page, progress, context), progress.again)
    try:
        with progress.reported(), _environment(log, context), ExitStack() as files:
            clock = [time.perf_counter()]
            html = _parse(page, fetcher, context)
            standard = Standard(page, html.etree_element, context)
            clock.append(time.perf_counter())
            document = _lay_out(html, page, standard, progress)
            _check_pages(len(document.pages), page, context)
            standard.after_layout(document)
            clock.append(time.perf_counter())
            standard.before_write(document, files)
            with context.create(_file_name(page.name), "application/pdf") as file:
                _write(document, standard, file)
                size = file.tell()
                clock.append(time.perf_counter())
                standard.check(document)
                _warn(html, page, fetcher, log, context)
                if page.strict:
                    strict.refuse(recorded)
    except RecursionError:
        message = "The document's elements are nested too deep to lay out: flatten them."
        raise JobError(message, code="too_complex") from None
    return _result(document, html, page, size, clock)


def _parse(page: Page, fetcher: JobFetcher, context: Context) -> Html:
    html = Html(string=_source(page, fetcher, context) or "<p></p>", base_url=BASE, url_fetcher=fetcher)
    html.base_url = BASE  # a <base> of the document is about links, not about assets
    html.layout = page.layout
    html.linked = fetcher.sheet
    root = html.etree_element
    if page.language:
        root.set("lang", page.language)
    fetcher.base = links.settle(root, context)
    embedded.settle(root, fetcher.serves, context)
    return html


def _source(source: Source, fetcher: JobFetcher, context: Context) -> str:
    """The document as one string of HTML, whichever of the three formats it was sent in."""
    if source.html is not None:
        return source.html
    if source.markdown is not None:
        return to_html(source.markdown, context)
    return templates.fill(
        source.template or "", source.data or {}, fetcher.text, lambda markdown: to_html(markdown, context)
    )


def _lay_out(html: Html, page: Page, standard: Standard, progress: Progress) -> Any:
    root = html.etree_element
    sheets = styles.user_sheets(page.theme, own=page.markdown is None and styles.has_own(root, html.url_fetcher.serves))
    styles.add_last(root, styles.overrides(page, standard.title or ""), page.css or "")
    # Isolation between jobs: fonts and the image cache are new for each, only the parsed themes are shared.
    with _failures():
        return html.lay_out(progress, Fonts(), stylesheets=sheets, cache={}, **standard.options)


def _write(document: Any, standard: Standard, file: BinaryIO) -> None:
    with _failures(), warnings.catch_warnings():
        # WeasyPrint leaves its colour profile for PDF/A open, to be closed by the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        document.write_pdf(file, finisher=standard.finish, **standard.options)


def _warn(html: Html, page: Page, fetcher: JobFetcher, log: RendererLog, context: Context) -> None:
    """Report the warnings that are only known at the end."""
    log.report(context, None if html.undrawn is None else drawings.SHAPES)
    for sentence in html.missing.sentences():
        context.warn(sentence)
    if html.undrawn:
        names = ", ".join(f"{name} ({count}x)" for name, count in list(html.undrawn.items())[:20])
        context.warn(f"Parts of drawings (svg) that the renderer does not know or find were left out: {names}.")
    if html.flattened and page.layout == "auto":
        context.warn(
            f"Flex or grid boxes around whole pages, which take very long to lay out, became plain blocks: "
            f"{html.flattened}. Set layout to as_is to keep them, or to print_safe to agree."
        )
    if html.repaired:
        context.warn(
            f"Flex boxes that would have left pages empty or lost words at the end of a page were laid out as tables, "
            f"grids or blocks: {html.repaired}. Set layout to as_is to keep them."
        )
    if html.broken:
        context.warn(
            f"Rows of flex items that go over the end of a page: {html.broken}. Their items may follow each other "
            "instead of standing side by side: make them a grid or a table in css, or set layout to print_safe."
        )
    if unused := fetcher.unused:
        names = ", ".join(map(repr, unused[:10]))
        context.warn(f"Assets the document never used: {names}. Give each the name that the document uses for it.")


def _result(document: Any, html: Html, page: Page, size: int, clock: list[float]) -> Pdf:
    parse, layout, write = (round(end - begin, 3) for begin, end in pairwise(clock))
    return Pdf(
        pages=len(document.pages),
        size=size,
        title=document.metadata.title,
        variant=page.variant,
        layout="print_safe" if html.flattened else "as_is",
        fonts=sorted({font.family for font in document.fonts.values()})[:100],
        timings=Timings(parse=parse, layout=layout, write=write),
    )


def _begin_page(number: int, page: Page, progress: Progress, context: Context) -> None:
    _check_pages(number, page, context)
    progress.page(number)


def _check_pages(pages: int, page: Page, context: Context) -> None:
    most = min(context.limits.pages or MAX_PAGES, MAX_PAGES)
    if pages > min(most, page.max_pages):
        why = "as max_pages says" if page.max_pages < most else "the most that one job renders"
        message = f"The document has more than {min(most, page.max_pages):,} pages, {why}: split it and send the parts."
        raise LimitExceeded(message)


def _file_name(name: str) -> str:
    return name if name.lower().endswith(".pdf") else f"{name}.pdf"


@contextmanager
def _environment(log: RendererLog, context: Context) -> Iterator[None]:
    """Process-wide state of a rendering: log handlers, Pillow's decoders, temporary folder."""
    with log.attached(), pictures.guarded(), _temporary_files_in(context.folder):
        yield


@contextmanager
def _failures() -> Iterator[None]:
    """Turn exceptions of WeasyPrint into failures of the document: many absurd documents provoke them."""
    try:
        yield
    except (OffloopError, RecursionError, MemoryError, OSError) as error:
        if not isinstance(error, URLFetchingError):
            raise
        message = "A colour profile that the document names could not be loaded: pass it in assets."
        raise JobError(message, code="missing_asset") from None
    except Exception as error:  # noqa: BLE001 -- any exception of the renderer is reported to the caller and logged
        _log.warning("the renderer failed", error=type(error).__name__, traceback=traceback.format_exc()[-4000:])
        message = (
            f"The renderer failed on this document ({type(error).__name__}): it has a length, a number or a picture "
            "that makes no sense. Leave out parts of it, beginning with its CSS, to find which."
        )
        raise JobError(message, code="unrenderable") from None


@contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """Direct temporary files, such as unpacked fonts, to a folder that is deleted even if the child is killed."""
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


def warm() -> None:
    """Render small pages, and load all that no data changes: parsers, lexers, fonts, and the styles of every theme.

    Children that are forked afterwards share it and keep nothing for each other, as each renders one document.
    """
    pages = [{"markdown": _WARM}, {"template": "{% for x in xs %}<p>{{ x|number }}{% endfor %}", "data": {"xs": [1]}}]
    with tempfile.TemporaryDirectory() as folder:
        context = JobContext(job_id="warm", folder=Path(folder))
        for page in pages:
            render(Page.model_validate(page), context)
    styles.load()
    fonts.load()
