"""Text extraction (extract_pdf_text), page by page."""

from __future__ import annotations

from offloop.jobs.documents import PageText, PdfText, ToRead, extract_pdf_text
from offloop.kinds.context import Context
from offloop.kinds.kind import performs
from offloop_workers.pdf.reading import opening, page_text, ranges, resources, searching


@performs(extract_pdf_text)
def read(request: ToRead, context: Context) -> PdfText:
    """Extract the text of pages, up to the requested number of characters.

    Raises:
        JobError: the PDF cannot be opened, or has no such page.
    """
    texts: list[PageText] = []
    read_pages: list[int] = []
    remarks = page_text.Remarks()
    wanted_text = searching.pattern(request.search) if request.search else None
    room, next_page = request.max_characters, None
    data = opening.content(request.file, context)
    with opening.drawn(data, request.password, context) as drawn:
        count = len(drawn.document)
        wanted = ranges.pages(request.pages, count, context)
        drawn.check_count(request.pages, context)
        drawn.document.init_forms()
        for step, index in enumerate(wanted):
            context.progress(step, len(wanted), f"page {index + 1}")
            text = page_text.read(drawn, index, remarks, columns=request.layout)
            read_pages.append(index)
            if wanted_text and not wanted_text.search(searching.folded(text)):
                continue
            if len(text) > room and texts:
                next_page = index + 1
                break
            texts.append(PageText(page=index + 1, text=text[:room]))
            if len(text) > room:
                context.warn(
                    f"Page {index + 1} has {len(text):,} characters; the rest was left out. Raise max_characters."
                )
                next_page = wanted[step + 1] + 1 if step + 1 < len(wanted) else None
                break
            room -= len(text)
        drawn.check_pages(read_pages, context)
        _warn(drawn, remarks, context, layout=request.layout)
    context.progress(len(wanted), len(wanted), "done")
    return PdfText(texts=texts, pages=count, characters=sum(len(one.text) for one in texts), next_page=next_page)


def _warn(drawn: opening.Drawn, remarks: page_text.Remarks, context: Context, *, layout: bool) -> None:
    remarks.tell(context, layout=layout)
    if drawn.losses is None:
        return
    if hidden := resources.hidden_layers(drawn.losses.pdf):
        context.warn(f"Layers that are switched off are part of the text: {hidden}.")
    if "/Collection" in drawn.losses.pdf.Root:
        context.warn("The PDF is a portfolio: its documents are files inside of it, and not part of the text.")
    if resources.has_xfa(drawn.losses.pdf):
        context.warn("The form has data in XFA, which is not read; the text is what viewers without XFA show.")
