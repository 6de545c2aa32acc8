"""Guarded opening: files that are too large, empty, locked, or whose page tree cannot be right."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name

from offloop import testing
from offloop.errors import JobError, LimitExceeded
from offloop.kinds.job_context import JobContext
from offloop.kinds.limits import Limits
from offloop.kinds.references import FileReference
from offloop_workers.pdf.reading import opening
from support.files import pdfs

Open = Callable[..., Any]
OPENERS = [opening.opened, opening.drawn]
PLAIN = pdfs.written("Plain", 2)


@pytest.fixture
def context(tmp_path: Path) -> JobContext:
    """A context with its folders."""
    return pdfs.context_in(tmp_path)


def _refusal(source: bytes, context: JobContext, password: str | None = None, *, by: Open = opening.opened) -> str:
    """The reason of a refusal, and its message."""
    with pytest.raises(JobError) as failed, by(source, password, context):
        pass
    return f"{failed.value.reason}: {failed.value.message}"


def _limited(folder: Path, pages: int) -> JobContext:
    folder.mkdir()
    return testing.context(folder, limits=Limits(pages=pages))


def test_a_file_with_more_bytes_than_are_read_is_refused(
    tmp_path: Path, context: JobContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The largest file that is read has exactly that many."""
    monkeypatch.setattr(opening, "MAX_FILE_BYTES", 1 << 20)
    file = tmp_path / "in" / "large.pdf"
    file.write_bytes(PLAIN.ljust(1 << 20))
    reference = FileReference("root:in/large.pdf")
    assert len(opening.content(reference, context)) == 1 << 20
    file.write_bytes(PLAIN.ljust((1 << 20) + 1))
    with pytest.raises(LimitExceeded, match="more than 1 MiB"):
        opening.content(reference, context)


@pytest.mark.parametrize("fields", [{"Kids": Array()}, {}], ids=["no kids", "no array"])
def test_a_document_without_pages_is_refused(context: JobContext, fields: dict[str, Any]) -> None:
    def empty(pdf: pikepdf.Pdf) -> None:
        pdf.Root.Pages = pdf.make_indirect(Dictionary(Type=Name.Pages, Count=0, **fields))

    assert _refusal(pdfs.saved(empty, PLAIN), context).startswith("damaged_pdf: The PDF is damaged or cut off (")


def test_a_page_tree_that_runs_in_a_circle_is_refused(context: JobContext) -> None:
    def turn(pdf: pikepdf.Pdf) -> None:
        inner = pdf.make_indirect(Dictionary(Type=Name.Pages, Count=2, Kids=Array()))
        inner.Kids.append(pdf.Root.Pages)
        pdf.Root.Pages.Kids.append(inner)

    refusal = _refusal(pdfs.saved(turn, PLAIN), context)
    assert re.search(r"damaged_pdf: .*(Loop detected|runs in a circle)", refusal), "qpdf's words, or ours"


@pytest.mark.parametrize(("depth", "opens"), [(50, True), (210, False)])
def test_a_page_tree_may_be_only_so_deep(context: JobContext, depth: int, *, opens: bool) -> None:
    def sink(pdf: pikepdf.Pdf) -> None:
        for _ in range(depth):
            kids = pdf.Root.Pages
            pdf.Root.Pages = pdf.make_indirect(Dictionary(Type=Name.Pages, Count=2, Kids=Array([kids])))
            kids.Parent = pdf.Root.Pages

    source = pdfs.saved(sink, PLAIN)
    if not opens:
        assert re.search(r"damaged_pdf: .*(too deeply nested|nested too deep)", _refusal(source, context))
        return
    with opening.opened(source, None, context) as pdf:
        assert len(pdf.pages) == 2


def test_intermediate_nodes_may_be_direct(context: JobContext) -> None:
    """Against the specification; they cannot run in a circle."""

    def inline(pdf: pikepdf.Pdf) -> None:
        pages = pdf.Root.Pages
        pages.Kids = Array([Dictionary(Type=Name.Pages, Count=2, Kids=pages.Kids)])

    with opening.opened(pdfs.saved(inline, PLAIN), None, context) as pdf:
        assert len(pdf.pages) == 2


def test_one_page_a_million_times_is_refused_before_it_is_unfolded(tmp_path: Path) -> None:
    def repeat(pdf: pikepdf.Pdf) -> None:
        pdf.Root.Pages.Kids = Array([pdf.Root.Pages.Kids[0]] * 1_100)

    source, few = pdfs.saved(repeat, PLAIN), _limited(tmp_path / "few", 10)
    with pytest.raises(LimitExceeded, match="more than 10 pages"), opening.opened(source, None, few):
        pass


@pytest.mark.parametrize("by", OPENERS)
def test_the_kinds_limit_of_pages_holds(tmp_path: Path, by: Open) -> None:
    with pytest.raises(LimitExceeded, match="more than 1 pages"), by(PLAIN, None, _limited(tmp_path / "one", 1)):
        pass
    with by(PLAIN, None, _limited(tmp_path / "two", 2)):
        pass


@pytest.mark.parametrize("by", OPENERS)
@pytest.mark.parametrize(
    ("password", "words"), [(None, "The PDF is encrypted"), ("wrong", "The password does not open the PDF")]
)
def test_both_libraries_ask_for_the_password_alike(
    context: JobContext, password: str | None, words: str, by: Open
) -> None:
    assert _refusal(pdfs.locked(PLAIN), context, password, by=by).startswith(f"wrong_password: {words}")


def test_passwords_are_taken_in_the_form_of_the_encryption(context: JobContext) -> None:
    for revision in (2, 3, 4, 6):
        lock = pikepdf.Encryption(user="müller", owner="x", R=revision, aes=revision > 3, metadata=revision > 3)
        source = pdfs.saved(lambda _pdf: None, PLAIN, encryption=lock)
        for password in ("müller", "mu\u0308ller"):
            with opening.opened(source, password, context), opening.drawn(source, password, context) as drawn:
                assert len(drawn.document) == 2
        assert _refusal(source, context, "muller").startswith("wrong_password")


@pytest.mark.parametrize("by", OPENERS)
def test_a_file_that_is_only_a_header_is_damaged(context: JobContext, by: Open) -> None:
    refusal = _refusal(b"%PDF-1.7\n", context, by=by)
    assert refusal.startswith("damaged_pdf: The PDF is damaged or cut off (")
    assert "0x" not in refusal, "no object of the library"


def test_an_error_of_the_code_that_reads_a_document_is_damage_without_its_text(context: JobContext) -> None:
    """Objects that are of another type than they should be raise errors of Python."""
    with (
        pytest.raises(JobError, match=r"\(something in it is not what it should be\)"),
        opening.opened(PLAIN, None, context) as pdf,
    ):
        int(pdf.Root.Pages)
