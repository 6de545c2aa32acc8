"""Guarded opening of a PDF of unknown origin: bounds on bytes and pages, and a message for each fault."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pikepdf
import pypdfium2
from pikepdf.settings import set_qpdf_limits

from offloop.errors import JobError, LimitExceeded, OffloopError
from offloop.jobs.documents import MAX_FILE_BYTES, MAX_PAGES
from offloop.kinds.context import Context
from offloop.kinds.references import FileReference
from offloop_workers.pdf.reading import losses, ranges, written
from offloop_workers.pdf.reading.visible import View, view

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
def opened(
    data: bytes, password: str | None, context: Context, *, pages: str | None = None, name: str = "The PDF"
) -> Iterator[pikepdf.Pdf]:
    """A PDF for change, with a valid page tree. Repairs and losses are warned of.

    Args:
        data: the bytes of the file.
        password: opens it where it is encrypted.
        context: takes warnings; its limits bound the number of pages.
        pages: the page ranges that are used; all by default.
        name: the document in warnings.

    Raises:
        LimitExceeded: it has more pages than the kind reads.
        JobError: ``wrong_password`` or ``damaged_pdf``: it cannot be read, or most of what is used of it is lost.
    """
    with inspected(data, password, context, name) as found:
        found.check_count(context, refuse=pages is None)
        used = ranges.pages(pages, found.found, context) if pages else range(found.found)
        found.check_pages(used, context, refuse=True)
        found.check_files(context)
        yield found.pdf


@contextmanager
def inspected(
    data: bytes, password: str | None, context: Context, name: str = "The PDF", *, report: bool = True
) -> Iterator[losses.Losses]:
    """A PDF with a valid page tree, and its losses; repairs are warned of at the end, unless `report` is off.

    Raises:
        LimitExceeded: it has more pages than the kind reads.
        JobError: ``wrong_password`` or ``damaged_pdf``.
    """
    with damage(password), _parsed(data, password or "") as pdf:
        found = losses.Losses(pdf, data, name, declared=losses.declared(pdf))
        found.missing = _check_pages(pdf, context.limits.pages or MAX_PAGES)
        found.pages = list(pdf.pages)
        found.note()
        yield found
        if report:
            found.report(context)


def _parsed(data: bytes, password: str) -> pikepdf.Pdf:
    """The document that a password opens: as it is given, normalised, or in the encoding that old encryption takes."""
    usual = unicodedata.normalize("NFKC", password)
    for form in dict.fromkeys((password.encode(), usual.encode(), usual.encode("pdfdoc", "replace"))):
        with suppress(pikepdf.PasswordError):
            return pikepdf.open(io.BytesIO(data), password=form, inherit_page_attributes=False, suppress_warnings=True)
    raise _locked(password)


@dataclass(slots=True)
class Drawn:
    """A PDF in both libraries.

    Attributes:
        document: for drawing and for reading text.
        losses: the same pages for inspection; None where only the other library can read the file.
        faults: number of faults that are repaired in `document`.
    """

    document: pypdfium2.PdfDocument
    losses: losses.Losses | None
    faults: int

    def close(self) -> None:
        """Close the document of PDFium."""
        self.document.close()

    def reopened(self) -> bool:
        """Whether the table of objects was found to be wrong since the document was opened; it is then opened anew."""
        if self.losses is None or self.faults or not self.losses.rebuilt:
            return False
        self.close()
        self.document, self.faults = _repaired(self.losses.pdf), len(self.losses.faults)
        return True

    def check_count(self, named: str, context: Context) -> None:
        """Warn of missing pages; `named` are the page ranges as the caller wrote them.

        Raises:
            JobError: ``damaged_pdf``: most are missing, and all are asked for.
        """
        if self.losses is not None:
            self.losses.check_count(context, refuse=named.strip().lower() == "all")

    def check_pages(self, indices: Sequence[int], context: Context, *, pictures: bool = False) -> None:
        """Warn of losses of pages, and of their pictures.

        Raises:
            JobError: ``damaged_pdf``: most of these pages are lost.
        """
        if self.losses is not None:
            self.losses.with_pictures = pictures
            self.losses.check_pages(indices, context, refuse=True)

    def page(self, index: int) -> pikepdf.Page | None:
        """A page for inspection."""
        return None if self.losses is None else self.losses.pages[index]

    def lost(self, index: int) -> bool:
        """Whether a page has lost all of its content."""
        return self.losses is not None and self.losses.state(self.losses.pages[index]) == written.LOST

    def view(self, index: int) -> View | None:
        """The visible part of a page; None of a file that only PDFium can read."""
        page = self.page(index)
        return None if page is None else view(page)


@contextmanager
def drawn(data: bytes, password: str | None, context: Context) -> Iterator[Drawn]:
    """A PDF for drawing or for reading its text.

    Its pages are those that are edited and described: where the file is damaged, or its number of pages is wrong, the
    repaired one is drawn.

    Raises:
        LimitExceeded: it has more pages than the kind reads.
        JobError: ``wrong_password`` or ``damaged_pdf``.
    """
    with ExitStack() as stack:
        found, unreadable = None, None
        try:
            found = stack.enter_context(inspected(data, password, context))
        except JobError as error:
            if error.reason != "damaged_pdf":
                raise
            unreadable = error
        with damage(password):
            try:
                document = _document(data, password, found)
            except pypdfium2.PdfiumError:
                raise unreadable or damaged(_UNREADABLE) from None
            both = Drawn(document, found, len(found.faults) if found else 0)
            stack.callback(both.close)
            if unreadable:
                context.warn(f"{unreadable.message} One library could read it; what is missing is unknown.")
            _limit(len(document), context.limits.pages or MAX_PAGES)
            if not len(document):
                raise damaged(_EMPTY)
            yield both


def _document(data: bytes, password: str | None, found: losses.Losses | None) -> pypdfium2.PdfDocument:
    sound = found and not found.faults and found.declared == found.found and not found.missing
    # The other library does not try other forms of a password.
    if found is None or (sound and (password or "").isascii()):
        return pypdfium2.PdfDocument(data, password=password)
    return _repaired(found.pdf)


def _repaired(pdf: pikepdf.Pdf) -> pypdfium2.PdfDocument:
    file = io.BytesIO()
    pdf.save(file)
    return pypdfium2.PdfDocument(file.getvalue())


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
    except pikepdf.PdfError as error:
        if "unsupported encryption" in str(error):
            raise _unsupported() from error
        raise damaged(_reason(error)) from error
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


def _unsupported() -> JobError:
    message = (
        "The PDF is encrypted in a way that cannot be opened here, such as for certificates (public keys) instead of a "
        "password: send a copy without encryption, or with a password."
    )
    return JobError(message, code="unsupported_encryption")


def _locked(password: str | None) -> JobError:
    what = "The password does not open the PDF" if password else "The PDF is encrypted"
    return JobError(f"{what}: send the right one in password.", code="wrong_password")


def _check_pages(pdf: pikepdf.Pdf, most: int) -> int:
    """Look at the page tree before the library unfolds it: it may be endless, or one page a million times.

    Returns:
        The number of entries that lead to no page.
    """
    missing = 0
    waiting: list[tuple[Any, int]] = [(pdf.Root.get("/Pages"), 0)]
    seen: set[tuple[int, int]] = set()
    entries = 0
    while waiting:
        node, depth = waiting.pop()
        if not isinstance(node, pikepdf.Dictionary):
            missing += depth > 0
            continue
        kids = node.get("/Kids")
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
    return missing


def _limit(pages: int, most: int) -> None:
    if pages > most:
        message = f"The PDF has more than {most:,} pages, the most that one job handles: send it in parts."
        raise LimitExceeded(message)
