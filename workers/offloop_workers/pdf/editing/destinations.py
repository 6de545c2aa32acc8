"""Named destinations and bookmarks of copied pages: they lead to the copies, and clashing names are renamed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name, String

from offloop_workers.pdf.reading import trees

_MAX_ANNOTATIONS = 10_000


class Destinations:
    """Destinations of a document that is assembled from others.

    For each source in turn, call `rename_clashes` before its pages are copied, `add` and `items` after.
    """

    def __init__(self, pdf: pikepdf.Pdf) -> None:
        self._pdf = pdf
        self._strings: dict[bytes, Any] = {}
        self._names: dict[str, Any] = {}
        self._renamed: dict[bytes | str, bytes | str] = {}
        self._found: dict[bytes, Any] = {}
        self._copies: dict[tuple[int, int], pikepdf.Page] = {}

    def rename_clashes(self, source: pikepdf.Pdf, pages: Sequence[pikepdf.Page]) -> None:
        """Read the names of a source, rename those already used, and update the links on these pages."""
        self._found = trees.names(source, "/Dests")
        old = source.Root.get("/Dests")
        keys: list[bytes | str] = [*self._found, *(old.keys() if isinstance(old, Dictionary) else ())]
        self._renamed = {}
        taken = {*self._strings, *self._names, *keys}
        for key in keys:
            if key in self._strings or key in self._names:
                self._renamed[key] = _another(key, taken)
                taken.add(self._renamed[key])
        if self._renamed:
            for page in pages:
                for holder, slot in _links(page):
                    holder[slot] = self._current(holder[slot])

    def add(self, source: pikepdf.Pdf, old: Sequence[pikepdf.Page], new: Sequence[pikepdf.Page]) -> None:
        """Copy the names that lead to copied pages."""
        self._copies = {}
        for before, after in zip(old, new, strict=True):
            self._copies.setdefault(before.obj.objgen, after)
        for name in self._found:
            if array := self._to_copy(source, String(name)):
                self._strings[bytes(self._current(String(name)))] = array
        legacy = source.Root.get("/Dests")
        for key in legacy.keys() if isinstance(legacy, Dictionary) else ():
            if array := self._to_copy(source, Name(key)):
                self._names[str(self._current(Name(key)))] = array
        self._source = source

    def items(self, found: Sequence[trees.Item]) -> list[pikepdf.OutlineItem]:
        """The bookmarks that lead to copied pages or to the web, and the parents of such bookmarks."""
        kept = []
        for item in found:
            children = self.items(item.children)
            target = self._to_copy(self._source, item.target)
            if target is None and item.uri is None and not children:
                continue
            action = Dictionary(S=Name.URI, URI=String(item.uri)) if item.uri else None
            own = pikepdf.OutlineItem(item.title, target, action=None if target is not None else action)
            own.is_closed = item.closed
            own.children.extend(children)
            kept.append(own)
        return kept

    def write(self) -> None:
        """Write the names to the new document."""
        if self._strings:
            if "/Names" not in self._pdf.Root:
                self._pdf.Root.Names = self._pdf.make_indirect(Dictionary())
            self._pdf.Root.Names.Dests = trees.name_tree(self._pdf, self._strings)
        if self._names:
            self._pdf.Root.Dests = self._pdf.make_indirect(Dictionary(self._names))

    def _current(self, name: Any) -> Any:
        if isinstance(name, String):
            changed = self._renamed.get(bytes(name))
            return name if changed is None else String(changed)
        changed = self._renamed.get(str(name))
        return name if changed is None else Name(str(changed))

    def _to_copy(self, source: pikepdf.Pdf, target: Any) -> Array | None:
        explicit = trees.destination(source, target, self._found)
        page = self._copies.get(explicit[0].objgen) if explicit is not None else None
        if page is None or explicit is None:
            return None
        view = [value for value in list(explicit)[1:6] if not isinstance(value, (Array, Dictionary))]
        return Array([page.obj, *view])


def _another(key: bytes | str, taken: set[bytes | str]) -> bytes | str:
    number = 2
    while True:
        found = key + f".{number}".encode() if isinstance(key, bytes) else f"{key}.{number}"
        if found not in taken:
            return found
        number += 1


def _links(page: pikepdf.Page) -> Iterator[tuple[Any, str]]:
    """The dictionaries and keys where links of a page refer to a named destination."""
    annotations = page.obj.get("/Annots")
    if not isinstance(annotations, Array):
        return
    for index in range(min(len(annotations), _MAX_ANNOTATIONS)):
        annotation = annotations[index]
        if not isinstance(annotation, Dictionary):
            continue
        if isinstance(annotation.get("/Dest"), (String, Name)):
            yield annotation, "/Dest"
        action = annotation.get("/A")
        is_go_to = isinstance(action, Dictionary) and action.get("/S") == Name.GoTo
        if action is not None and is_go_to and isinstance(action.get("/D"), (String, Name)):
            yield action, "/D"
