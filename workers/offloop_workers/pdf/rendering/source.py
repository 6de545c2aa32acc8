"""From what the caller sent to one string of HTML."""

from __future__ import annotations

from offloop.jobs.pdf import Source
from offloop.kinds.context import Context
from offloop_workers.pdf.rendering import templates
from offloop_workers.pdf.rendering.fetcher import JobFetcher
from offloop_workers.pdf.rendering.markdown import to_html


def html(source: Source, fetcher: JobFetcher, context: Context) -> str:
    """The document as HTML.

    Raises:
        JobError: ``template_error``: the template or its data is wrong.
        LimitExceeded: the filled template is too large.
    """
    if source.html is not None:
        return source.html
    if source.markdown is not None:
        return to_html(source.markdown, context)
    return templates.fill(
        source.template or "", source.data or {}, fetcher.text, lambda markdown: to_html(markdown, context)
    )
