"""Fixtures of this folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pikepdf
import pytest

from offloop.jobs.documents import Edit, Edited
from offloop.kinds.job_context import JobContext
from offloop_workers.pdf.editing.edit import edit
from support.files import pdfs


@pytest.fixture
def context(tmp_path: Path) -> JobContext:
    """A context with its folders."""
    return pdfs.context_in(tmp_path)


@pytest.fixture
def run(context: JobContext, tmp_path: Path) -> Callable[..., Edited]:
    """Edits files given as bytes, or as bytes and options of a source."""

    def edited(sources: list[bytes | tuple[bytes, dict[str, Any]]], *steps: dict[str, Any], **more: Any) -> Edited:
        listed = []
        for number, source in enumerate(sources):
            content, fields = source if isinstance(source, tuple) else (source, {})
            (tmp_path / "in" / f"{number}.pdf").write_bytes(content)
            listed.append({"file": f"root:in/{number}.pdf", **fields})
        made: Edited = edit(Edit.model_validate({"sources": listed, "operations": list(steps), **more}), context)
        artifacts = context.artifacts[-len(made.documents) :]
        assert [(one.name, one.size) for one in made.documents] == [(each.name, each.size) for each in artifacts]
        return made

    return edited


@pytest.fixture
def result(context: JobContext) -> Callable[..., Any]:
    """Opens an artifact, checked for syntax faults."""

    def opened(index: int = 0, **options: Any) -> Any:
        pdf = pikepdf.open(context.artifacts[index].path, **options)
        assert pdf.check_pdf_syntax() == []
        return pdf

    return opened
