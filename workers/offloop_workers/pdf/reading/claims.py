"""Conformance claims in the metadata of a document: PDF/A, PDF/UA, PDF/X. They are not verified."""

from __future__ import annotations

from contextlib import suppress

import pikepdf
from pikepdf import Stream

_MAX_XMP = 4 << 20
_UA = "{http://www.aiim.org/pdfua/ns/id/}"
_A = "{http://www.aiim.org/pdfa/ns/id/}"
_CLAIMS = (
    *(f"{_A}part", f"{_A}conformance", f"{_A}rev", f"{_UA}part", f"{_UA}rev"),
    "{http://www.npes.org/pdfx/ns/id/}GTS_PDFXVersion",
)


def has_xmp(pdf: pikepdf.Pdf) -> bool:
    """Whether the document has XMP metadata of acceptable size."""
    stream = pdf.Root.get("/Metadata")
    if not isinstance(stream, Stream):
        return False
    with suppress(pikepdf.PikepdfError):
        return len(stream.read_bytes()) <= _MAX_XMP
    return False


def of(pdf: pikepdf.Pdf) -> list[str]:
    """The claimed standards, such as ``PDF/A-3B`` and ``PDF/UA-1``."""
    if not has_xmp(pdf):
        return []
    with suppress(Exception):  # malformed XML raises exceptions of many types; it contains no claim
        found = pdf.open_metadata()
        claimed = [f"PDF/A-{found.pdfa_status}"[:20]] if found.pdfa_status else []
        claimed += [found.pdfx_status[:40]] if found.pdfx_status else []
        return claimed + ([f"PDF/UA-{found[f'{_UA}part']}"[:20]] if f"{_UA}part" in found else [])
    return []


def drop(pdf: pikepdf.Pdf) -> bool:
    """Remove the claims; returns whether there were any."""
    if not of(pdf):
        return False
    with pdf.open_metadata(set_pikepdf_as_editor=False, update_docinfo=False) as found:
        for claim in _CLAIMS:
            if claim in found:
                del found[claim]
    return True


def copy_metadata(source: pikepdf.Pdf, target: pikepdf.Pdf) -> bool:
    """Copy XMP metadata without its claims; returns whether the target has all of it, which malformed XML prevents."""
    if "/Metadata" not in source.Root:
        return True
    if not has_xmp(source):
        return False
    target.Root.Metadata = target.copy_foreign(source.Root.Metadata)
    try:
        target.open_metadata(strict=True)
    except Exception:  # noqa: BLE001 -- malformed XML raises exceptions of many types
        del target.Root.Metadata
        return False
    drop(target)
    return True
