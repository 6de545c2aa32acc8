"""Forms of copied pages: a field stays one, however many of its widgets were copied, and clashing names differ."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name, String

from offloop_workers.pdf.editing.document import copied
from offloop_workers.pdf.reading import trees

Number = tuple[int, int]
_MAX_NODES = 100_000
_MAX_DEPTH = 100
_FIELD_KEYS = (
    *("/FT", "/T", "/TU", "/TM", "/Ff", "/V", "/DV", "/DA", "/Q", "/DS", "/RV", "/Opt", "/MaxLen", "/TI", "/I"),
    *("/Lock", "/SV", "/AA"),
)
_RADIO, _IN_UNISON = 1 << 15, 1 << 25
_MAX_FLAGS = 1 << 16
_FONT_NAME = re.compile(r"/[^\s()<>\[\]{}/%]+")


class Forms:
    """The form of a document that is assembled from others."""

    def __init__(self, pdf: pikepdf.Pdf) -> None:
        self._pdf = pdf
        self._tops: list[Any] = []
        self._names: set[str] = set()
        self._order: list[Any] = []
        self._resources: dict[str, dict[str, Any]] = {}
        self._entries: dict[str, Any] = {}
        self._flags = 0

    def add(
        self,
        source: pikepdf.Pdf,
        old: Sequence[pikepdf.Page],
        pages: Sequence[pikepdf.Page],
        clones: Mapping[Number, list[Any]],
        *,
        whole: bool,
    ) -> dict[str, str]:
        """Add the fields that have a widget on these copied pages.

        Args:
            source: the document that the pages were copied from.
            old: the pages that were copied.
            pages: the copies.
            clones: the further widgets, by the number of the first, of pages that were copied more than once.
            whole: all pages of the source were copied, so that fields without a widget on any page are kept too.

        Returns:
            The new names of fields that had to be renamed, by the old ones.
        """
        found: Any = source.Root.get("/AcroForm")
        form = found if isinstance(found, Dictionary) else Dictionary()
        shown = {note.objgen: note for page in pages for note in trees.page_annotations(page) if _is_widget(note)}
        for clone in (clone for more in clones.values() for clone in more):
            shown.pop(clone.objgen, None)  # not a field of its own: it joins that of the first
        with_widgets = old if shown else ()
        wanted = {
            _top(note).objgen for page in with_widgets for note in trees.page_annotations(page) if _is_widget(note)
        }
        tops = [one for one in _indirect(source, form, "/Fields") if whole or one.objgen in wanted]
        tops = _with_orphans([self._pdf.copy_foreign(top) for top in tops], shown.values())
        tops = tops if whole else [top for top in tops if _prune(top, shown)]
        _repeat(self._pdf, [(shown[number], more) for number, more in clones.items() if number in shown], tops)
        kept = {node.objgen for node in nodes(tops)}
        order = [self._pdf.copy_foreign(one) for one in _indirect(source, form, "/CO")]
        order = [one if "/FT" in one or "/T" in one else one.get("/Parent", one) for one in order]
        self._order += [one for one in order if one.objgen in kept]
        if tops:  # a form without fields here says nothing about those of other documents
            self._add_defaults(source, form, tops)
            self._tops += tops
        return self._rename(tops)

    def write(self) -> None:
        """Write the form to the new document."""
        if not self._tops:
            return
        form = Dictionary(Fields=Array(self._tops), **{key[1:]: value for key, value in self._entries.items()})
        if self._order:
            form.CO = Array(self._order)
        if self._resources:
            form.DR = Dictionary({kind: Dictionary(entries) for kind, entries in self._resources.items()})
        if self._flags:
            form.SigFlags = self._flags
        self._pdf.Root.AcroForm = self._pdf.make_indirect(form)

    def _rename(self, tops: Sequence[Any]) -> dict[str, str]:
        names = {str(top.T) for top in tops if isinstance(top.get("/T"), String)}
        taken = names | self._names
        renamed: dict[str, str] = {}
        for name in sorted(names & self._names):
            number = 2
            while f"{name}+{number}" in taken:
                number += 1
            renamed[name] = f"{name}+{number}"
        for top in tops:
            if isinstance(top.get("/T"), String) and str(top.T) in renamed:
                top.T = String(renamed[str(top.T)])
        self._names |= {renamed.get(name, name) for name in names}
        return renamed

    def _add_defaults(self, source: pikepdf.Pdf, form: Any, tops: Sequence[Any]) -> None:
        """Merge what holds for all fields of a form: appearance, resources, flags."""
        for key in ("/DA", "/Q"):
            value: Any = form.get(key)
            if isinstance(value, (String, int)):
                value = String(bytes(value)) if isinstance(value, String) else value
                self._entries.setdefault(key, value)
                for top in tops if self._tops else ():
                    if key not in top:
                        top[key] = value
        if form.get("/NeedAppearances") is True:
            self._entries["/NeedAppearances"] = True
        flags: Any = form.get("/SigFlags")
        self._flags |= flags if isinstance(flags, int) and 0 < flags < _MAX_FLAGS else 0
        resources = form.get("/DR")
        renamed = self._add_resources(copied(self._pdf, source, resources)) if isinstance(resources, Dictionary) else {}
        for node in nodes(tops) if renamed else ():
            if isinstance(node.get("/DA"), String):
                node.DA = String(_FONT_NAME.sub(lambda found: renamed.get(found[0], found[0]), str(node.DA)))

    def _add_resources(self, resources: Any) -> dict[str, str]:
        """Take over named resources; returns the new names of fonts whose names mean other fonts already."""
        renamed: dict[str, str] = {}
        for kind, group in resources.items():
            taken = self._resources.setdefault(kind, {})
            for name, entry in group.items() if isinstance(group, Dictionary) else ():
                if name not in taken:
                    taken[name] = entry
                elif kind == "/Font" and _face(taken[name]) != _face(entry):
                    number = 2
                    while f"{name}.{number}" in taken or f"{name}.{number}" in group:
                        number += 1
                    renamed[name] = f"{name}.{number}"
                    taken[renamed[name]] = entry
        return renamed


def _is_widget(note: Any) -> bool:
    return bool(note.is_indirect and note.get("/Subtype") == Name.Widget)


def _indirect(source: pikepdf.Pdf, form: Any, key: str) -> list[Any]:
    """The dictionaries in an array of a form, each an object of its own, as copying needs."""
    listed: Any = form.get(key)
    some = [listed[index] for index in range(min(len(listed), _MAX_NODES))] if isinstance(listed, Array) else []
    return [one if one.is_indirect else source.make_indirect(one) for one in some if isinstance(one, Dictionary)]


def _with_orphans(tops: list[Any], widgets: Iterable[Any]) -> list[Any]:
    """The fields, and those of widgets that the form does not list."""
    known = {top.objgen for top in tops}
    found = list(tops)
    for widget in widgets:
        node = _top(widget)
        if node.objgen not in known and ("/FT" in node or "/T" in node):
            known.add(node.objgen)
            found.append(node)
    return found


def _top(widget: Any) -> Any:
    """The node of the field tree above a widget that has no parent."""
    node, depth = widget, 0
    while isinstance(above := node.get("/Parent"), Dictionary) and above.is_indirect and depth < _MAX_DEPTH:
        node, depth = above, depth + 1
    return node


def _kids(node: Any) -> list[Any]:
    listed = node.get("/Kids")
    return [one for one in listed if isinstance(one, Dictionary)] if isinstance(listed, Array) else []


def nodes(tops: Iterable[Any]) -> Iterator[Any]:
    """All nodes of field trees, parents first, each once."""
    waiting = list(tops)[::-1]
    seen: set[Number] = set()
    while waiting and len(seen) < _MAX_NODES:
        node = waiting.pop()
        if node.objgen in seen and node.is_indirect:
            continue
        seen.add(node.objgen)
        yield node
        waiting += _kids(node)[::-1]


def _prune(top: Any, shown: Mapping[Number, Any]) -> bool:
    """Remove the widgets of absent pages, and fields without any; returns whether anything is left."""
    left: set[Number] = set()
    for node in reversed(list(nodes([top]))):
        kids = _kids(node)
        kept = [kid for kid in kids if kid.objgen in left]
        if len(kept) < len(kids):
            node.Kids = Array(kept)
        if kept or node.objgen in shown:
            left.add(node.objgen)
    return top.objgen in left


def _repeat(pdf: pikepdf.Pdf, repeated: Iterable[tuple[Any, Sequence[Any]]], tops: list[Any]) -> None:
    """Give the fields of widgets further widgets; a widget that is its own field becomes a field with widgets."""
    grown: dict[Number, tuple[Any, dict[Number, list[Any]]]] = {}
    instead: dict[Number, Any] = {}
    for widget, more in repeated:
        above = widget.get("/Parent")
        kids = [widget, *more]
        if not isinstance(above, Dictionary) or "/T" in widget or "/FT" in widget:
            field = _split(pdf, widget, more)
            kids = [field]
            if not isinstance(above, Dictionary):
                instead[widget.objgen] = field
        if isinstance(above, Dictionary):
            grown.setdefault(above.objgen, (above, {}))[1][widget.objgen] = kids
    for field, by_widget in grown.values():
        field.Kids = Array([one for kid in _kids(field) for one in by_widget.get(kid.objgen, [kid])])
        flags: Any = field.get("/Ff", 0)
        if field.get("/FT") == Name.Btn and isinstance(flags, int) and flags & _RADIO:
            field.Ff = flags | _IN_UNISON
    tops[:] = [instead.get(top.objgen, top) for top in tops]


def _split(pdf: pikepdf.Pdf, widget: Any, more: Sequence[Any]) -> Any:
    """The field of a widget that was its own field."""
    field = pdf.make_indirect(Dictionary({key: widget[key] for key in _FIELD_KEYS if key in widget}))
    if "/Parent" in widget:
        field.Parent = widget.Parent
    field.Kids = Array([widget, *more])
    for one in (widget, *more):
        for key in _FIELD_KEYS:
            if key in one and key != "/AA":
                del one[key]
        one.Parent = field
    return field


def _face(font: Any) -> object:
    """A value that is equal for fonts that draw alike: a standard font's name and encoding, else the object itself."""
    if not isinstance(font, Dictionary) or any(
        key in font for key in ("/FontDescriptor", "/DescendantFonts", "/CharProcs")
    ):
        return getattr(font, "objgen", None)
    encoding = font.get("/Encoding")
    written = encoding.unparse(resolved=True) if isinstance(encoding, (Name, Dictionary)) else None
    return str(font.get("/BaseFont")), str(font.get("/Subtype")), written
