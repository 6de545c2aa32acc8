"""Editing pipeline (edit_pdf): documents pass through a list of steps and become artifacts."""

from __future__ import annotations

import io
from contextlib import ExitStack
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name

from offloop.errors import JobError
from offloop.jobs.documents import Edit, Edited, EditedPdf, Source, edit_pdf
from offloop.kinds.context import Context
from offloop.kinds.kind import performs
from offloop.kinds.references import Scheme, parse
from offloop.paths import safe_name
from offloop_workers.pdf.editing import forms
from offloop_workers.pdf.editing.document import Document, denied
from offloop_workers.pdf.editing.operations import STEPS, with_pages
from offloop_workers.pdf.reading import claims, metadata, opening, resources

_MAX_FIELDS = 10_000
_UNCHECKED = frozenset({"stamp", "attach", "sanitise", "flatten", "optimise"})
_DRAWING = frozenset({"stamp", "rotate"})
_WITHOUT_XFA = frozenset({"sanitise", "flatten", "merge", "select", "split"})


@performs(edit_pdf)
def edit(request: Edit, context: Context) -> Edited:
    """Open all sources, apply the steps, and write the resulting documents.

    Raises:
        LimitExceeded: too many pages, documents or bytes.
        JobError: a source cannot be opened or may not be changed, or a step does not apply to it.
    """
    steps = len(request.operations) + 2
    with ExitStack() as opened:
        size, documents = 0, []
        for number, source in enumerate(request.sources, 1):
            data = opening.content(source.file, context)
            size += len(data)
            name = _file_name(source, number) if len(request.sources) > 1 else "The PDF"
            read = opening.opened(data, source.password, context, pages=source.pages, name=name)
            pdf = opened.enter_context(read)
            documents.append(_document(pdf, source, number, context))
            _warn_of_xfa(documents[-1], {operation.op for operation in request.operations}, context)
        for number, operation in enumerate(request.operations, 1):
            context.progress(number, steps, operation.op)
            with opening.damage():
                documents = STEPS[type(operation)](operation, documents, context)
                _warn_of_claims(operation.op, documents, context)
        context.progress(steps - 1, steps, "writing")
        written = [_write(document, name, context) for document, name in _named(documents, request.name)]
    context.progress(steps, steps, "done")
    pages, written_size = sum(one.pages for one in written), sum(one.size for one in written)
    return Edited(documents=written, pages=pages, size=written_size, source_size=size)


def _document(pdf: pikepdf.Pdf, source: Source, number: int, context: Context) -> Document:
    title = source.title or metadata.title(pdf) or _file_name(source, number)
    if rights := denied(pdf):
        message = (
            f"The owner of {title!r} does not permit to {', '.join(rights)}: send the owner password instead of the "
            "user password."
        )
        if "modify" in rights:
            raise JobError(message, code="not_permitted")
        context.warn(
            f"The owner of {title!r} does not permit to {', '.join(rights)}, and the result no longer says so: make "
            "sure that you may do this, or deny it again with {'op': 'encrypt', 'allow': [...], ...}."
        )
    if count := signatures(pdf):
        context.warn(f"{title!r} is digitally signed ({count}): signatures do not hold for a changed file.")
    _drop_usage_rights(pdf, title, context)
    document = Document(pdf, title, locked=pdf.is_encrypted)
    return with_pages(document, source.pages, context) if source.pages else document


def _drop_usage_rights(pdf: pikepdf.Pdf, title: str, context: Context) -> None:
    rights: Any = pdf.Root.get("/Perms")
    if isinstance(rights, Dictionary) and ("/UR3" in rights or "/UR" in rights):
        del pdf.Root.Perms
        context.warn(f"{title!r}: rights that Adobe Reader gives to the unchanged file were removed.")


def _warn_of_claims(step: str, documents: list[Document], context: Context) -> None:
    for document in documents if step in _UNCHECKED else ():
        if found := claims.of(document.pdf):
            context.warn(
                f"{document.title!r} still claims {', '.join(found)}, but nothing checked {step} against it: validate "
                "the result, with veraPDF for example."
            )


def _warn_of_xfa(document: Document, steps: set[str], context: Context) -> None:
    if resources.has_xfa(document.pdf) and steps & _DRAWING and not steps & _WITHOUT_XFA:
        context.warn(
            f"{document.title!r} has an XFA form, which Adobe Reader may show instead of the changed pages: "
            "{'op': 'sanitise'} removes it."
        )


def signatures(pdf: pikepdf.Pdf) -> int:
    """The number of form fields with a digital signature."""
    return sum(1 for field in fields(pdf) if field.get("/FT") == Name.Sig and isinstance(field.get("/V"), Dictionary))


def fields(pdf: pikepdf.Pdf) -> list[pikepdf.Object]:
    """The nodes of the form's field tree, each once, so that cycles end."""
    form = pdf.Root.get("/AcroForm")
    top = form.get("/Fields") if isinstance(form, Dictionary) else None
    tops = [one for one in top if isinstance(one, Dictionary)] if isinstance(top, Array) else []
    return list(islice(forms.nodes(tops), _MAX_FIELDS))


def _file_name(source: Source, number: int) -> str:
    parsed = parse(source.file)
    return PurePosixPath(parsed.path).stem if parsed.scheme is Scheme.ROOT else f"Document {number}"


def _named(documents: list[Document], name: str) -> list[tuple[Document, str]]:
    stem = safe_name(name, "document.pdf")
    stem = stem[:-4] if stem.lower().endswith(".pdf") else stem
    if len(documents) == 1:
        return [(documents[0], f"{stem}.pdf")]
    digits = len(str(len(documents)))
    return [(document, f"{stem}-{number:0{digits}}.pdf") for number, document in enumerate(documents, 1)]


def _write(document: Document, name: str, context: Context) -> EditedPdf:
    with context.create(name, "application/pdf") as file:
        with opening.damage():
            document.save(file)
        size = file.seek(0, io.SEEK_END)
    return EditedPdf(name=name, pages=len(document.pages), size=size)
