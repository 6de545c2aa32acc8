"""Description of a PDF (describe_pdf): pages, metadata, security, outline, fonts, fields, attachments."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name, Stream, String
from pikepdf.models.metadata import decode_pdf_date

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
from offloop_workers.pdf.editing.document import denied
from offloop_workers.pdf.editing.edit import fields, signatures
from offloop_workers.pdf.editing.safety import active
from offloop_workers.pdf.reading import claims, opening, resources, trees
from offloop_workers.pdf.reading.visible import view

_MAX_BOOKMARKS = 200
_MAX_LISTED = 100
_MAX_SIZES = 50
_MM_PER_POINT = 25.4 / 72
_TYPES = {"/Tx": "text", "/Btn": "button", "/Ch": "choice", "/Sig": "signature"}


@performs(describe_pdf)
def describe(request: ToDescribe, context: Context) -> Description:
    """Describe a PDF without changing it.

    Raises:
        JobError: the PDF cannot be opened.
    """
    data = opening.content(request.file, context)
    with opening.opened(data, request.password, context) as pdf:
        fonts, images = resources.used(pdf)
        return Description(
            version=pdf.pdf_version,
            pages=len(pdf.pages),
            sizes=_sizes(pdf),
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            linearised=pdf.is_linearized,
            **_metadata(pdf),
            language=trees.text(pdf.Root.get("/Lang")),
            tagged=_tagged(pdf),
            claims=claims.of(pdf),
            security=_security(pdf),
            outline=_outline(pdf),
            fonts=fonts,
            images=images,
            fields=_fields(pdf),
            attachments=_attachments(pdf),
        )


def _sizes(pdf: pikepdf.Pdf) -> list[PaperSize]:
    counted: Counter[tuple[float, float]] = Counter()
    for page in pdf.pages:
        visible = view(page)
        counted[round(visible.width * _MM_PER_POINT, 1), round(visible.height * _MM_PER_POINT, 1)] += 1
    return [
        PaperSize(width_mm=size[0], height_mm=size[1], pages=pages) for size, pages in counted.most_common(_MAX_SIZES)
    ]


def _metadata(pdf: pikepdf.Pdf) -> dict[str, str | None]:
    info = pdf.trailer.get("/Info")
    info = info if isinstance(info, Dictionary) else Dictionary()
    plain = {
        field: trees.text(info.get(f"/{field.capitalize()}"))
        for field in ("title", "author", "subject", "keywords", "creator", "producer")
    }
    return {**plain, "created": _date(info.get("/CreationDate")), "modified": _date(info.get("/ModDate"))}


def _date(value: object) -> str | None:
    text = trees.text(value)
    with suppress(ValueError):
        return decode_pdf_date(text).isoformat() if text else None
    return text


def _tagged(pdf: pikepdf.Pdf) -> bool:
    marks: Any = pdf.Root.get("/MarkInfo")
    return "/StructTreeRoot" in pdf.Root and isinstance(marks, Dictionary) and bool(marks.get("/Marked"))


def _security(pdf: pikepdf.Pdf) -> Security:
    found = active(pdf)
    return Security(
        encrypted=pdf.is_encrypted,
        method=f"{pdf.encryption.stream_method.name}, {pdf.encryption.bits} bits" if pdf.is_encrypted else None,
        denied=denied(pdf),
        javascript="/JavaScript" in found,
        actions=sorted(name[1:41] for name in found - {"/JavaScript", "/GoTo"})[:_MAX_LISTED],
        signatures=signatures(pdf),
    )


def _outline(pdf: pikepdf.Pdf) -> list[Bookmark]:
    named = trees.names(pdf, "/Dests")
    numbers = {page.obj.objgen: number for number, page in enumerate(pdf.pages, 1)}

    def flat(items: list[trees.Item], level: int) -> Iterator[Bookmark]:
        for item in items:
            explicit = trees.destination(pdf, item.target, named)
            page = numbers.get(explicit[0].objgen) if explicit is not None else None
            yield Bookmark(title=item.title, level=level, page=page)
            yield from flat(item.children, level + 1)

    return list(flat(trees.outline(pdf, _MAX_BOOKMARKS), 1))


def _fields(pdf: pikepdf.Pdf) -> list[FormField]:
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
        if "/T" not in field or str(kind) not in _TYPES or len(found) == _MAX_LISTED:
            continue
        name = ".".join(part for part in reversed(names) if part)[:500]
        found.append(FormField(name=name, type=_TYPES[str(kind)], value=_value(field.get("/V"))))
    return found


def _value(value: Any) -> str | None:
    if isinstance(value, Name):
        return str(value)[1:501]
    if isinstance(value, Array):
        return ", ".join(filter(None, (trees.text(one) for one in list(value)[:20])))[:500]
    return trees.text(value)


def _attachments(pdf: pikepdf.Pdf) -> list[EmbeddedFile]:
    found = []
    for name, specification in list(trees.names(pdf, "/EmbeddedFiles").items())[:_MAX_LISTED]:
        if not isinstance(specification, Dictionary):
            continue
        files = specification.get("/EF")
        stream = (files.get("/UF") or files.get("/F")) if isinstance(files, Dictionary) else None
        parameters = stream.get("/Params") if isinstance(stream, Stream) else None
        size: Any = parameters.get("/Size") if isinstance(parameters, Dictionary) else None
        relation = specification.get("/AFRelationship")
        file_name = specification.get("/UF") or specification.get("/F") or String(name)
        found.append(
            EmbeddedFile(
                name=trees.text(file_name) or "",
                size=size if isinstance(size, int) and 0 <= size < 2**53 else None,
                relationship=str(relation)[1:101] if isinstance(relation, Name) else None,
            )
        )
    return found
