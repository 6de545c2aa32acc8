"""Text extraction (extract_pdf_text), page by page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from offloop.jobs.documents import PageText, PdfText, ToRead, extract_pdf_text
from offloop.kinds.context import Context
from offloop.kinds.kind import performs
from offloop_workers.pdf.reading import opening, page_text, ranges, resources, searching


@dataclass(slots=True)
class _Read:
    """Pages that were read.

    Attributes:
        texts: the text of each that is answered.
        indices: all pages that were looked at.
        next_page: the number of the first page that was left out.
        cut: characters of a page that has more than fit.
        remarks: what is to be warned of.
    """

    texts: list[PageText] = field(default_factory=list)
    indices: list[int] = field(default_factory=list)
    next_page: int | None = None
    cut: int = 0
    remarks: page_text.Remarks = field(default_factory=page_text.Remarks)


@performs(extract_pdf_text)
def read(request: ToRead, context: Context) -> PdfText:
    """Extract the text of pages, up to the requested number of characters.

    Raises:
        JobError: the PDF cannot be opened, or has no such page.
    """
    data = opening.content(request.file, context)
    with opening.drawn(data, request.password, context) as drawn:
        count = len(drawn.document)
        wanted = ranges.pages(request.pages, count, context)
        drawn.check_count(request.pages, context)
        found = _read(request, drawn, wanted, context)
        drawn.check_pages(found.indices, context)
        if drawn.reopened():
            found = _read(request, drawn, wanted, context)
        _warn(drawn, found, context, layout=request.layout)
    context.progress(len(wanted), len(wanted), "done")
    characters = sum(len(one.text) for one in found.texts)
    return PdfText(texts=found.texts, pages=count, characters=characters, next_page=found.next_page)


def _read(request: ToRead, drawn: opening.Drawn, wanted: Sequence[int], context: Context) -> _Read:
    found, room = _Read(), request.max_characters
    wanted_text = searching.pattern(request.search) if request.search else None
    drawn.document.init_forms()
    for step, index in enumerate(wanted):
        context.progress(step, len(wanted), f"page {index + 1}")
        text = page_text.read(drawn, index, found.remarks, columns=request.layout)
        found.indices.append(index)
        if wanted_text and not wanted_text.search(searching.folded(text)):
            continue
        if len(text) > room and found.texts:
            found.next_page = index + 1
            break
        found.texts.append(PageText(page=index + 1, text=text[:room]))
        if len(text) > room:
            found.cut = len(text)
            found.next_page = wanted[step + 1] + 1 if step + 1 < len(wanted) else None
            break
        room -= len(text)
    return found


def _warn(drawn: opening.Drawn, found: _Read, context: Context, *, layout: bool) -> None:
    if found.cut:
        page = found.texts[-1].page
        context.warn(f"Page {page} has {found.cut:,} characters; the rest was left out. Raise max_characters.")
    found.remarks.tell(context, layout=layout)
    if drawn.losses is None:
        return
    if hidden := resources.hidden_layers(drawn.losses.pdf):
        context.warn(f"Layers that are switched off are part of the text: {hidden}.")
    if "/Collection" in drawn.losses.pdf.Root:
        context.warn("The PDF is a portfolio: its documents are files inside of it, and not part of the text.")
    if resources.has_xfa(drawn.losses.pdf):
        context.warn("The form has data in XFA, which is not read; the text is what viewers without XFA show.")
