"""Layers (optional content): hidden layers stay hidden when pages are copied to another document."""

from __future__ import annotations

from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name

from offloop_workers.pdf.editing.document import copied

_MAX_LAYERS = 5_000
_COPIED = ("/AS", "/RBGroups", "/Locked")


class Layers:
    """Layers of a document that is assembled from others."""

    def __init__(self, pdf: pikepdf.Pdf) -> None:
        self._pdf = pdf
        self._all: list[Any] = []
        self._off: list[Any] = []
        self._order: list[Any] = []
        self._rest: dict[str, list[Any]] = {key: [] for key in _COPIED}

    def add(self, source: pikepdf.Pdf) -> None:
        """Copy the layers of a source whose pages were copied, with their order, groups and automatic states."""
        properties = source.Root.get("/OCProperties")
        if not isinstance(properties, Dictionary):
            return
        default = properties.get("/D")
        default = default if isinstance(default, Dictionary) else Dictionary()
        base_off = default.get("/BaseState") == Name.OFF
        on, off = _groups(default.get("/ON")), _groups(default.get("/OFF"))
        for number, group in _groups(properties.get("/OCGs")).items():
            copy = self._pdf.copy_foreign(group)
            self._all.append(copy)
            if number in off or (base_off and number not in on):
                self._off.append(copy)
        for key, found in self._rest.items():
            if isinstance(value := default.get(key), Array):
                found += list(copied(self._pdf, source, value))
        listed = default.get("/Order")
        self._order += list(copied(self._pdf, source, listed)) if isinstance(listed, Array) else []

    def write(self) -> None:
        """Write the layers to the new document."""
        if self._all:
            default = Dictionary(Order=Array(self._order), OFF=Array(self._off))
            for key, found in self._rest.items():
                if found:
                    default[key] = Array(found)
            self._pdf.Root.OCProperties = self._pdf.make_indirect(Dictionary(OCGs=Array(self._all), D=default))


def _groups(array: object) -> dict[tuple[int, int], Any]:
    if not isinstance(array, Array):
        return {}
    found = [array[index] for index in range(min(len(array), _MAX_LAYERS))]
    return {one.objgen: one for one in found if isinstance(one, Dictionary) and one.is_indirect}
