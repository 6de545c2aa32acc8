"""Drawing stamps on pages."""

from __future__ import annotations

from collections.abc import Sequence

import pikepdf
from pikepdf import Dictionary, Name

from offloop.errors import LimitExceeded
from offloop.jobs.edits import Stamp
from offloop.kinds.context import Context
from offloop_workers.pdf.editing import stamp_content
from offloop_workers.pdf.editing.document import Document
from offloop_workers.pdf.editing.placing import place, view

_MAX_TEXTS = 1_000


def draw(stamp: Stamp, document: Document, indices: Sequence[int], context: Context) -> None:
    """Draw a stamp on some pages of a document.

    Raises:
        LimitExceeded: numbers were asked for on too many pages.
        JobError: the stamp's file is nothing that can be drawn.
    """
    pdf = document.pdf
    indices = list(dict.fromkeys(indices))
    chosen: dict[int, stamp_content.Ink] = {}
    if stamp.file is not None:
        chosen = dict.fromkeys(indices, stamp_content.of_file(stamp.file, stamp.file_page, pdf, context))
    elif stamp.text is not None:
        lines = {index: _numbered(stamp.text, index + 1, len(document.pages)) for index in indices}
        different = list(dict.fromkeys(lines.values()))
        if len(different) > _MAX_TEXTS:
            message = (
                f"Numbers would be stamped on {len(different):,} pages, more than the {_MAX_TEXTS:,} of one step: "
                "use several stamp steps, each with a part of the pages."
            )
            raise LimitExceeded(message)
        by_line = dict(zip(different, stamp_content.texts(stamp, different, pdf, context), strict=True))
        chosen = {index: by_line[line] for index, line in lines.items()}
    state = pdf.make_indirect(Dictionary(Type=Name.ExtGState, ca=stamp.opacity, CA=stamp.opacity))
    names = _Names()
    for index, ink in chosen.items():
        _draw(stamp, document.pages[index], ink, state, names)


def _draw(stamp: Stamp, page: pikepdf.Page, ink: stamp_content.Ink, state: pikepdf.Object, names: _Names) -> None:
    matrix = place(stamp, (ink.width, ink.height), view(page))
    form = page.add_resource(ink.drawn, Name.XObject, names.unused(page), replace_existing=False)
    look = page.add_resource(state, Name.ExtGState, names.unused(page), replace_existing=False)
    # An artifact: what assistive programs should not read aloud on every page.
    content = b"/Artifact BMC q %s gs %s cm %s Do Q EMC\n" % (str(look).encode(), matrix.encode(), str(form).encode())
    if stamp.layer == "under":
        page.contents_add(content, prepend=True)
        return
    page.contents_add(b"q\n", prepend=True)  # whatever the page leaves turned or scaled ends before the stamp
    page.contents_add(b"\nQ\n" + content)


class _Names:
    """Names that pages do not use yet; the library's own are random, and the same job should give the same bytes.

    All pages of a document may share their resources, which are therefore looked through once and not for each page.
    """

    def __init__(self) -> None:
        self._shared: dict[tuple[int, int], set[str]] = {}
        self._number = 0

    def unused(self, page: pikepdf.Page) -> Name:
        resources = page.get_resources() or Dictionary()
        taken = self._shared.get(resources.objgen) if resources.is_indirect else None
        if taken is None:
            groups = [group for group in resources.values() if isinstance(group, Dictionary)]
            taken = {key for group in groups for key in group.keys()}  # noqa: SIM118 -- not a dict
            if resources.is_indirect:
                self._shared[resources.objgen] = taken
        self._number += 1  # never again the same one, so what is added meanwhile need not be looked at
        while f"/Stamp{self._number}" in taken:
            self._number += 1
        return Name(f"/Stamp{self._number}")


def _numbered(text: str, page: int, pages: int) -> str:
    return text.replace("{page}", str(page)).replace("{pages}", str(pages))
