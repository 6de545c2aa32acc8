"""Links, actions and bookmarks after select, split and merge: each leads to the copy of its page, or is gone and told.

The family is generated: every kind of destination in every place that can hold one.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator
from typing import Any, cast

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, String

from offloop.jobs.documents import Edited
from offloop.kinds.job_context import JobContext
from offloop_workers.pdf.reading import trees
from support.files import pdfs

EditAll = Callable[..., Edited]
Result = Callable[..., Any]
Target = Callable[[pikepdf.Pdf, int], Any]


def _explicit(pdf: pikepdf.Pdf, page: int) -> Any:
    return Array([pdf.pages[page - 1].obj, Name.XYZ, 5, None, 0])


def _element(pdf: pikepdf.Pdf, page: int) -> Any:
    return pdf.make_indirect(Dictionary(Type=Name.StructElem, S=Name.H1, Pg=pdf.pages[page - 1].obj, P=pdf.Root))


TARGETS: dict[str, Target] = {
    "explicit": _explicit,
    "named": lambda _pdf, page: String(f"s{page}"),
    "named-of-dictionary": lambda _pdf, page: String(f"d{page}"),
    "old-name": lambda _pdf, page: Name(f"/n{page}"),
    "number": lambda _pdf, page: Array([page - 1, Name.Fit]),
    "structure": lambda pdf, page: Array([_element(pdf, page), Name.Fit]),
}


def _go(target: Any, **more: Any) -> Any:
    return Dictionary(S=Name.GoTo, D=target, **more)


PLACES: dict[str, Callable[[Any], dict[str, Any]]] = {
    "dest": lambda target: {"Dest": target},
    "action": lambda target: {"A": _go(target)},
    "action-with-element": lambda target: {"A": _go(target, SD=Array([Dictionary(S=Name.P), Name.Fit]))},
    "next": lambda target: {"A": Dictionary(S=Name.URI, URI=String("https://example.org"), Next=_go(target))},
    "next-of-several": lambda target: {"A": Dictionary(S=Name.Named, N=Name.Print, Next=Array([_go(target)]))},
    "before-others": lambda target: {"A": _go(target, Next=Dictionary(S=Name.URI, URI=String("https://example.org")))},
    "additional": lambda target: {"AA": Dictionary(U=_go(target))},
}
KINDS = list(itertools.product(PLACES, TARGETS))


def _linked(title: str = "Linked", pages: int = 4) -> bytes:
    """Pages with one link of each kind to each page, and names of all kinds."""
    pdf, out = pikepdf.new(), io.BytesIO()
    for _ in range(pages):
        pdf.add_blank_page(page_size=(100, 100))
    pdf.docinfo.Title = title
    strings = {f"s{page}".encode(): _explicit(pdf, page) for page in range(1, pages + 1)}
    strings |= {f"d{page}".encode(): Dictionary(D=_explicit(pdf, page)) for page in range(1, pages + 1)}
    pdf.Root.Names = Dictionary(Dests=trees.name_tree(pdf, strings))
    pdf.Root.Dests = Dictionary({f"/n{page}": _explicit(pdf, page) for page in range(1, pages + 1)})
    for page in pdf.pages:
        notes = [
            Dictionary(
                Type=Name.Annot, Subtype=Name.Link, Rect=[0, 0, 9, 9], Contents=String(f"{place} {kind} {to}"),
                **PLACES[place](TARGETS[kind](pdf, to)),
            )
            for (place, kind), to in itertools.product(KINDS, range(1, pages + 1))
        ]  # fmt: skip
        page.obj.Annots = Array([pdf.make_indirect(note) for note in notes])
        page.obj.AA = Dictionary(O=_go(_explicit(pdf, pages)))
    pdf.save(out)
    return out.getvalue()


def _targets(node: Any, depth: int = 0) -> Iterator[Any]:
    """The destinations below an annotation or page."""
    if depth > 5 or not isinstance(node, (Dictionary, Array)):
        return
    if isinstance(node, Array):
        for one in node:
            yield from _targets(one, depth + 1)
        return
    if "/Dest" in node:
        yield node.Dest
    if node.get("/S") == Name.GoTo:
        assert "/SD" not in node
        yield node.get("/D")
    for key in ("/A", "/AA", "/Next", "/U", "/O"):
        if key in node:
            yield from _targets(node[key], depth + 1)


def _lead(pdf: pikepdf.Pdf, node: Any) -> list[int]:
    found = []
    for target in _targets(node):
        assert not isinstance(target, Array) or isinstance(target[0], Dictionary)
        found.append(pdfs.page_of(pdf, target))
    return found


@pytest.mark.parametrize(("pages", "numbers"), [("1-2", [1, 2]), ("4,2", [4, 2]), ("3", [3]), ("1,1,4", [1, 1, 4])])
def test_every_link_leads_to_the_copy_of_its_page_or_is_removed_and_told(
    run: EditAll, result: Result, context: JobContext, pages: str, numbers: list[int]
) -> None:
    run([_linked()], {"op": "select", "pages": pages})
    with result() as pdf:
        assert len(pdf.pages) == len(numbers)
        for page in pdf.pages:
            seen = set()
            for note in page.obj.Annots:
                place, kind, to = str(note.Contents).split()
                seen.add((place, kind, int(to)))
                expected = [numbers.index(int(to)) + 1] if int(to) in numbers else []
                assert _lead(pdf, note) == expected, note.Contents
                if place in {"next", "before-others"}:
                    assert note.A.get("/URI") == "https://example.org" or note.A.Next.URI == "https://example.org"
            whole = {(place, kind, to) for place, kind in KINDS for to in numbers}
            others = {"next", "next-of-several", "before-others"}
            partial = {(place, kind, to) for place, kind in KINDS for to in range(1, 5) if place in others}
            assert seen == whole | partial
            assert _lead(pdf, page.obj) == ([numbers.index(4) + 1] if 4 in numbers else [])
        kept = [one for one in pdf.objects if isinstance(one, Dictionary) and one.get("/Type") == Name.StructElem]
        assert kept == []
    absent = 4 - len(set(numbers))
    removed = (len(KINDS) * absent + (4 not in numbers)) * len(numbers)
    [line] = [line for line in context.warnings if "links on" in line]
    assert line.startswith(f"'Linked': {removed} links on page")
    assert line.endswith("lead to pages or places that are not in the result.")


def test_links_to_names_of_no_file_do_not_lead_into_another_one(
    run: EditAll, result: Result, context: JobContext
) -> None:
    def dangling(pdf: pikepdf.Pdf) -> None:
        pdf.pages[0].obj.Annots = Array([_link(pdf, Dest=String("s2"))])

    run([(pdfs.saved(dangling), {"title": "First"}), _linked()], {"op": "merge"})
    with result() as pdf:
        assert list(pdf.pages[0].obj.Annots) == []
        assert _lead(pdf, pdf.pages[1].obj) == [5]
    assert any(line.startswith("'First': 1 link on page 1 was removed") for line in context.warnings)


def test_merged_files_with_the_same_names_keep_all_links_of_every_kind(
    run: EditAll, result: Result, context: JobContext
) -> None:
    run([_linked("One"), _linked("Two")], {"op": "merge"})
    with result() as pdf:
        for number, page in enumerate(pdf.pages):
            for note in page.obj.Annots:
                expected = int(str(note.Contents).split()[2]) + (4 if number >= 4 else 0)
                assert _lead(pdf, note) == [expected], note.Contents
    assert not any("link" in line for line in context.warnings)


def _link(pdf: pikepdf.Pdf, **entries: Any) -> Any:
    return pdf.make_indirect(Dictionary(Type=Name.Annot, Subtype=Name.Link, Rect=[0, 0, 9, 9], **entries))


def _shares_action(pdf: pikepdf.Pdf, action: Any) -> None:
    for page in pdf.pages:
        page.obj.Annots = Array([_link(pdf, A=action), _link(pdf, A=action)])


def _shares_link(pdf: pikepdf.Pdf, action: Any) -> None:
    links = [_link(pdf, A=action), _link(pdf, Dest=action.D)]
    for page in pdf.pages:
        page.obj.Annots = Array(links)


def _shares_list(pdf: pikepdf.Pdf, action: Any) -> None:
    _shares_action(pdf, action)
    listed = pdf.make_indirect(pdf.pages[0].obj.Annots)
    for page in pdf.pages:
        page.obj.Annots = listed


@pytest.mark.parametrize("share", [_shares_action, _shares_link, _shares_list])
@pytest.mark.parametrize("form", ["alone", "circle"])
def test_links_actions_and_lists_that_pages_share_count_at_each_page(
    run: EditAll, result: Result, context: JobContext, share: Callable[..., None], form: str
) -> None:
    def shared(pdf: pikepdf.Pdf) -> None:
        action = pdf.make_indirect(_go(String("s2")))
        if form == "circle":
            action.Next = action
        share(pdf, action)
        for page in pdf.pages:
            del page.obj.AA

    source = pdfs.saved(shared, _linked())
    run([source, source], {"op": "merge"})
    assert context.warnings == []
    with result(0) as pdf:
        assert [_lead(pdf, note)[0] for page in pdf.pages for note in page.obj.Annots] == [2] * 8 + [6] * 8
    run([source], {"op": "select", "pages": "1,3-4"})
    with result(1) as pdf:
        assert [list(page.obj.get("/Annots", ())) for page in pdf.pages] == [[], [], []]
    assert any("6 links on pages 1, 3-4 were removed" in line for line in context.warnings)


def test_chains_of_shared_actions_are_counted_by_reference(run: EditAll, context: JobContext) -> None:
    def shared(pdf: pikepdf.Pdf) -> None:
        action = _go(_explicit(pdf, 2))
        for _ in range(10):
            action = pdf.make_indirect(_go(_explicit(pdf, 2), Next=Array([action] * 6)))
        pdf.pages[0].obj.Annots = Array([_link(pdf, A=action)])
        del pdf.pages[0].obj.AA

    run([pdfs.saved(shared, _linked())], {"op": "select", "pages": "1"})
    [line] = [line for line in context.warnings if "links on" in line]
    assert int(line.split()[1]) <= 10 * 6 + 1


def test_what_follows_a_removed_action_stays(run: EditAll, result: Result) -> None:
    def chained(pdf: pikepdf.Pdf) -> None:
        names = [Dictionary(S=Name.Named, N=Name(f"/{name}")) for name in ("First", "Second", "Third")]
        names[0].Next = names[1]
        action = _go(_explicit(pdf, 2), Next=Array([names[0], names[2]]))
        pdf.pages[0].obj.Annots = Array([_link(pdf, A=action)])

    run([pdfs.saved(chained, _linked())], {"op": "select", "pages": "1"})
    with result() as pdf:
        action = pdf.pages[0].obj.Annots[0].A
        assert [action.N, *(one.N for one in action.Next)] == ["/First", "/Second", "/Third"]


def test_a_split_tells_of_links_between_its_parts_once(run: EditAll, context: JobContext) -> None:
    run([pdfs.written("Book", 3)], {"op": "split", "every": 1})
    assert [line for line in context.warnings if "link" in line or "bookmark" in line] == []
    context.warnings.clear()
    run([pdfs.written("Book", 3)], {"op": "split", "ranges": ["1,3", "3"]})
    assert [line for line in context.warnings if "link" in line] == []
    assert any(line.startswith("'Book': 1 bookmark leads to pages that are not") for line in context.warnings)


def test_bookmarks_keep_their_looks_and_actions_and_lost_ones_are_counted(
    run: EditAll, result: Result, context: JobContext
) -> None:
    def marked(pdf: pikepdf.Pdf) -> None:
        with pdf.open_outline() as outline:
            bold = pikepdf.OutlineItem("Bold", 2, color=(1, 0, 0), flags=pikepdf.OutlineItemFlag.Bold)
            other = Dictionary(S=Name.GoToR, F=String("other.pdf"), D=Array([3, Name.Fit]))
            away = pikepdf.OutlineItem("Away", action=other)
            parent = pikepdf.OutlineItem("Gone", 1)
            parent.children += [away, pikepdf.OutlineItem("Gone too", 1), pikepdf.OutlineItem("Thread", action=thread)]
            outline.root[:] = [bold, parent, pikepdf.OutlineItem("Gone as well", 1)]

    thread = Dictionary(S=Name.Thread, D=0)
    run([pdfs.saved(marked, pdfs.written("Book", 3))], {"op": "select", "pages": "3"})
    with result() as pdf, pdf.open_outline() as outline:
        assert [(one.title, [child.title for child in one.children]) for one in outline.root] == [
            ("Bold", []), ("Gone", ["Away"])
        ]  # fmt: skip
        assert outline.root[0].flags == pikepdf.OutlineItemFlag.Bold
        assert outline.root[0].color == (1, 0, 0)
        away = outline.root[1].children[0].action
        assert (away.F, away.D[0]) == ("other.pdf", 3)
    assert any(line.startswith("'Book': 4 bookmarks lead to pages that are not") for line in context.warnings)


def test_a_long_title_of_a_bookmark_is_not_cut(run: EditAll, result: Result) -> None:
    def long(pdf: pikepdf.Pdf) -> None:
        with pdf.open_outline() as outline:
            outline.root[:] = [pikepdf.OutlineItem("x" * 2_000, 0)]

    run([pdfs.saved(long)], {"op": "merge"})
    with result() as pdf, pdf.open_outline() as outline:
        assert outline.root[0].children[0].title == "x" * 2_000


def test_values_that_are_objects_of_their_own_are_copied(run: EditAll, result: Result) -> None:
    def apart(pdf: pikepdf.Pdf) -> None:
        pdf.Root.PageMode, pdf.Root.Lang = Name.UseOutlines, String("en")
        pdf.Root.ViewerPreferences = Dictionary(Direction=Name.R2L, FitWindow=True)
        pdf.Root.PageLabels = Dictionary(Nums=Array([0, Dictionary(S=Name.r, P=String("A"))]))
        with pdf.open_outline() as outline:
            outline.root.append(
                pikepdf.OutlineItem("To", Array([pdf.pages[1].obj, Name.XYZ, 1, 2, 3]), color=(1, 0, 0))
            )
        for one in list(pdf.objects):
            waiting: list[Any] = [one]
            while waiting:
                node = waiting.pop()
                inner: list[Any] = list(range(len(node))) if isinstance(node, Array) else []
                inner += list(node.keys()) if isinstance(node, Dictionary) else []
                for key in inner:
                    value: Any = node[key]
                    if isinstance(value, (Array, Dictionary)) and not value.is_indirect:
                        waiting.append(value)
                    elif isinstance(value, (String, int, Name)) and not isinstance(value, bool) and key != "/Type":
                        node[key] = pdf.make_indirect(cast("Any", value))

    source = pdfs.saved(apart, _linked(pages=2))
    run([source, source], {"op": "merge"})
    run([source], {"op": "select", "pages": "2,1"})
    with result(0) as pdf:
        assert pdfs.outline(pdf) == [(1, "Linked", 1), (2, "To", 2), (1, "Linked", 3), (2, "To", 4)]
        assert (pdf.Root.PageMode, pdf.Root.Lang, pdf.Root.ViewerPreferences.Direction) == (
            "/UseOutlines",
            "en",
            "/R2L",
        )
        assert pdf.docinfo.Title == "Linked"
    with result(1) as pdf:
        assert pdfs.outline(pdf) == [(1, "To", 1)]
        assert [page.label for page in pdf.pages] == ["Aii", "Ai"]
