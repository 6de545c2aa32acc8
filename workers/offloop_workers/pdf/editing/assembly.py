"""Assembly of new documents from pages of others, for merge, select and split.

Pages are always copied to a new document and never deleted from an old one, so that no removed content stays in the
file. Structures of the document (outline, destinations, form, labels, layers, attachments) are rebuilt for the copied
pages; what cannot be kept is added to the losses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name, Object

from offloop_workers.pdf.editing import catalogue
from offloop_workers.pdf.editing.destinations import Destinations
from offloop_workers.pdf.editing.document import Document, copied
from offloop_workers.pdf.editing.forms import Forms, Number
from offloop_workers.pdf.editing.labels import Label, labels, write_labels
from offloop_workers.pdf.editing.layers import Layers
from offloop_workers.pdf.editing.losses import Losses
from offloop_workers.pdf.reading import trees

_OF_OTHERS = ("/B", "/DPart", "/StructParents")
"""Entries of a page that refer to structures of its old document."""


@dataclass(frozen=True, slots=True)
class Part:
    """Pages of a document, by index from 0."""

    document: Document
    pages: Sequence[int]


@dataclass(slots=True)
class _Assembly:
    """The new document under construction."""

    pdf: pikepdf.Pdf
    losses: Losses
    outline: list[pikepdf.OutlineItem] = field(default_factory=list)
    labels: list[Label | None] = field(default_factory=list)
    attachments: dict[bytes, Object] = field(default_factory=dict)
    scripts: dict[bytes, Object] = field(default_factory=dict)
    destinations: Destinations = field(init=False)
    forms: Forms = field(init=False)
    layers: Layers = field(init=False)

    def __post_init__(self) -> None:
        """Begin the structures of the new document."""
        self.destinations, self.forms, self.layers = Destinations(self.pdf), Forms(self.pdf), Layers(self.pdf)


def assemble(parts: Sequence[Part], losses: Losses, *, bookmarks: bool = False, attachments: bool = True) -> Document:
    """One document of all the parts.

    Args:
        parts: pages of documents; each document at most once.
        losses: takes what the result does not keep; the caller reports it.
        bookmarks: give each part a bookmark, with its own outline below.
        attachments: copy the files embedded in the documents.
    """
    assembly = _Assembly(pikepdf.new(), losses)
    for part in parts:
        _add(part, assembly, bookmarks=bookmarks, first=part is parts[0])
        if attachments:
            _add_named(part.document.pdf, "/EmbeddedFiles", assembly.attachments, assembly.pdf)
        _add_named(part.document.pdf, "/JavaScript", assembly.scripts, assembly.pdf)
    assembly.destinations.write()
    assembly.forms.write()
    assembly.layers.write()
    write_labels(assembly.pdf, assembly.labels)
    if assembly.outline:
        with assembly.pdf.open_outline(max_depth=64) as outline:
            outline.root.extend(assembly.outline)
    _write_named(assembly)
    catalogue.copy_entries([part.document for part in parts], assembly.pdf, losses)
    result = Document(assembly.pdf, parts[0].document.title)
    _inherit(result, [part.document for part in parts])
    return result


def _add(part: Part, assembly: _Assembly, *, bookmarks: bool, first: bool) -> None:
    source, loss = part.document.pdf, assembly.losses.of(part.document)
    old = [part.document.pages[index] for index in part.pages]
    for page in old:
        assembly.pdf.pages.append(page)
    new = list(islice(iter(assembly.pdf.pages), len(assembly.labels), None))  # each access by index takes linear time
    for page in new:
        for key in _OF_OTHERS:
            if key in page.obj:
                del page.obj[key]
    clones = _clone_repeated(assembly.pdf, old, new)
    whole = len(set(part.pages)) == len(part.document.pages)
    loss.renamed |= assembly.forms.add(source, old, new, clones, whole=whole)
    assembly.destinations.add(source, part.document.pages, old, new)
    for index, page in zip(part.pages, new, strict=True):
        if removed := assembly.destinations.mend(page):
            loss.links[index + 1] += removed
    known = labels(source, len(part.document.pages))
    assembly.labels += [known[index] if known else None for index in part.pages]
    lost: set[Number] = set()
    items = assembly.destinations.items(trees.outline(source), lost)
    loss.bookmarks.append(lost)
    assembly.layers.add(source, whole=whole)
    if bookmarks:
        own = pikepdf.OutlineItem(part.document.title, Array([new[0].obj, Name.Fit]))
        own.children.extend(items)
        items = [own]
    assembly.outline += items
    if first:
        _copy_opening(source, assembly)


def _clone_repeated(
    pdf: pikepdf.Pdf, old: Sequence[pikepdf.Page], new: Sequence[pikepdf.Page]
) -> dict[Number, list[Any]]:
    """Give pages that were copied again annotations of their own; returns the clones by the first one's number."""
    clones: dict[Number, list[Any]] = {}
    seen: set[Number] = set()
    for before, page in zip(old, new, strict=True):
        if before.obj.objgen in seen:
            pairs = [(note, pdf.make_indirect(Dictionary(note))) for note in trees.page_annotations(page)]
            own = {note.objgen: clone for note, clone in pairs if note.is_indirect}
            for note, clone in pairs:
                clone.P = page.obj
                for key in ("/Popup", "/IRT", "/Parent"):
                    if isinstance(clone.get(key), Dictionary) and clone[key].objgen in own:
                        clone[key] = own[clone[key].objgen]
                clones.setdefault(note.objgen, []).append(clone)
            if pairs:
                page.obj.Annots = Array([clone for _, clone in pairs])
        seen.add(before.obj.objgen)
    return clones


def _copy_opening(source: pikepdf.Pdf, assembly: _Assembly) -> None:
    """Keep the view at opening where its page was copied."""
    opening: Any = source.Root.get("/OpenAction")
    if isinstance(opening, Dictionary) and opening.get("/S") == Name.GoTo and "/Next" not in opening:
        opening = opening.get("/D")
    if opening is not None and (target := assembly.destinations.to_copy(opening)) is not None:
        assembly.pdf.Root.OpenAction = target


def _add_named(source: pikepdf.Pdf, kind: str, found: dict[bytes, Object], pdf: pikepdf.Pdf) -> None:
    for name, value in trees.names(source, kind).items():
        if isinstance(value, Dictionary):
            found[unused(name, found)] = copied(pdf, source, value)


def unused(name: bytes, taken: Any) -> bytes:
    """The name, with a number appended where it is taken."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = name + b"." + str(number).encode()
    return found


def _write_named(assembly: _Assembly) -> None:
    root = assembly.pdf.Root
    for kind, entries in (("/EmbeddedFiles", assembly.attachments), ("/JavaScript", assembly.scripts)):
        if entries:
            if "/Names" not in root:
                root.Names = assembly.pdf.make_indirect(Dictionary())
            root.Names[kind] = trees.name_tree(assembly.pdf, entries)
    if associated := [one for one in assembly.attachments.values() if "/AFRelationship" in one]:
        root.AF = Array(associated)


def _inherit(result: Document, documents: list[Document]) -> None:
    result.locked = any(document.locked for document in documents)
    result.encryption = next((document.encryption for document in documents if document.encryption), None)
    result.compact = any(document.compact for document in documents)
    result.linear = any(document.linear for document in documents)
    result.version = max(document.version for document in documents)
