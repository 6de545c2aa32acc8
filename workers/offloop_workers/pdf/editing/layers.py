"""Layers (optional content): hidden layers stay hidden when pages are copied to another document."""

from __future__ import annotations

from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name

_MAX_LAYERS = 5_000


class Layers:
    """Layers of a document that is assembled from others."""

    def __init__(self, pdf: pikepdf.Pdf) -> None:
        self._pdf = pdf
        self._all: list[Any] = []
        self._off: list[Any] = []

    def add(self, source: pikepdf.Pdf) -> None:
        """Copy the layers of a source whose pages were copied."""
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

    def write(self) -> None:
        """Write the layers to the new document."""
        if self._all:
            default = Dictionary(Order=Array(self._all), OFF=Array(self._off))
            self._pdf.Root.OCProperties = self._pdf.make_indirect(Dictionary(OCGs=Array(self._all), D=default))


def _groups(array: object) -> dict[tuple[int, int], Any]:
    if not isinstance(array, Array):
        return {}
    found = [array[index] for index in range(min(len(array), _MAX_LAYERS))]
    return {one.objgen: one for one in found if isinstance(one, Dictionary) and one.is_indirect}
