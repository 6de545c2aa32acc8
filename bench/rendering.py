"""Render calls, for stacks without workers of offloop."""

from __future__ import annotations

import tempfile
from pathlib import Path


def render(html: str) -> int:
    """Render with offloop's own function into a file; returns the size of the file."""
    from offloop.jobs.pdf import Page  # noqa: PLC0415 -- heavy: only processes that render load it
    from offloop.kinds.job_context import JobContext  # noqa: PLC0415 -- the same
    from offloop_workers.pdf.rendering.render import render as work  # noqa: PLC0415 -- the same

    with tempfile.TemporaryDirectory() as folder:
        context = JobContext(job_id="bare", folder=Path(folder))
        size: int = work(Page.model_validate({"html": html}), context).size
        return size


def noop() -> None:
    """Do nothing."""


def warm() -> None:
    """Load everything, and render once."""
    render("<p>warm</p>")


def weasyprint_alone(html: str) -> int:
    """Render with WeasyPrint alone, without a theme; returns the size of the file."""
    return len(weasyprint_file(html))


def weasyprint_file(html: str) -> bytes:
    """The file of the same call."""
    import weasyprint  # type: ignore[import-untyped, unused-ignore]  # noqa: PLC0415 -- heavy

    return weasyprint.HTML(string=html).write_pdf() or b""
