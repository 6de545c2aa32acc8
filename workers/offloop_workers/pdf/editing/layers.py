"""Layers (optional content): hidden layers stay hidden when pages are copied to another document."""

from __future__ import annotations

from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name, String

from offloop_workers.pdf.editing.document import copied
from offloop_workers.pdf.reading import trees

Number = tuple[int, int]
_MAX_LAYERS = 5_000
_MAX_DEPTH = 30
_COPIED = ("/AS", "/RBGroups", "/Locked")


class Layers:
    """Layers of a document that is assembled from others."""

    def __init__(self, pdf: pikepdf.Pdf) -> None:
        self._pdf = pdf
        self._all: list[Any] = []
        self._off: list[Any] = []
        self._order: list[Any] = []
        self._rest: dict[str, list[Any]] = {key: [] for key in _COPIED}

    def add(self, source: pikepdf.Pdf, *, whole: bool) -> None:
        """Copy the layers of a source, with their order, groups and automatic states.

        Call it when everything else of the source is copied, since layers that nothing copied refers to are left out.

        Args:
            source: the document that pages were copied from.
            whole: all its pages were copied, so that unused layers are kept too.
        """
        properties = source.Root.get("/OCProperties")
        if not isinstance(properties, Dictionary):
            return
        default = properties.get("/D")
        default = default if isinstance(default, Dictionary) else Dictionary()
        base_off = default.get("/BaseState") == Name.OFF
        on, off = _groups(default.get("/ON")), _groups(default.get("/OFF"))
        last = self._pdf.make_indirect(Dictionary()).objgen  # a copy with a later number is one that is made here
        kept: set[Number] = set()
        for number, group in _groups(properties.get("/OCGs")).items():
            copy = self._pdf.copy_foreign(group)
            if copy.objgen > last and not whole:
                continue
            kept.add(copy.objgen)
            self._all.append(copy)
            if number in off or (base_off and number not in on):
                self._off.append(copy)
        for key, found in [*self._rest.items(), ("/Order", self._order)]:
            if isinstance(value := default.get(key), Array):
                found.extend(_pruned(copied(self._pdf, source, value), kept, set()))

    def write(self) -> None:
        """Write the layers to the new document."""
        if self._all:
            default = Dictionary(Order=Array(self._order), OFF=Array(self._off))
            for key, found in self._rest.items():
                if found:
                    default[key] = Array(found)
            self._pdf.Root.OCProperties = self._pdf.make_indirect(Dictionary(OCGs=Array(self._all), D=default))


def _pruned(listed: Array, kept: set[Number], seen: set[Number], depth: int = 0) -> list[Any]:
    """A nested list without the layers that are not kept; of one with layers below it, the name stays as a heading."""
    left: list[Any] = []
    heading: list[Any] = []
    for one in list(listed):
        if isinstance(one, Array):
            if depth < _MAX_DEPTH and one.objgen not in seen:
                seen |= {one.objgen} if one.is_indirect else set()
                inner = _pruned(one, kept, seen, depth + 1)
                left += [Array(heading + inner)] if any(not isinstance(item, String) for item in inner) else []
            heading = []
        elif isinstance(one, Dictionary) and isinstance(groups := one.get("/OCGs"), Array):  # an automatic state
            one.OCGs = Array(_pruned(groups, kept, seen, depth + 1))
            left += [one] if len(one.OCGs) else []
        elif isinstance(one, Dictionary) and one.objgen not in kept:
            heading = [String(trees.text(one.get("/Name")) or "")]
        else:
            left.append(one)
            heading = []
    return left


def _groups(array: object) -> dict[Number, Any]:
    if not isinstance(array, Array):
        return {}
    found = [array[index] for index in range(min(len(array), _MAX_LAYERS))]
    return {one.objgen: one for one in found if isinstance(one, Dictionary) and one.is_indirect}
