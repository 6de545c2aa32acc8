"""Trees inside a PDF: names, outlines and destinations of every form, in files that are cyclic or wrong."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, String

from offloop_workers.pdf.reading import trees
from support.files import pdfs


@pytest.fixture
def pdf() -> Iterator[pikepdf.Pdf]:
    """A new document of three pages."""
    with pikepdf.new() as document:
        for _ in range(3):
            document.add_blank_page()
        yield document


def _view(pdf: pikepdf.Pdf, page: int) -> Array:
    return Array([pdf.pages[page - 1].obj, Name.Fit])


def _bookmarks(pdf: pikepdf.Pdf, *fields: Dictionary) -> None:
    """An outline of one level."""
    nodes = [pdf.make_indirect(one) for one in fields]
    for node, following in itertools.pairwise(nodes):
        node.Next = following
    pdf.Root.Outlines = pdf.make_indirect(Dictionary(First=nodes[0], Last=nodes[-1]))


def test_a_target_may_be_an_array_a_string_a_name_or_a_dictionary(pdf: pikepdf.Pdf) -> None:
    """Names are those of PDF 1.1, in the catalogue; strings are in the name tree."""
    strings = {b"two": _view(pdf, 2), b"three": Dictionary(D=_view(pdf, 3))}
    pdf.Root.Names = Dictionary(Dests=trees.name_tree(pdf, strings))
    pdf.Root.Dests = Dictionary(one=_view(pdf, 1), two=Dictionary(D=_view(pdf, 2)))
    targets: dict[int, list[Any]] = {
        3: [_view(pdf, 3), String("three"), Dictionary(D=_view(pdf, 3))],
        2: [String("two"), Name.two, Array([1, Name.Fit]), Array([Dictionary(Pg=pdf.pages[1].obj), Name.Fit])],
        1: [Name.one],
        0: [None, String("four"), Name.three, Dictionary(), Array(), Array([9, Name.Fit]), Dictionary(D=String("two"))],
    }
    assert {page: [pdfs.page_of(pdf, target) for target in some] for page, some in targets.items()} == {
        page: [page] * len(some) for page, some in targets.items()
    }


def test_a_name_leads_nowhere_without_a_dictionary_of_names(pdf: pikepdf.Pdf) -> None:
    assert pdfs.page_of(pdf, Name.one) == 0
    pdf.Root.Dests = Array()
    assert pdfs.page_of(pdf, Name.one) == 0


def test_bookmarks_have_a_destination_an_action_or_a_link(pdf: pikepdf.Pdf) -> None:
    """An action counts only beside no destination; those that are neither GoTo nor URI lead nowhere."""
    web = Dictionary(S=Name.URI, URI=String("https://example.com/"))
    _bookmarks(
        pdf,
        Dictionary(Title=String("destination"), Dest=_view(pdf, 1), A=web, Count=-2),
        Dictionary(Title=String("action"), A=Dictionary(S=Name.GoTo, D=_view(pdf, 2)), Count=2),
        Dictionary(Title=String("web"), A=web),
        Dictionary(Title=String("script"), A=Dictionary(S=Name.JavaScript, JS=String("x"))),
        Dictionary(Title=Name.wrong, A=Array()),
    )
    found = trees.outline(pdf)
    assert [(item.title, pdfs.page_of(pdf, item.target), item.uri, item.closed) for item in found] == [
        ("destination", 1, None, True),
        ("action", 2, None, False),
        ("web", 0, "https://example.com/", False),
        ("script", 0, None, False),
        ("", 0, None, False),
    ]


def test_an_outline_is_cut_where_it_is_cyclic_direct_or_too_deep(pdf: pikepdf.Pdf) -> None:
    _bookmarks(pdf, Dictionary(Title=String("a")), Dictionary(Title=String("b")))
    first, last = pdf.Root.Outlines.First, pdf.Root.Outlines.Last
    last.Next, last.First = first, last
    assert [(item.title, item.children) for item in trees.outline(pdf)] == [("a", []), ("b", [])]
    assert [item.title for item in trees.outline(pdf, 1)] == ["a"]
    first.Next = Dictionary(Title=String("direct"))
    assert [item.title for item in trees.outline(pdf)] == ["a"]
    node = first
    for number in range(100):
        node.First = pdf.make_indirect(Dictionary(Title=String(f"{number}")))
        node = node.First
    depth, items = 0, trees.outline(pdf)
    while items:
        depth, items = depth + 1, items[0].children
    assert depth == 30
    pdf.Root.Outlines = Array()
    assert trees.outline(pdf) == []


def test_a_name_tree_is_read_in_order_and_its_faults_are_skipped(pdf: pikepdf.Pdf) -> None:
    """An odd entry, a name that is no string, a node that is none, and a circle."""
    root = trees.name_tree(pdf, {b"%03d" % number: number for number in range(200)})
    assert [(bytes(name), value) for name, value in trees.entries(root)] == [
        (b"%03d" % number, number) for number in range(200)
    ]
    root.Kids.append(root)
    root.Kids.append(String("no node"))
    root.Kids.append(Dictionary(Names=Array([Name.no_string, 1, String("last"), 2, String("odd")])))
    pdf.Root.Names = Dictionary(EmbeddedFiles=root)
    found = trees.names(pdf, "/EmbeddedFiles")
    assert (len(found), found[b"last"], b"odd" in found) == (201, 2, False)
    assert trees.names(pdf, "/Dests") == {}


def test_text_is_short_and_printable() -> None:
    assert trees.text(String("a\n\tb\u202ec  ")) == "a b c"
    assert trees.text(String("x" * 5000)) == "x" * 500
    assert trees.text(Name.x) is None
