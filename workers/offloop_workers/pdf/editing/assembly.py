"""New documents of pages of others: what merge, select and split have in common.

Pages are always copied to a new document and never deleted from an old one: what is not copied cannot stay in the file
unseen. What belongs to the document and not to its pages (outline, destinations, labels, layers, attachments) is then
built again for the pages that are there.
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
    """Some pages of a document, by their indices from 0."""

    document: Document
    pages: Sequence[int]


@dataclass(slots=True)
class _Assembly:
    """The new document while it grows."""

    pdf: pikepdf.Pdf
    context: Context
    outline: list[pikepdf.OutlineItem] = field(default_factory=list)
    labels: list[Label | None] = field(default_factory=list)
    attachments: dict[bytes, Object] = field(default_factory=dict)


def assemble(parts: Sequence[Part], context: Context, *, bookmarks: bool = False, attachments: bool = True) -> Document:
    """One document of all the parts.

    Args:
        parts: which pages of which documents; each document at most once.
        context: is warned of what cannot be kept.
        bookmarks: whether each part gets a bookmark, with its own outline below.
        attachments: whether the files inside the documents come along.
    """
    made = _Assembly(pikepdf.new(), context)
    destinations, layers = Destinations(made.pdf), Layers(made.pdf)
    for part in parts:
        _add(part, made, destinations, layers, bookmarks=bookmarks)
        if attachments:
            _add_attachments(part.document.pdf, made)
    destinations.write()
    layers.write()
    write_labels(made.pdf, made.labels)
    if made.outline:
        with made.pdf.open_outline(max_depth=64) as outline:
            outline.root.extend(made.outline)
    _write_attachments(made)
    _carry(parts, made)
    result = Document(made.pdf, parts[0].document.title)
    _inherit(result, [part.document for part in parts])
    return result


def _add(part: Part, made: _Assembly, destinations: Destinations, layers: Layers, *, bookmarks: bool) -> None:
    source = part.document.pdf
    old = [part.document.pages[index] for index in part.pages]
    destinations.rename_clashes(source, old)
    for page in old:
        made.pdf.pages.append(page)
    new = [made.pdf.pages[index] for index in range(len(made.labels), len(made.labels) + len(old))]
    if source.acroform.exists:
        target, origin = made.pdf.acroform, source.acroform
        for copy, page in zip(new, old, strict=True):
            target.fix_copied_annotations(copy, page, origin)
    destinations.add(source, old, new)
    layers.add(source)
    known = labels(source, len(part.document.pages))
    made.labels += [known[index] if known else None for index in part.pages]
    items = destinations.items(trees.outline(source))
    if bookmarks:
        own = pikepdf.OutlineItem(part.document.title, Array([new[0].obj, Name.Fit]))
        own.children.extend(items)
        items = [own]
    made.outline += items


def _add_attachments(source: pikepdf.Pdf, made: _Assembly) -> None:
    for name, specification in trees.names(source, "/EmbeddedFiles").items():
        if isinstance(specification, Dictionary):
            if not specification.is_indirect:
                specification = source.make_indirect(specification)  # noqa: PLW2901 -- only such objects are copied
            made.attachments[unused(name, made.attachments)] = made.pdf.copy_foreign(specification)


def unused(name: bytes, taken: Any) -> bytes:
    """The name, or the name and a number where it is taken."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = name + b"." + str(number).encode()
    return found


def _write_attachments(made: _Assembly) -> None:
    if not made.attachments:
        return
    if "/Names" not in made.pdf.Root:
        made.pdf.Root.Names = made.pdf.make_indirect(Dictionary())
    made.pdf.Root.Names.EmbeddedFiles = trees.name_tree(made.pdf, made.attachments)
    if associated := [one for one in made.attachments.values() if "/AFRelationship" in one]:
        made.pdf.Root.AF = Array(associated)


def _carry(parts: Sequence[Part], made: _Assembly) -> None:
    """What is said of the whole document: of the first one, where they differ."""
    first = parts[0].document.pdf
    for key, value in first.docinfo.items():
        if isinstance(value, String):
            made.pdf.docinfo[key] = value
    for key in _KEPT_FROM_FIRST:
        entry: Any = first.Root.get(key)
        if isinstance(entry, Name):
            made.pdf.Root[key] = entry
        elif isinstance(entry, Dictionary):
            made.pdf.Root[key] = Dictionary(
                {one: item for one, item in entry.items() if isinstance(item, (bool, Name))}
            )
    languages = {trees.text(part.document.pdf.Root.get("/Lang")) for part in parts}
    if len(languages) == 1 and (language := languages.pop()):
        made.pdf.Root.Lang = String(language)
    if any("/StructTreeRoot" in part.document.pdf.Root for part in parts):
        made.context.warn(
            "The tags for readers with disabilities (PDF/UA) were lost: they describe whole documents, and these pages "
            "are now part of another."
        )
    if any(claims.of(part.document.pdf) for part in parts):
        made.context.warn("The result no longer claims PDF/A or PDF/UA: it was put together anew and not validated.")


def _inherit(result: Document, documents: list[Document]) -> None:
    result.locked = any(document.locked for document in documents)
    result.encryption = next((document.encryption for document in documents if document.encryption), None)
    result.compact = any(document.compact for document in documents)
    result.linear = any(document.linear for document in documents)
