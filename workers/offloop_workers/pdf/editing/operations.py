"""The steps of edit_pdf: each a small function from documents to documents, found by its model."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, get_args

import pikepdf
from pikepdf import AttachedFileSpec, Dictionary, Name, String

from offloop.errors import LimitExceeded
from offloop.jobs import edits
from offloop.jobs.documents import MAX_DOCUMENTS, MAX_PAGES
from offloop.kinds.context import Context
from offloop.paths import safe_name
from offloop_workers.pdf.editing import flattening, safety, stamping
from offloop_workers.pdf.editing.assembly import Part, assemble, unused
from offloop_workers.pdf.editing.document import Document, permissions
from offloop_workers.pdf.reading import claims, ranges, trees

Documents = list[Document]
_MAX_ATTACHMENT = 64 << 20
_INVOICE = frozenset({"factur-x.xml", "zugferd-invoice.xml", "xrechnung.xml"})


def merge(step: edits.Merge, documents: Documents, context: Context) -> Documents:
    """Join all documents."""
    most = context.limits.pages or MAX_PAGES
    if (pages := sum(len(document.pages) for document in documents)) > most:
        message = f"merge: {pages:,} pages together, more than the {most:,} of one document: merge fewer files."
        raise LimitExceeded(message)
    if len(documents) == 1 and not step.bookmarks:
        return documents
    parts = [Part(document, range(len(document.pages))) for document in documents]
    return [assemble(parts, context, bookmarks=step.bookmarks)]


def select(step: edits.Select, documents: Documents, context: Context) -> Documents:
    """Keep some pages of each."""
    return [take(document, step.pages, context) for document in documents]


def take(document: Document, text: str, context: Context) -> Document:
    """A document of these pages; the same one where these are all."""
    indices = ranges.pages(text, len(document.pages), context)
    if indices == list(range(len(document.pages))):
        return document
    return assemble([Part(document, indices)], context)


def split(step: edits.Split, documents: Documents, context: Context) -> Documents:
    """Make several documents of each."""
    made: Documents = []
    for document in documents:
        count = len(document.pages)
        every = step.every or count
        parts = [range(start, min(start + every, count)) for start in range(0, count, every)]
        wanted = [ranges.pages(text, count, context) for text in step.ranges] if step.ranges else parts
        if len(made) + len(wanted) > MAX_DOCUMENTS:
            message = f"split: more than {MAX_DOCUMENTS} parts, the most that one job makes: make larger parts."
            raise LimitExceeded(message)
        if trees.names(document.pdf, "/EmbeddedFiles"):
            context.warn("The files inside the PDF are not in its parts: attach them where they belong.")
        made += [assemble([Part(document, indices)], context, attachments=False) for indices in wanted]
    return made


def rotate(step: edits.Rotate, documents: Documents, context: Context) -> Documents:
    """Turn pages."""
    for document in documents:
        for index in dict.fromkeys(ranges.pages(step.pages, len(document.pages), context)):
            document.pages[index].rotate(step.degrees, relative=True)
    return documents


def stamp(step: edits.Stamp, documents: Documents, context: Context) -> Documents:
    """Draw on pages."""
    for document in documents:
        stamping.draw(step, document, ranges.pages(step.pages, len(document.pages), context), context)
    return documents


def encrypt(step: edits.Encrypt, documents: Documents, context: Context) -> Documents:
    """Say how the files will be encrypted."""
    full = set(step.allow) == set(get_args(edits.Permission))
    owner = step.owner_password or (step.user_password if full else secrets.token_urlsafe(24))
    for document in documents:
        if claims.drop(document.pdf):
            context.warn("PDF/A forbids encryption: the result no longer claims it.")
        document.locked = False
        document.encryption = pikepdf.Encryption(
            owner=owner, user=step.user_password, R=6, allow=permissions(list(step.allow))
        )
    return documents


def decrypt(_step: edits.Decrypt, documents: Documents, context: Context) -> Documents:
    """Say that the files will not be encrypted."""
    if not any(document.locked or document.encryption for document in documents):
        context.warn("decrypt: nothing was encrypted.")
    for document in documents:
        document.locked, document.encryption = False, None
    return documents


def optimise(step: edits.Optimise, documents: Documents, _context: Context) -> Documents:
    """Drop what nothing uses, and say that the files will be compressed."""
    for document in documents:
        with suppress(pikepdf.PikepdfError):  # a page that cannot be read keeps all it has
            document.pdf.remove_unreferenced_resources()
        document.compact = True
        document.linear = document.linear or step.linearise
    return documents


def attach(step: edits.Attach, documents: Documents, context: Context) -> Documents:
    """Put files inside."""
    for file in step.files:
        with context.open(file.file) as opened:
            data = opened.read(_MAX_ATTACHMENT + 1)
        if len(data) > _MAX_ATTACHMENT:
            message = f"attach: {file.name!r} has more than {_MAX_ATTACHMENT >> 20} MiB, the most for one attachment."
            raise LimitExceeded(message)
        for document in documents:
            _attach(file, data, document.pdf)
            if file.name.lower() in _INVOICE and not any("PDF/A-3" in claim for claim in claims.of(document.pdf)):
                context.warn(
                    f"{file.name} is attached, but Factur-X and ZUGFeRD ask for a PDF/A-3 and this document does not "
                    "claim to be one: render_pdf makes one."
                )
    return documents


def _attach(file: edits.Attachment, data: bytes, pdf: pikepdf.Pdf) -> None:
    name = safe_name(file.name, "attachment")
    there = trees.names(pdf, "/EmbeddedFiles")
    key = unused(bytes(String(name)), there)
    specification = AttachedFileSpec(
        pdf,
        data,
        filename=name,
        description=file.description,
        mime_type=file.mime_type,
        creation_date="",
        mod_date="",
    ).obj
    specification.AFRelationship = Name("/" + file.relationship)
    there[key] = pdf.make_indirect(specification)
    if not isinstance(pdf.Root.get("/Names"), Dictionary):
        pdf.Root.Names = pdf.make_indirect(Dictionary())
    pdf.Root.Names.EmbeddedFiles = trees.name_tree(pdf, there)
    if not isinstance(pdf.Root.get("/AF"), pikepdf.Array):
        pdf.Root.AF = pikepdf.Array()
    pdf.Root.AF.append(there[key])


def metadata(step: edits.Metadata, documents: Documents, _context: Context) -> Documents:
    """Change the metadata, in both places a PDF has for it."""
    for document in documents:
        pdf = document.pdf
        if step.clear:
            del pdf.docinfo
            for key in ("/Metadata", "/Lang"):
                if key in pdf.Root:
                    del pdf.Root[key]
        if not claims.has_xmp(pdf) and "/Metadata" in pdf.Root:
            del pdf.Root.Metadata
        with pdf.open_metadata(set_pikepdf_as_editor=False, update_docinfo=False) as found:
            _put(found, "dc:title", step.title)
            _put(found, "dc:creator", None if step.author is None else [step.author] if step.author else [])
            _put(found, "dc:description", step.subject)
            _put(found, "pdf:Keywords", None if step.keywords is None else ", ".join(step.keywords))
            _put(found, "dc:language", None if step.language is None else [step.language] if step.language else [])
        plain = {
            "/Title": step.title,
            "/Author": step.author,
            "/Subject": step.subject,
            "/Keywords": None if step.keywords is None else ", ".join(step.keywords),
        }
        for key, value in plain.items():
            _set(pdf.docinfo, key, value)
        _set(pdf.Root, "/Lang", step.language)
        document.title = step.title or document.title
    return documents


def _put(found: Any, key: str, value: str | list[str] | None) -> None:
    if value:
        found[key] = value
    elif value is not None and key in found:
        del found[key]


def _set(holder: Any, key: str, value: str | None) -> None:
    if value:
        holder[key] = String(value)
    elif value is not None and key in holder:
        del holder[key]


def sanitise(step: edits.Sanitise, documents: Documents, context: Context) -> Documents:
    """Remove what could run."""
    removed = 0
    for document in documents:
        removed += safety.sanitise(document.pdf, links=step.links, attachments=step.attachments)
        document.pages = list(document.pdf.pages)
    context.warn(f"sanitise removed {removed} scripts, actions and the like." if removed else "")
    return documents


def flatten(_step: edits.Flatten, documents: Documents, _context: Context) -> Documents:
    """Draw fields and annotations into the pages."""
    for document in documents:
        document.pdf = flattening.flatten(document.pdf)
        document.pages = list(document.pdf.pages)
    return documents


STEPS: Mapping[type[Any], Callable[[Any, Documents, Context], Documents]] = MappingProxyType(
    {
        edits.Merge: merge,
        edits.Select: select,
        edits.Split: split,
        edits.Rotate: rotate,
        edits.Stamp: stamp,
        edits.Encrypt: encrypt,
        edits.Decrypt: decrypt,
        edits.Optimise: optimise,
        edits.Attach: attach,
        edits.Metadata: metadata,
        edits.Sanitise: sanitise,
        edits.Flatten: flatten,
    }
)
