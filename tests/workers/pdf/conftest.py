"""Fixtures of this folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from offloop import testing
from offloop.jobs.pdf import Page, Pdf
from offloop.kinds.job_context import JobContext
from offloop_workers.pdf.rendering.render import render
from support.files.rendered import Document

Rendered = tuple[Pdf, Document]


@pytest.fixture
def context(tmp_path: Path) -> JobContext:
    """The context of one job that renders."""
    return testing.context(tmp_path)


@pytest.fixture
def run(context: JobContext) -> Callable[..., Rendered]:
    """Render a page and open the result."""

    def rendered(**page: Any) -> Rendered:
        pdf = render(Page.model_validate(page), context)
        return pdf, Document(context.artifacts[-1].path.read_bytes())

    return rendered
