"""Pages without a valid size: every PDF tool takes US Letter for it, and says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pikepdf
import pytest
from pikepdf import Array
from PIL import Image

from offloop.jobs.documents import Edit, ToDescribe, ToPreview, ToRead
from offloop.kinds.job_context import JobContext
from offloop_workers.pdf.describe import describe
from offloop_workers.pdf.editing.edit import edit
from offloop_workers.pdf.reading.preview import preview
from offloop_workers.pdf.reading.text import read
from support.files import pdfs

FILE = "root:in/unsized.pdf"
SELECT = {"op": "select", "pages": "2"}


def _describe(context: JobContext) -> None:
    found = describe(ToDescribe.model_validate({"file": FILE}), context)
    assert (found.sizes[-1].width_mm, found.sizes[-1].height_mm) == (215.9, 279.4)


def _preview(context: JobContext) -> None:
    preview(ToPreview.model_validate({"file": FILE, "pages": "2", "dpi": 72}), context)
    with Image.open(context.artifacts[-1].path) as picture:
        assert picture.size == (612, 792)


def _read(context: JobContext) -> None:
    assert "Plain" in read(ToRead.model_validate({"file": FILE}), context).texts[0].text


def _edit(context: JobContext) -> None:
    edit(Edit.model_validate({"sources": [{"file": FILE}], "operations": [SELECT]}), context)
    with pikepdf.open(context.artifacts[-1].path) as pdf:
        assert list(pdf.pages[0].obj.MediaBox) == [0, 0, 612, 792]


@pytest.mark.parametrize("tool", [_describe, _preview, _read, _edit])
def test_a_page_without_a_valid_size_is_letter_and_told(tmp_path: Path, tool: Callable[[JobContext], None]) -> None:
    context = pdfs.context_in(tmp_path)
    for media in (Array([0, 0, 0, 0]), Array([0, 0, 1e9, 1e9]), Array([5, 5, 5, 300])):

        def unsized(pdf: pikepdf.Pdf, media: Array = media) -> None:
            pdf.pages[1].obj.MediaBox = media

        (tmp_path / "in" / "unsized.pdf").write_bytes(pdfs.saved(unsized, pdfs.written("Plain", 2)))
        tool(context)
        told = "The PDF has no valid size (MediaBox) for page 2: US Letter is taken, 216 x 279 mm."
        assert context.warnings.count(told) == 1
        context.warnings.clear()
