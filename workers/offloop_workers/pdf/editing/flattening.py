"""Fields and annotations become part of the page, as they look."""

from __future__ import annotations

import io

import pikepdf
import pypdfium2
from pikepdf import Dictionary


def flatten(pdf: pikepdf.Pdf) -> pikepdf.Pdf:
    """Draw fields and annotations into the pages; links stay.

    Returns:
        The document, or the one that takes its place.
    """
    form = pdf.Root.get("/AcroForm")
    if isinstance(form, Dictionary):
        pdf = _with_looks(pdf)
    pdf.flatten_annotations("all")
    if "/AcroForm" in pdf.Root:
        del pdf.Root.AcroForm
    return pdf


def _with_looks(pdf: pikepdf.Pdf) -> pikepdf.Pdf:
    """The same document, in which every field has a picture of what it holds.

    PDFium makes it when it loads a page, with the field's own font; qpdf could only for the plainest of fonts.
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
    made = pikepdf.open(io.BytesIO(after.getvalue()))
    if isinstance(made.Root.get("/AcroForm"), Dictionary):
        made.Root.AcroForm.NeedAppearances = False
    return made
