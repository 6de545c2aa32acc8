"""Stamping: drawing stamp content on pages."""

from __future__ import annotations

from collections.abc import Sequence

import pikepdf
from pikepdf import Dictionary, Name

from offloop.errors import LimitExceeded
from offloop.jobs.edits import Stamp
from offloop.kinds.context import Context
from offloop_workers.pdf.editing import stamp_content
from offloop_workers.pdf.editing.document import Document
from offloop_workers.pdf.editing.placing import encoded, place
from offloop_workers.pdf.reading.ranges import summary
from offloop_workers.pdf.reading.visible import view

_MAX_TEXTS = 1_000
_NEARLY_ALL = 0.995


def draw(stamp: Stamp, document: Document, indices: Sequence[int], context: Context) -> None:
    """Draw a stamp on some pages of a document.

    Raises:
        LimitExceeded: page numbers would be stamped on too many pages.
        JobError: the stamp's file is neither a PDF nor a picture, or is damaged.
    """
    pdf = document.pdf
    contents = _contents(stamp, document, list(dict.fromkeys(indices)), context)
    state = pdf.make_indirect(Dictionary(Type=Name.ExtGState, ca=stamp.opacity, CA=stamp.opacity))
    names = _Names()
    shares = {index: _draw(stamp, document.pages[index], content, state, names) for index, content in contents.items()}
    if shrunk := {index + 1: share for index, share in shares.items() if share < _NEARLY_ALL}:
        context.warn(
            f"stamp: shrunk to {min(shrunk.values()):.0%} of the size asked for, to fit between the margins: page "
            f"{summary(sorted(shrunk))} of {document.title!r}."
        )


def _contents(
    stamp: Stamp, document: Document, indices: list[int], context: Context
) -> dict[int, stamp_content.StampContent]:
    """The stamp content by page index; pages with equal text share it."""
    if stamp.file is not None:
        return dict.fromkeys(indices, stamp_content.from_file(stamp.file, stamp.file_page, document.pdf, context))
    if stamp.text is None:
        return {}
    lines = {index: _numbered(stamp.text, index + 1, len(document.pages)) for index in indices}
    different = list(dict.fromkeys(lines.values()))
    if len(different) > _MAX_TEXTS:
        message = (
            f"Numbers would be stamped on {len(different):,} pages, more than the {_MAX_TEXTS:,} of one step: "
            "use several stamp steps, each with a part of the pages."
        )
        raise LimitExceeded(message)
    by_line = dict(zip(different, stamp_content.from_texts(stamp, different, document.pdf, context), strict=True))
    return {index: by_line[line] for index, line in lines.items()}


def _draw(
    stamp: Stamp, page: pikepdf.Page, content: stamp_content.StampContent, state: pikepdf.Object, names: _Names
) -> float:
    """Draw a stamp on a page; returns its share of the size asked for."""
    placement = place(stamp, (content.width, content.height), view(page))
    matrix = encoded(placement.matrix)
    form = page.add_resource(content.form, Name.XObject, names.unused(page), replace_existing=False)
    opacity = page.add_resource(state, Name.ExtGState, names.unused(page), replace_existing=False)
    # An artifact, so that screen readers do not read it on every page.
    operators = b"/Artifact BMC q %s gs %s cm %s Do Q EMC\n" % (str(opacity).encode(), matrix, str(form).encode())
    if stamp.layer == "under":
        page.contents_add(operators, prepend=True)
        return placement.share
    page.contents_add(b"q\n", prepend=True)  # restores the graphics state that the page leaves changed
    page.contents_add(b"\nQ\n" + operators)
    return placement.share


class _Names:
    """Unused resource names; unlike the library's random ones, they make the same job give the same bytes.

    Pages of a document may share their resources, so names in use are collected once for each dictionary of resources.
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
        self._number += 1  # never reused, so names that are added meanwhile need no check
        while f"/Stamp{self._number}" in taken:
            self._number += 1
        return Name(f"/Stamp{self._number}")


def _numbered(text: str, page: int, pages: int) -> str:
    return text.replace("{page}", str(page)).replace("{pages}", str(pages))
