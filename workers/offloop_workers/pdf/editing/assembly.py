"""Assembly of new documents from pages of others, for merge, select and split.

Pages are always copied to a new document and never deleted from an old one, so that no removed content stays in the
file. Structures of the document (outline, destinations, labels, layers, attachments) are rebuilt for the copied pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name, Object, String

from offloop.kinds.context import Context
from offloop_workers.pdf.editing.destinations import Destinations
from offloop_workers.pdf.editing.document import Document
from offloop_workers.pdf.editing.labels import Label, labels, write_labels
from offloop_workers.pdf.editing.layers import Layers
from offloop_workers.pdf.reading import claims, trees

_KEPT_FROM_FIRST = ("/ViewerPreferences", "/PageLayout", "/PageMode")


@dataclass(frozen=True, slots=True)
class Part:
    """Pages of a document, by index from 0."""

    document: Document
    pages: Sequence[int]


@dataclass(slots=True)
class _Assembly:
    """The new document under construction."""

    pdf: pikepdf.Pdf
    context: Context
    outline: list[pikepdf.OutlineItem] = field(default_factory=list)
    labels: list[Label | None] = field(default_factory=list)
    attachments: dict[bytes, Object] = field(default_factory=dict)


def assemble(parts: Sequence[Part], context: Context, *, bookmarks: bool = False, attachments: bool = True) -> Document:
    """One document of all the parts.

    Args:
        parts: pages of documents; each document at most once.
        context: takes warnings about losses.
        bookmarks: give each part a bookmark, with its own outline below.
        attachments: copy the files embedded in the documents.
    """
    assembly = _Assembly(pikepdf.new(), context)
    destinations, layers = Destinations(assembly.pdf), Layers(assembly.pdf)
    for part in parts:
        _add(part, assembly, destinations, layers, bookmarks=bookmarks)
        if attachments:
            _add_attachments(part.document.pdf, assembly)
    destinations.write()
    layers.write()
    write_labels(assembly.pdf, assembly.labels)
    if assembly.outline:
        with assembly.pdf.open_outline(max_depth=64) as outline:
            outline.root.extend(assembly.outline)
    _write_attachments(assembly)
    _copy_document_entries(parts, assembly)
    result = Document(assembly.pdf, parts[0].document.title)
    _inherit(result, [part.document for part in parts])
    return result


def _add(part: Part, assembly: _Assembly, destinations: Destinations, layers: Layers, *, bookmarks: bool) -> None:
    source = part.document.pdf
    old = [part.document.pages[index] for index in part.pages]
    destinations.rename_clashes(source, old)
    for page in old:
        assembly.pdf.pages.append(page)
    new = [assembly.pdf.pages[index] for index in range(len(assembly.labels), len(assembly.labels) + len(old))]
    if source.acroform.exists:
        target, origin = assembly.pdf.acroform, source.acroform
        for copy, page in zip(new, old, strict=True):
            target.fix_copied_annotations(copy, page, origin)
    destinations.add(source, old, new)
    layers.add(source)
    known = labels(source, len(part.document.pages))
    assembly.labels += [known[index] if known else None for index in part.pages]
    items = destinations.items(trees.outline(source))
    if bookmarks:
        own = pikepdf.OutlineItem(part.document.title, Array([new[0].obj, Name.Fit]))
        own.children.extend(items)
        items = [own]
    assembly.outline += items


def _add_attachments(source: pikepdf.Pdf, assembly: _Assembly) -> None:
    for name, specification in trees.names(source, "/EmbeddedFiles").items():
        if isinstance(specification, Dictionary):
            if not specification.is_indirect:
                specification = source.make_indirect(specification)  # noqa: PLW2901 -- only indirect objects can be copied
            assembly.attachments[unused(name, assembly.attachments)] = assembly.pdf.copy_foreign(specification)


def unused(name: bytes, taken: Any) -> bytes:
    """The name, with a number appended where it is taken."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = name + b"." + str(number).encode()
    return found


def _write_attachments(assembly: _Assembly) -> None:
    if not assembly.attachments:
        return
    root = assembly.pdf.Root
    if "/Names" not in root:
        root.Names = assembly.pdf.make_indirect(Dictionary())
    root.Names.EmbeddedFiles = trees.name_tree(assembly.pdf, assembly.attachments)
    if associated := [one for one in assembly.attachments.values() if "/AFRelationship" in one]:
        root.AF = Array(associated)


def _copy_document_entries(parts: Sequence[Part], assembly: _Assembly) -> None:
    """Copy metadata and viewer settings of the first document, and the language if all agree; warn of lost claims."""
    first, result, warn = parts[0].document.pdf, assembly.pdf, assembly.context.warn
    for key, value in first.docinfo.items():
        if isinstance(value, String):
            result.docinfo[key] = value
    for key in _KEPT_FROM_FIRST:
        entry: Any = first.Root.get(key)
        if isinstance(entry, Name):
            result.Root[key] = entry
        elif isinstance(entry, Dictionary):
            result.Root[key] = Dictionary({one: item for one, item in entry.items() if isinstance(item, (bool, Name))})
    languages = {trees.text(part.document.pdf.Root.get("/Lang")) for part in parts}
    if len(languages) == 1 and (language := languages.pop()):
        result.Root.Lang = String(language)
    if any("/StructTreeRoot" in part.document.pdf.Root for part in parts):
        warn(
            "The tags for readers with disabilities (PDF/UA) were lost: they describe whole documents, and these pages "
            "are now part of another."
        )
    if any(claims.of(part.document.pdf) for part in parts):
        warn("The result no longer claims PDF/A or PDF/UA: it was put together anew and not validated.")


def _inherit(result: Document, documents: list[Document]) -> None:
    result.locked = any(document.locked for document in documents)
    result.encryption = next((document.encryption for document in documents if document.encryption), None)
    result.compact = any(document.compact for document in documents)
    result.linear = any(document.linear for document in documents)
