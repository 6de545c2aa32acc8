"""Steps of edit_pdf: functions from documents to documents, registered by the model of the step."""

from __future__ import annotations

import secrets
from collections import Counter
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
from offloop_workers.pdf.editing.losses import Losses
from offloop_workers.pdf.reading import claims, ranges, trees, visible

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
    losses = Losses()
    parts = [Part(document, range(len(document.pages))) for document in documents]
    merged = assemble(parts, losses, bookmarks=step.bookmarks)
    losses.report(context)
    return [merged]


def select(step: edits.Select, documents: Documents, context: Context) -> Documents:
    """Keep the selected pages of each document."""
    return [with_pages(document, step.pages, context) for document in documents]


def with_pages(document: Document, text: str, context: Context) -> Document:
    """A document of the pages in a range; the same document where the range is all of it."""
    indices = ranges.pages(text, len(document.pages), context)
    if indices == list(range(len(document.pages))):
        return document
    losses = Losses()
    selected = assemble([Part(document, indices)], losses)
    losses.report(context)
    return selected


def split(step: edits.Split, documents: Documents, context: Context) -> Documents:
    """Split each document into several."""
    result: Documents = []
    losses = Losses()
    for document in documents:
        count = len(document.pages)
        every = step.every or count
        parts = [range(start, min(start + every, count)) for start in range(0, count, every)]
        wanted = [ranges.pages(text, count, context) for text in step.ranges] if step.ranges else parts
        if len(result) + len(wanted) > MAX_DOCUMENTS:
            message = f"split: more than {MAX_DOCUMENTS} parts, the most that one job makes: make larger parts."
            raise LimitExceeded(message)
        if trees.names(document.pdf, "/EmbeddedFiles"):
            context.warn("The files inside the PDF are not in its parts: attach them where they belong.")
        result += [assemble([Part(document, indices)], losses, attachments=False) for indices in wanted]
    losses.report(context)
    return result


def rotate(step: edits.Rotate, documents: Documents, context: Context) -> Documents:
    """Rotate pages."""
    for document in documents:
        for index in dict.fromkeys(ranges.pages(step.pages, len(document.pages), context)):
            page = document.pages[index]
            page.obj.Rotate = (visible.rotation(page) + step.degrees) % 360
    return documents


def stamp(step: edits.Stamp, documents: Documents, context: Context) -> Documents:
    """Draw a stamp on pages."""
    for document in documents:
        stamping.draw(step, document, ranges.pages(step.pages, len(document.pages), context), context)
    return documents


def encrypt(step: edits.Encrypt, documents: Documents, context: Context) -> Documents:
    """Encrypt the files when they are written."""
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
    """Write the files without encryption."""
    if not any(document.locked or document.encryption for document in documents):
        context.warn("decrypt: nothing was encrypted.")
    for document in documents:
        document.locked, document.encryption = False, None
    return documents


def optimise(step: edits.Optimise, documents: Documents, _context: Context) -> Documents:
    """Remove unreferenced resources, and compress the files when they are written."""
    for document in documents:
        with suppress(pikepdf.PikepdfError):  # an unreadable page keeps its resources
            document.pdf.remove_unreferenced_resources()
        document.compact = True
        document.linear = document.linear or step.linearise
    return documents


def attach(step: edits.Attach, documents: Documents, context: Context) -> Documents:
    """Embed files."""
    for file in step.files:
        with context.open(file.file) as opened:
            data = opened.read(_MAX_ATTACHMENT + 1)
        if len(data) > _MAX_ATTACHMENT:
            message = f"attach: {file.name!r} has more than {_MAX_ATTACHMENT >> 20} MiB, the most for one attachment."
            raise LimitExceeded(message)
        name = safe_name(file.name, "attachment")
        if name != file.name:
            context.warn(f"attach: one name was changed to {name!r}: folders and some characters are not allowed.")
        for document in documents:
            _attach(file, name, data, document.pdf)
            if file.name.lower() in _INVOICE and not any("PDF/A-3" in claim for claim in claims.of(document.pdf)):
                context.warn(
                    f"{file.name} is attached, but Factur-X and ZUGFeRD ask for a PDF/A-3 and this document does not "
                    "claim to be one: render_pdf makes one."
                )
    return documents


def _attach(file: edits.Attachment, name: str, data: bytes, pdf: pikepdf.Pdf) -> None:
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


def metadata(step: edits.Metadata, documents: Documents, context: Context) -> Documents:
    """Change the metadata, in XMP and in the document information."""
    keywords = None if step.keywords is None else ", ".join(step.keywords)
    xmp = {
        "dc:title": step.title,
        "dc:creator": _as_list(step.author),
        "dc:description": step.subject,
        "pdf:Keywords": keywords,
        "dc:language": _as_list(step.language),
    }
    information = {"/Title": step.title, "/Author": step.author, "/Subject": step.subject, "/Keywords": keywords}
    for document in documents:
        pdf = document.pdf
        _clear(document, context, everything=step.clear)
        with pdf.open_metadata(set_pikepdf_as_editor=False, update_docinfo=False) as found:
            _update(found, xmp)
        _update(pdf.docinfo, information)
        _update(pdf.Root, {"/Lang": step.language})
        document.title = step.title or document.title
    return documents


def _clear(document: Document, context: Context, *, everything: bool) -> None:
    """Remove all metadata, or only XMP that cannot be read."""
    root = document.pdf.Root
    if everything:
        if found := claims.of(document.pdf):
            context.warn(f"{document.title!r} no longer claims {', '.join(found)}: claims are metadata.")
        del document.pdf.docinfo
        if "/Lang" in root:
            del root.Lang
    unreadable = "/Metadata" in root and not claims.has_xmp(document.pdf)
    if unreadable and not everything:
        context.warn(f"{document.title!r}: the XMP metadata was damaged or too large, and was replaced.")
    if "/Metadata" in root and (everything or unreadable):
        del root.Metadata


def _as_list(value: str | None) -> list[str] | None:
    return None if value is None else [value] if value else []


def _update(holder: Any, entries: Mapping[str, Any]) -> None:
    """Set the entries; an empty value deletes its entry, None leaves it as it is."""
    for key, value in entries.items():
        if value:
            holder[key] = value
        elif value is not None and key in holder:
            del holder[key]


def sanitise(step: edits.Sanitise, documents: Documents, context: Context) -> Documents:
    """Remove active content."""
    removed: Counter[str] = Counter()
    for document in documents:
        removed += safety.sanitise(document.pdf, links=step.links, attachments=step.attachments)
        document.pages = list(document.pdf.pages)
    found = ", ".join(f"{count} {name[1:]}" for name, count in removed.most_common())
    context.warn(f"sanitise removed {removed.total()} scripts, actions and the like: {found}." if removed else "")
    return documents


def flatten(_step: edits.Flatten, documents: Documents, context: Context) -> Documents:
    """Draw fields and annotations into the pages."""
    for document in documents:
        document.pdf, losses = flattening.flatten(document.pdf)
        for loss in losses:
            context.warn(f"{document.title!r}: {loss}")
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
