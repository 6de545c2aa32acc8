"""Flattening: form fields and annotations are drawn into the page."""

from __future__ import annotations

import io

import pikepdf
import pypdfium2
from pikepdf import Dictionary


def flatten(pdf: pikepdf.Pdf) -> pikepdf.Pdf:
    """Draw fields and annotations into the pages; links stay.

    Returns:
        The document, or its replacement.
    """
    form = pdf.Root.get("/AcroForm")
    if isinstance(form, Dictionary):
        pdf = _with_appearances(pdf)
    pdf.flatten_annotations("all")
    if "/AcroForm" in pdf.Root:
        del pdf.Root.AcroForm
    return pdf


def _with_appearances(pdf: pikepdf.Pdf) -> pikepdf.Pdf:
    """The same document, with an appearance stream for every field.

    PDFium generates the streams when it loads a page, in the field's own font; qpdf supports only the standard fonts.
    """
    before, after = io.BytesIO(), io.BytesIO()
    pdf.save(before)
    document = pypdfium2.PdfDocument(before.getvalue())
    try:
        document.init_forms()
        for index in range(len(document)):
            document[index].close()
        document.save(after)
    finally:
        document.close()
    result = pikepdf.open(io.BytesIO(after.getvalue()))
    if isinstance(result.Root.get("/AcroForm"), Dictionary):
        result.Root.AcroForm.NeedAppearances = False
    return result
