"""Previews of pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pikepdf
import pytest
from pikepdf import Array
from PIL import Image

from offloop.errors import JobError, LimitExceeded
from offloop.kinds.job_context import JobContext
from offloop_workers.pdf.reading.preview import preview
from support.files import pdfs

A = pdfs.written("Alpha")


@pytest.fixture
def context(tmp_path: Path) -> JobContext:
    """A context with its folders."""
    return pdfs.context_in(tmp_path)


@pytest.fixture
def run(context: JobContext, tmp_path: Path) -> pdfs.Run:
    """Previews a file given as bytes."""
    return pdfs.runner(preview, context, tmp_path)


@pytest.mark.parametrize("form", ["png", "webp", "jpeg"])
def test_pages_are_drawn_in_each_format(run: pdfs.Run, context: JobContext, form: str) -> None:
    result = run(A, pages="1,3", width=300, format=form, name="look")
    assert result.pages == 3
    assert [one.page for one in result.previews] == [1, 3]
    for one, artifact in zip(result.previews, context.artifacts, strict=True):
        assert one.name == artifact.name == f"look-{one.page}.{form.replace('jpeg', 'jpg')}"
        assert (artifact.mime_type, artifact.size) == (f"image/{form}", one.size)
        with Image.open(artifact.path) as picture:
            assert picture.format == form.upper()
            assert picture.size == (one.width, one.height)
            assert one.width == 300
            left, top, right, bottom = pdfs.inked(picture.convert("RGB"))
            assert 0 < left < right < 300
            assert top < bottom < one.height / 2


def test_without_a_width_the_resolution_counts(run: pdfs.Run) -> None:
    [one] = run(A, dpi=144).previews
    assert (one.width, one.height) == (840, 1191)


def test_a_filled_form_shows_its_values(run: pdfs.Run, context: JobContext) -> None:
    empty = pdfs.written("Form", 1, extra="<input name='who'>", pdf_forms=True)
    filled = pdfs.written("Form", 1, extra="<input name='who' value='Ann Example'>", pdf_forms=True)
    for source in (empty, filled):
        run(source)
    pictures = [Image.open(artifact.path).convert("L").tobytes() for artifact in context.artifacts]
    assert sum(one < 128 for one in pictures[1]) > sum(one < 128 for one in pictures[0]) + 50


def test_a_rotated_and_cropped_page_is_drawn_as_it_is_displayed(run: pdfs.Run) -> None:
    def change(pdf: pikepdf.Pdf) -> None:
        pdf.pages[0].cropbox = Array([0, 0, 144, 72])
        pdf.pages[0].rotation = 90

    [one] = run(pdfs.saved(change), dpi=72).previews
    assert (one.width, one.height) == (72, 144)


def test_an_encrypted_file_needs_its_password(run: pdfs.Run) -> None:
    assert run(pdfs.locked(A), password="secret").pages == 3  # noqa: S106 -- a password of this test
    with pytest.raises(JobError, match="is encrypted") as failed:
        run(pdfs.locked(A))
    assert failed.value.reason == "wrong_password"


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"pages": ",".join(["1"] * 51)}, "51 pages, more than the 50"),
        ({"pages": ",".join(["1"] * 50), "dpi": 600}, "pixels together, more than 200,000,000"),
    ],
)
def test_too_much_is_refused_before_anything_is_drawn(
    run: pdfs.Run, context: JobContext, request_: dict[str, Any], words: str
) -> None:
    with pytest.raises(LimitExceeded, match=words):
        run(A, **request_)
    assert context.artifacts == []


def test_a_huge_page_is_refused_with_its_size(run: pdfs.Run) -> None:
    def change(pdf: pikepdf.Pdf) -> None:
        pdf.pages[0].mediabox = Array([0, 0, 14_400, 14_400])
        for box in ("/TrimBox", "/BleedBox"):
            if box in pdf.pages[0].obj:
                del pdf.pages[0].obj[box]

    with pytest.raises(LimitExceeded, match="Page 1 measures 14,400 x 14,400 points"):
        run(pdfs.saved(change), dpi=96)
    assert run(pdfs.saved(change), width=200).previews[0].height == 200


@pytest.mark.parametrize("content", [b"", b"hello", A[:700], b"%PDF-1.7\n" + bytes(2000)])
def test_an_incomplete_pdf_is_reported_in_a_message(run: pdfs.Run, content: bytes) -> None:
    with pytest.raises(JobError) as failed:
        run(content)
    assert failed.value.reason in {"not_a_pdf", "damaged_pdf"}
