"""Layers of assembled documents: those of copied pages, with their order, groups and states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name, String

from offloop.jobs.documents import Edited
from offloop.kinds.job_context import JobContext
from support.files import pdfs

EditAll = Callable[..., Edited]
Result = Callable[..., Any]


def test_layers_keep_their_groups_order_and_automatic_states(run: EditAll, result: Result, context: JobContext) -> None:
    def layered(pdf: pikepdf.Pdf) -> None:
        one, two = (pdf.make_indirect(Dictionary(Type=Name.OCG, Name=String(name))) for name in ("one", "two"))
        automatic = Dictionary(Event=Name.Print, Category=Array([Name.Print]), OCGs=Array([one]))
        default = Dictionary(
            Order=Array([String("Group"), Array([two, one])]),
            RBGroups=Array([Array([one, two])]),
            AS=Array([automatic]),
        )
        pdf.Root.OCProperties = Dictionary(OCGs=Array([one, two]), D=default, Configs=Array([Dictionary()]))

    source = pdfs.saved(layered, pdfs.written("Plan", 2))
    run([source, source], {"op": "merge"})
    with result() as pdf:
        groups, default = pdf.Root.OCProperties.OCGs, pdf.Root.OCProperties.D
        assert len(groups) == 4
        assert [one.objgen for one in default.Order[1]] == [groups[1].objgen, groups[0].objgen]
        assert [one.objgen for one in default.RBGroups[1]] == [groups[2].objgen, groups[3].objgen]
        assert [one.OCGs[0].objgen for one in default.AS] == [groups[0].objgen, groups[2].objgen]
    assert "'Plan': the result does not keep its alternative settings of layers." in context.warnings


def test_layers_of_omitted_pages_are_left_out_with_all_that_refers_to_them(run: EditAll, result: Result) -> None:
    def layered(pdf: pikepdf.Pdf) -> None:
        one, two, three = (
            pdf.make_indirect(Dictionary(Type=Name.OCG, Name=String(name))) for name in ("one", "two", "three")
        )
        for page, layer in zip(pdf.pages, (one, two, three), strict=True):
            page.obj.Resources = Dictionary(Properties=Dictionary(L=layer))
        order = Array([one, Array([two, Array([three])]), Array([String("Group"), one]), two])
        order.append(pdf.make_indirect(Array([])))
        order[-1].append(order[-1])
        pdf.Root.OCProperties = Dictionary(
            OCGs=Array([one, two, three]),
            D=Dictionary(
                Order=order,
                OFF=Array([one, two]),
                RBGroups=Array([Array([one, two]), Array([one])]),
                AS=Array([Dictionary(Event=Name.View, OCGs=Array([one, two])), Dictionary(OCGs=Array([one]))]),
            ),
        )

    source = pdfs.saved(layered, pdfs.written("Plan", 3))
    run([source], {"op": "select", "pages": "2"})
    run([source], {"op": "select", "pages": "3,1"})
    run([source], {"op": "select", "pages": "3"})
    with result(0) as pdf:
        [two] = pdf.Root.OCProperties.OCGs
        default = pdf.Root.OCProperties.D
        assert (two.Name, [one.Name for one in default.OFF]) == ("two", ["two"])
        assert default.Order.unparse(resolved=False) == b"[ [ (one) %d 0 R ] %d 0 R ]" % (two.objgen[0], two.objgen[0])
        assert [[one.Name for one in group] for group in default.RBGroups] == [["two"]]
        assert [[one.Name for one in state.OCGs] for state in default.AS] == [["two"]]
        assert [one for one in pdf.objects if isinstance(one, Dictionary) and one.get("/Name") == "three"] == []
    with result(1) as pdf:
        assert [one.Name for one in pdf.Root.OCProperties.OCGs] == ["one", "three"]
    with result(2) as pdf:
        assert [one.Name for one in pdf.Root.OCProperties.OCGs] == ["three"]
