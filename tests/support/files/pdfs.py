"""PDFs for tests, and inspection of results."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pikepdf
import pypdfium2
import weasyprint
from PIL import Image

from offloop import testing
from offloop.kinds.job_context import JobContext
from offloop.kinds.kind import Work
from offloop_workers.pdf.reading import trees

Run = Callable[..., Any]


def written(title: str, pages: int = 3, *, extra: str = "", **options: Any) -> bytes:
    """A PDF whose pages have the text ``<title> page <n>``, a bookmark and a named destination each; with two links."""
    body = "".join(
        f'<h1 id="p{number}" style="break-before: page">{title} page {number}</h1>' for number in range(1, pages + 1)
    )
    links = f'<p><a href="#p{pages}">to the last</a></p>'
    page = f"<html lang='en'><title>{title}</title><style>@page {{ size: A5 }}</style>{body}{links}{extra}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # WeasyPrint leaves a colour profile open
        data: bytes = weasyprint.HTML(string=page).write_pdf(**options)
    return data


def saved(change: Callable[[pikepdf.Pdf], object], source: bytes | None = None, **options: Any) -> bytes:
    """A PDF after a change."""
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(source or written("Plain", 1))) as pdf:
        change(pdf)
        pdf.save(out, **options)
    return out.getvalue()


def locked(source: bytes, user: str = "secret", owner: str = "owner", **allow: bool) -> bytes:
    """The same, encrypted."""
    lock = pikepdf.Encryption(
        user=user, owner=owner, R=6, allow=pikepdf.Permissions(**{"modify_assembly": True, **allow})
    )
    return saved(lambda _pdf: None, source, encryption=lock)


def context_in(folder: Path) -> JobContext:
    """A context whose root ``in`` is a folder that tests write to."""
    (folder / "in").mkdir()
    return testing.context(folder, roots={"in": folder / "in"})


def runner(work: Work, context: JobContext, folder: Path) -> Run:
    """Calls a work with one file, given as bytes."""

    def run(source: bytes, **request: Any) -> Any:
        (folder / "in" / "source.pdf").write_bytes(source)
        return work(work.kind.input.model_validate({"file": "root:in/source.pdf", **request}), context)

    return run


def texts(path: Path, password: str | None = None) -> list[str]:
    """The text of each page."""
    document = pypdfium2.PdfDocument(path, password=password)
    try:
        found = []
        for page in document:
            text = page.get_textpage()
            found.append(" ".join(text.get_text_range().split()))
            text.close()
            page.close()
        return found
    finally:
        document.close()


def picture(path: Path, index: int = 0) -> Image.Image:
    """A page as a picture, one pixel to a point."""
    document = pypdfium2.PdfDocument(path)
    try:
        page = document[index]
        bitmap = page.render(scale=1)
        drawn: Image.Image = bitmap.to_pil().convert("RGB").copy()
        bitmap.close()
        page.close()
        return drawn
    finally:
        document.close()


def inked(page: Image.Image) -> tuple[int, int, int, int]:
    """The bounding box of the pixels that are not white."""
    box = page.convert("L").point([255 if value < 250 else 0 for value in range(256)]).getbbox()
    assert box
    return box


def outline(pdf: pikepdf.Pdf, items: Sequence[trees.Item] | None = None, level: int = 1) -> list[tuple[int, str, int]]:
    """Level, title and page of every bookmark, the page found by walking to it."""
    found = []
    for item in trees.outline(pdf) if items is None else items:
        found.append((level, item.title, page_of(pdf, item.target)))
        found += outline(pdf, item.children, level + 1)
    return found


def page_of(pdf: pikepdf.Pdf, target: Any) -> int:
    """The number of the page that a destination, named or not, leads to; 0 for none."""
    explicit = trees.destination(pdf, target, trees.names(pdf, "/Dests"))
    numbers = {page.obj.objgen: number for number, page in enumerate(pdf.pages, 1)}
    page = trees.target_page(explicit, list(pdf.pages)) if explicit is not None else None
    return numbers.get(page.objgen, 0) if page is not None else 0


def links(pdf: pikepdf.Pdf) -> dict[int, list[int]]:
    """The pages that the links of each page lead to."""
    found: dict[int, list[int]] = {}
    for number, page in enumerate(pdf.pages, 1):
        for note in list(page.obj.get("/Annots") or []):
            action = note.get("/A")
            target = note.get("/Dest") if action is None else action.get("/D")
            found.setdefault(number, []).append(page_of(pdf, target))
    return found
