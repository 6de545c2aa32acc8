"""Catalogue of assembled documents: what holds for the whole is kept, or told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name, String

from offloop.jobs.documents import Edited
from offloop.kinds.job_context import JobContext
from offloop_workers.pdf.reading import trees
from support.files import pdfs

EditAll = Callable[..., Edited]
Result = Callable[..., Any]


def test_what_holds_for_the_whole_document_is_kept_or_told(run: EditAll, result: Result, context: JobContext) -> None:
    def whole(pdf: pikepdf.Pdf) -> None:
        root, page = pdf.Root, pdf.pages[0].obj
        bead = pdf.make_indirect(Dictionary(Type=Name.Bead, P=page, R=[0, 0, 9, 9]))
        thread = pdf.make_indirect(Dictionary(Type=Name.Thread, F=bead, I=Dictionary(Title=String("secret story"))))
        bead.T = thread
        root.Threads, page.B = Array([thread]), Array([bead])
        root.OpenAction = Array([pdf.pages[1].obj, Name.Fit])
        root.AA = Dictionary(WC=Dictionary(S=Name.JavaScript, JS=String("1")))
        root.URI = Dictionary(Base=String("https://example.org/"))
        root.Names.JavaScript = Dictionary(Names=Array([String("go"), Dictionary(S=Name.JavaScript, JS=String("f()"))]))
        root.Names.Templates = Dictionary(Names=Array([]))
        root.Collection = Dictionary(View=Name.D)
        with pdf.open_metadata() as found:
            found["dc:rights"] = "mine"

    source = pdfs.saved(whole, pdfs.written("Book", 3))
    run([source], {"op": "select", "pages": "1-2"})
    with result() as pdf:
        assert pdf.Root.OpenAction[0].objgen == pdf.pages[1].obj.objgen
        assert pdf.Root.URI.Base == "https://example.org/"
        assert trees.names(pdf, "/JavaScript")[b"go"].JS == "f()"
        assert pdf.open_metadata()["dc:rights"] == "mine"
        assert "/B" not in pdf.pages[0].obj
        assert [one for one in pdf.objects if isinstance(one, Dictionary) and "/I" in one] == []
    [line] = [line for line in context.warnings if "does not keep" in line]
    for lost in ("article threads", "actions at saving", "portfolio view", "entry Templates"):
        assert lost in line
    context.warnings.clear()
    run([source, source, (source, {"title": "Third"})], {"op": "merge"})
    assert any("'0', '1', 'Third' have scripts of their own" in line for line in context.warnings)


def test_settings_of_the_viewer_are_kept_and_pages_to_print_are_told(
    run: EditAll, result: Result, context: JobContext
) -> None:
    def set_up(pdf: pikepdf.Pdf) -> None:
        pdf.Root.ViewerPreferences = Dictionary(
            PrintPageRange=Array([1, 2]), Enforce=Array([Name.PrintScaling]), PrintScaling=Name("/None"), NumCopies=2
        )

    run([pdfs.saved(set_up, pdfs.written("Plan", 2))], {"op": "select", "pages": "2"})
    with result() as pdf:
        settings = pdf.Root.ViewerPreferences
        assert (settings.PrintScaling, settings.NumCopies, settings.Enforce[0]) == ("/None", 2, "/PrintScaling")
    assert "'Plan': the result does not keep its choice of pages to print." in context.warnings
