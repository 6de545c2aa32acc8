"""Warm-up of every kind that reads PDFs: a small run loads the libraries before the first job."""

from __future__ import annotations

import base64
import io
import tempfile
from pathlib import Path

import pikepdf

from offloop.jobs.documents import Edit, ToDescribe, ToPreview, ToRead
from offloop.kinds.job_context import JobContext
from offloop_workers.pdf.describe import describe
from offloop_workers.pdf.editing.edit import edit
from offloop_workers.pdf.reading.preview import preview
from offloop_workers.pdf.reading.text import read

_STEPS = [
    {"op": "merge"},
    {"op": "stamp", "text": "{page}"},
    {"op": "metadata", "title": "Warm"},
    {"op": "sanitise"},
    {"op": "optimise"},
]


def warm() -> None:
    """Edit, preview, read and describe a blank page."""
    blank = io.BytesIO()
    with pikepdf.new() as pdf:
        pdf.add_blank_page()
        pdf.save(blank)
    file = "data:application/pdf;base64," + base64.b64encode(blank.getvalue()).decode()
    with tempfile.TemporaryDirectory() as folder:
        context = JobContext(job_id="warm", folder=Path(folder))
        edit(Edit.model_validate({"sources": [{"file": file}] * 2, "operations": _STEPS}), context)
        preview(ToPreview.model_validate({"file": file, "width": 64}), context)
        read(ToRead.model_validate({"file": file}), context)
        describe(ToDescribe.model_validate({"file": file}), context)
