"""Description of a PDF (describe_pdf): pages, metadata, security, outline, fonts, fields, attachments."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import pikepdf
from pikepdf import Array, Dictionary, Name, Stream, String

from offloop.jobs.documents import (
    Bookmark,
    Description,
    EmbeddedFile,
    FormField,
    PaperSize,
    Security,
    ToDescribe,
    describe_pdf,
)
from offloop.kinds.context import Context
from offloop.kinds.kind import performs
from offloop_workers.pdf.editing import labels
from offloop_workers.pdf.editing.document import denied
from offloop_workers.pdf.editing.edit import fields, signatures
from offloop_workers.pdf.editing.safety import active
from offloop_workers.pdf.reading import claims, encryption, losses, metadata, opening, resources, trees
from offloop_workers.pdf.reading.visible import view

_MAX_BOOKMARKS = 200
_MAX_LISTED = 100
_MAX_SIZES = 50
_MM_PER_POINT = 25.4 / 72
T = TypeVar("T")
_TYPES = {"/Tx": "text", "/Btn": "button", "/Ch": "choice", "/Sig": "signature"}


@performs(describe_pdf)
def describe(request: ToDescribe, context: Context) -> Description:
    """Describe a PDF without changing it.

    Raises:
        JobError: the PDF cannot be opened.
    """
    data = opening.content(request.file, context)
    with opening.inspected(data, request.password, context) as found:
        pdf = found.pdf
        found.check_count(context, refuse=False)
        found.check_pages(range(found.found), context, refuse=False)
        found.check_files(context)
        fonts, images = resources.used(pdf)
        _warn(pdf, context)
        return Description(
            version=pdf.pdf_version,
            pages=len(pdf.pages),
            sizes=_first(_sizes(found.pages), _MAX_SIZES, "page sizes", context),
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            linearised=pdf.is_linearized,
            **metadata.of(pdf, context),
            language=trees.text(pdf.Root.get("/Lang")),
            tagged=_tagged(pdf),
            labels=_first(_labels(pdf, found.found), _MAX_LISTED, "runs of page labels", context),
            claims=claims.of(pdf),
            security=_security(pdf, context),
            outline=_first(_outline(pdf, found.pages), _MAX_BOOKMARKS, "bookmarks", context),
            fonts=_first(fonts, _MAX_LISTED, "fonts", context),
            images=images,
            fields=_first(_fields(pdf, context), _MAX_LISTED, "form fields", context),
            attachments=_first(_attachments(found), _MAX_LISTED, "files inside", context),
        )


def _first(items: list[T], most: int, what: str, context: Context) -> list[T]:
    """The first items of a list; those left out are warned of."""
    if len(items) > most:
        context.warn(f"There are more than {most:,} {what}; the first {most:,} are listed.")
    return items[:most]


def _warn(pdf: pikepdf.Pdf, context: Context) -> None:
    if hidden := resources.hidden_layers(pdf):
        context.warn(f"Layers that are switched off: {hidden}.")
    if resources.has_xfa(pdf):
        context.warn("The form has data in XFA, which is not read; viewers without XFA show something else.")


def _sizes(pages: Sequence[pikepdf.Page]) -> list[PaperSize]:
    counted: Counter[tuple[float, float]] = Counter()
    for page in pages:
        visible = view(page)
        counted[round(visible.width * _MM_PER_POINT, 1), round(visible.height * _MM_PER_POINT, 1)] += 1
    return [PaperSize(width_mm=size[0], height_mm=size[1], pages=count) for size, count in counted.most_common()]


def _labels(pdf: pikepdf.Pdf, pages: int) -> list[str]:
    """The runs of page labels, unless they are the numbers of the pages."""
    known = labels.labels(pdf, pages)
    if not known or all(label == labels.Label("/D", "", number) for number, label in enumerate(known, 1)):
        return []
    runs: list[list[int]] = []
    for index, label in enumerate(known):
        before = known[index - 1] if index else None
        if before and (label.style, label.prefix, label.number) == (before.style, before.prefix, before.number + 1):
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return [
        f"{first + 1}-{last + 1}: {labels.text(known[first])}-{labels.text(known[last])}"
        if last > first
        else f"{first + 1}: {labels.text(known[first])}"
        for first, last in runs
    ]


def _tagged(pdf: pikepdf.Pdf) -> bool:
    marks: Any = pdf.Root.get("/MarkInfo")
    return "/StructTreeRoot" in pdf.Root and isinstance(marks, Dictionary) and bool(marks.get("/Marked"))


def _security(pdf: pikepdf.Pdf, context: Context) -> Security:
    found = active(pdf)
    return Security(
        encrypted=pdf.is_encrypted,
        method=encryption.method(pdf),
        denied=denied(pdf),
        javascript="/JavaScript" in found,
        actions=_first(
            sorted(name[1:41] for name in found - {"/JavaScript", "/GoTo"}), _MAX_LISTED, "types of actions", context
        ),
        signatures=signatures(pdf),
    )


def _outline(pdf: pikepdf.Pdf, pages: Sequence[pikepdf.Page]) -> list[Bookmark]:
    named = trees.names(pdf, "/Dests")
    numbers = {page.obj.objgen: number for number, page in enumerate(pages, 1)}

    def flat(items: list[trees.Item], level: int) -> Iterator[Bookmark]:
        for item in items:
            explicit = trees.destination(pdf, item.target, named)
            target = trees.target_page(explicit, pages) if explicit is not None else None
            page = numbers.get(target.objgen) if target is not None else None
            yield Bookmark(title=item.title, level=level, page=page)
            yield from flat(item.children, level + 1)

    return list(flat(trees.outline(pdf, _MAX_BOOKMARKS + 1), 1))


def _fields(pdf: pikepdf.Pdf, context: Context) -> list[FormField]:
    """The named fields of a known type, which may be inherited from a parent."""
    found: list[FormField] = []
    for field in fields(pdf):
        names: list[str | None] = []
        kind: Any = None
        node: Any = field
        depth = 0
        while isinstance(node, Dictionary) and depth < _MAX_LISTED:
            names.append(trees.text(node.get("/T")))
            kind = kind or node.get("/FT")
            node, depth = node.get("/Parent"), depth + 1
        if "/T" not in field or str(kind) not in _TYPES or len(found) > _MAX_LISTED:
            continue
        name = ".".join(part for part in reversed(names) if part)[:500]
        value: Any = field.get("/V")
        shown = _value(value)
        if _is_cut(value, shown):
            context.warn(f"The value of the field {name[:80]!r} is cut to {trees.MAX_TEXT} characters.")
        found.append(FormField(name=name, type=_TYPES[str(kind)], value=shown and shown[: trees.MAX_TEXT]))
    return found


def _value(value: Any) -> str | None:
    if isinstance(value, Name):
        return trees.name(value)
    if isinstance(value, Array):
        return ", ".join(filter(None, map(trees.text, _chosen(value))))
    return trees.text(value)


def _chosen(value: Array) -> Iterator[Any]:
    """The choices of a field, as many as its text can hold."""
    return (value[index] for index in range(min(len(value), trees.MAX_TEXT)))


def _is_cut(value: Any, shown: str | None) -> bool:
    if isinstance(value, Array):
        whole = len(value) <= trees.MAX_TEXT and len(shown or "") <= trees.MAX_TEXT
        return not whole or any(_is_cut(one, None) for one in _chosen(value))
    return isinstance(value, String) and len(str(value)) > trees.MAX_TEXT


def _attachments(found: losses.Losses) -> list[EmbeddedFile]:
    """The files of the document and those attached to its pages."""
    named = [(String(name), one) for name, one in trees.names(found.pdf, "/EmbeddedFiles").items()]
    listed: list[EmbeddedFile] = []
    for name, specification in [*named, *_attached_to_pages(found.pages)]:
        if not isinstance(specification, Dictionary) or len(listed) > _MAX_LISTED:
            continue
        files = specification.get("/EF")
        stream = (files.get("/UF") or files.get("/F")) if isinstance(files, Dictionary) else None
        parameters = stream.get("/Params") if isinstance(stream, Stream) else None
        size: Any = parameters.get("/Size") if isinstance(parameters, Dictionary) else None
        relation = specification.get("/AFRelationship")
        shown = trees.text(specification.get("/UF") or specification.get("/F") or name) or ""
        listed.append(
            EmbeddedFile(
                name=shown,
                size=size if isinstance(size, int) and 0 <= size < 2**53 else None,
                relationship=trees.name(relation)[:100] if isinstance(relation, Name) else None,
            )
        )
    return listed


def _attached_to_pages(pages: Sequence[pikepdf.Page]) -> Iterator[tuple[String, Any]]:
    for page in pages:
        for note in trees.page_annotations(page):
            if note.get("/Subtype") == Name.FileAttachment:
                yield String(""), note.get("/FS")
