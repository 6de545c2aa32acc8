"""Guarded opening of a PDF of unknown origin: bounds on bytes and pages, and a message for each fault."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pikepdf
import pypdfium2
from pikepdf.settings import set_qpdf_limits

from offloop.errors import JobError, LimitExceeded, OffloopError
from offloop.jobs.documents import MAX_FILE_BYTES, MAX_PAGES
from offloop.kinds.context import Context
from offloop.kinds.references import FileReference

_HEAD = 1024
"""Bytes in which viewers look for the header, since some programs write others before it."""
_EMPTY = "it has no pages"
_UNREADABLE = "its structure cannot be read"
_CYCLE = "its page tree runs in a circle or is nested too deep"
_MAX_DEPTH = 200
_SPARE = 1_000
"""Intermediate nodes that the page tree may have beyond three for each page."""
_STREAM_BYTES = 256 << 20

# Process-wide: the decompressed size of one stream (enough for 80 megapixels), and the number of tolerated faults. A
# larger stream cannot be read; where it need not be read, it is copied as it is.
set_qpdf_limits(
    flate_max_memory=_STREAM_BYTES,
    png_max_memory=_STREAM_BYTES,
    tiff_max_memory=_STREAM_BYTES,
    run_length_max_memory=_STREAM_BYTES,
    dct_max_memory=_STREAM_BYTES,
    dct_max_progressive_scans=100,
    parser_max_container_size=2_000_000,
    doc_max_warnings=20_000,
)


def content(reference: FileReference, context: Context) -> bytes:
    """All bytes of a file that looks like a PDF.

    Raises:
        LimitExceeded: it has more than `MAX_FILE_BYTES`.
        JobError: ``not_a_pdf``: it is empty or something else.
    """
    with context.open(reference) as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        message = f"The PDF has more than {MAX_FILE_BYTES >> 20} MiB, the most that is read: send it in parts."
        raise LimitExceeded(message)
    if b"%PDF-" not in data[:_HEAD]:
        fault = "empty: 0 bytes" if not data else "not a PDF: it does not begin with %PDF-"
        message = f"The file is {fault}. Send the PDF itself; render_pdf makes one of HTML or Markdown."
        raise JobError(message, code="not_a_pdf")
    return data


@contextmanager
def opened(data: bytes, password: str | None, context: Context) -> Iterator[pikepdf.Pdf]:
    """A PDF for inspection or change, with a valid page tree.

    Raises:
        LimitExceeded: it has more pages than the kind reads.
        JobError: ``wrong_password`` or ``damaged_pdf``.
    """
    file = io.BytesIO(data)
    with damage(password), pikepdf.open(file, password=password or "", inherit_page_attributes=False) as pdf:
        _check_pages(pdf, context.limits.pages or MAX_PAGES)
        yield pdf


@contextmanager
def drawn(data: bytes, password: str | None, context: Context) -> Iterator[pypdfium2.PdfDocument]:
    """A PDF for drawing or for reading its text.

    Raises:
        LimitExceeded: it has more pages than the kind reads.
        JobError: ``wrong_password`` or ``damaged_pdf``.
    """
    with damage(password):
        document = pypdfium2.PdfDocument(data, password=password)
        try:
            _limit(len(document), context.limits.pages or MAX_PAGES)
            if not len(document):
                raise damaged(_EMPTY)
            yield document
        finally:
            document.close()


@contextmanager
def damage(password: str | None = None) -> Iterator[None]:
    """Turn every exception that a library raises on a damaged or locked file into one message.

    Raises:
        JobError: ``wrong_password`` or ``damaged_pdf``.
    """
    try:
        yield
    except (OffloopError, MemoryError, OSError):
        raise
    except pikepdf.PasswordError:
        raise _locked(password) from None
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise _locked(password) from None
        raise damaged(_UNREADABLE) from error
    except Exception as error:
        raise damaged(_reason(error)) from error


def damaged(reason: str) -> JobError:
    """The error for a file that cannot be parsed."""
    return JobError(f"The PDF is damaged or cut off ({reason}): send the complete file.", code="damaged_pdf")


def _reason(error: Exception) -> str:
    # Such as: stream <_io.BytesIO object at …> (object 4,0, offset 300): PL_Flate memory limit exceeded
    text = str(error).rsplit("): ", 1)[-1].rsplit(">: ", 1)[-1]
    if isinstance(error, pikepdf.PikepdfError) and "<" not in text:
        return " ".join(text.split())[:120]
    return "something in it is not what it should be"


def _locked(password: str | None) -> JobError:
    what = "The password does not open the PDF" if password else "The PDF is encrypted"
    return JobError(f"{what}: send the right one in password.", code="wrong_password")


def _check_pages(pdf: pikepdf.Pdf, most: int) -> None:
    """Look at the page tree before the library unfolds it: it may be endless, or one page a million times."""
    waiting: list[tuple[Any, int]] = [(pdf.Root.get("/Pages"), 0)]
    seen: set[tuple[int, int]] = set()
    entries = 0
    while waiting:
        node, depth = waiting.pop()
        kids = node.get("/Kids") if isinstance(node, pikepdf.Dictionary) else None
        if not isinstance(kids, pikepdf.Array):
            continue
        entries += len(kids)
        if entries > 4 * most + _SPARE:
            _limit(entries, most)
        if node.objgen in seen or depth > _MAX_DEPTH:
            raise damaged(_CYCLE)
        if node.is_indirect:
            seen.add(node.objgen)
        waiting += [(kid, depth + 1) for kid in kids]
    if not len(pdf.pages):
        raise damaged(_EMPTY)
    _limit(len(pdf.pages), most)


def _limit(pages: int, most: int) -> None:
    if pages > most:
        message = f"The PDF has more than {most:,} pages, the most that one job handles: send it in parts."
        raise LimitExceeded(message)
