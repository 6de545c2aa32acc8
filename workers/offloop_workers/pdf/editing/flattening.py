"""Flattening: form fields and annotations are drawn into the page."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from typing import Any

import pikepdf
import pypdfium2
from pikepdf import Array, Dictionary, String

from offloop_workers.pdf.reading import resources, trees
from offloop_workers.pdf.reading.ranges import summary

_KEPT = frozenset({"/Link", "/FileAttachment"})
_INVISIBLE = frozenset({"/Link", "/Popup", "/Widget"})
"""Annotations that need no appearance: nothing of them is drawn without one."""
_SMALL_SIDE = 50
"""Longest side in pixels of a drawing that nobody looks at."""


def flatten(pdf: pikepdf.Pdf) -> tuple[pikepdf.Pdf, list[str]]:
    """Draw fields and annotations into the pages; links and attached files stay.

    Returns:
        The document, or its replacement, and what the result does not keep.
    """
    form: Any = pdf.Root.get("/AcroForm")
    undrawn = {index for index, page in enumerate(pdf.pages) if _lacks_appearance(page)}
    has_form = isinstance(form, Dictionary)
    losses = _comments(pdf)
    if resources.has_xfa(pdf):
        losses.append("The XFA form is removed: values that only it holds are not drawn.")
    if has_form or undrawn:
        pdf = _with_appearances(pdf, undrawn)
    kept = {index: notes for index, page in enumerate(pdf.pages) if (notes := _take_out(page, _KEPT))}
    pdf.flatten_annotations("all")
    left = []
    for index, page in enumerate(pdf.pages):
        _take_out(page, frozenset({"/Widget", "/Popup"}))
        if any(True for _ in trees.page_annotations(page)):
            left.append(index + 1)
        if index in kept:
            page.obj.Annots = Array([*(page.obj.get("/Annots") or ()), *kept[index]])
    if "/AcroForm" in pdf.Root:
        del pdf.Root.AcroForm
    if left:
        losses.append(f"Annotations without an appearance of their own stay annotations: page {summary(left)}.")
    return pdf, losses


def _lacks_appearance(page: pikepdf.Page) -> bool:
    return any(
        "/AP" not in note and str(note.get("/Subtype")) not in _INVISIBLE | _KEPT
        for note in trees.page_annotations(page)
    )


def _comments(pdf: pikepdf.Pdf) -> list[str]:
    pages = [index for index, page in enumerate(pdf.pages, 1) if any(True for _ in _with_text(page))]
    if not pages:
        return []
    return [f"Comments are drawn without the texts that viewers show in windows: page {summary(pages)}."]


def _with_text(page: pikepdf.Page) -> Iterator[Any]:
    for note in trees.page_annotations(page):
        text, kind = note.get("/Contents"), str(note.get("/Subtype"))
        if isinstance(text, String) and str(text).strip() and kind not in _INVISIBLE | _KEPT | {"/FreeText"}:
            yield note


def _take_out(page: pikepdf.Page, kinds: frozenset[str]) -> list[Any]:
    """Remove the annotations of these kinds from a page."""
    notes = list(trees.page_annotations(page))
    taken = [note for note in notes if str(note.get("/Subtype")) in kinds]
    if taken:
        page.obj.Annots = Array([note for note in notes if str(note.get("/Subtype")) not in kinds])
    return taken


def _with_appearances(pdf: pikepdf.Pdf, undrawn: set[int]) -> pikepdf.Pdf:
    """The same document, with an appearance stream for every field, and for annotations of these pages.

    PDFium generates the streams of fields when it loads a page, in the field's own font, and those of other annotations
    when it draws the page; qpdf supports only the standard fonts.
    """
    before, after = io.BytesIO(), io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pikepdf.PageCopyWarning)  # fields are drawn wherever they are listed
        pdf.save(before, fix_metadata_version=False)
    document = pypdfium2.PdfDocument(before.getvalue())
    try:
        document.init_forms()
        for index in range(len(document)):
            page = document[index]
            if index in undrawn:
                page.render(scale=_SMALL_SIDE / max(*page.get_size(), _SMALL_SIDE)).close()
            page.close()
        document.save(after)
    finally:
        document.close()
    result = pikepdf.open(io.BytesIO(after.getvalue()))
    if isinstance(result.Root.get("/AcroForm"), Dictionary):
        result.Root.AcroForm.NeedAppearances = False
    return result
