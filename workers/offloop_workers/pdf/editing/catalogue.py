"""Catalogue of a new document: metadata, viewer settings and other entries that hold for whole documents."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name, Stream, String

from offloop_workers.pdf.editing.document import Document, copied
from offloop_workers.pdf.editing.losses import Losses
from offloop_workers.pdf.reading import claims, trees

_KEPT_FROM_FIRST = ("/ViewerPreferences", "/PageLayout", "/PageMode")
_KEPT = frozenset(
    {
        *("/Type", "/Pages", "/Names", "/Dests", "/Outlines", "/PageLabels", "/OCProperties", "/AcroForm", "/Lang"),
        *("/Metadata", "/StructTreeRoot", "/MarkInfo", "/Version", "/Extensions", "/AF", "/NeedsRendering"),
        *_KEPT_FROM_FIRST,
    }
)
_KEPT_NAMES = frozenset({"/Dests", "/EmbeddedFiles", "/JavaScript"})
_LOST: Mapping[str, str] = MappingProxyType(
    {
        "/OpenAction": "its action at opening",
        "/AA": "its actions at saving, printing and closing",
        "/Threads": "its article threads",
        "/URI": "its base address, which relative links need",
        "/OutputIntents": "its output intents (colour profiles for print)",
        "/Collection": "its portfolio view",
        "/Perms": "its usage rights and certification",
        "/DSS": "the certificates of its signatures",
        "/PieceInfo": "private data of its program",
        "/DPartRoot": "its document parts",
    }
)


_MAX_INTENTS = 20


def copy_entries(documents: Sequence[Document], result: pikepdf.Pdf, losses: Losses) -> None:
    """Copy what the first document, or all of them, say about the whole; note what is lost."""
    first = documents[0].pdf
    for key, value in first.docinfo.items():
        if isinstance(value, String) and not key.startswith("/GTS_"):  # claims of PDF/X
            result.docinfo[key] = String(bytes(value))
    if not claims.copy_metadata(first, result):
        losses.of(documents[0]).entries["its XMP metadata, which is damaged"] = None
    _copy_settings(first, result)
    alone = len(documents) == 1
    for key, keep in (("/URI", alone), ("/OutputIntents", alone or _same_intents(documents))):
        entry: Any = first.Root.get(key)
        if keep and isinstance(entry, (Array, Dictionary)):
            result.Root[key] = copied(result, first, entry)
    _copy_language(documents, result, losses)
    for document in documents:
        _note_losses(document, result, losses, is_first=document is documents[0])


def _copy_language(documents: Sequence[Document], result: pikepdf.Pdf, losses: Losses) -> None:
    languages = {trees.text(document.pdf.Root.get("/Lang")) for document in documents}
    if len(languages) == 1 and (language := languages.pop()):
        result.Root.Lang = String(language)
    elif languages:
        for document in documents:
            if "/Lang" in document.pdf.Root:
                losses.of(document).entries["its language, since the files differ in theirs"] = None


def _copy_settings(first: pikepdf.Pdf, result: pikepdf.Pdf) -> None:
    for key in _KEPT_FROM_FIRST:
        entry: Any = first.Root.get(key)
        if isinstance(entry, Name):
            result.Root[key] = Name(str(entry))
        elif isinstance(entry, Dictionary):
            settings: list[tuple[str, Any]] = list(entry.items())
            names = {one: Name(str(item)) for one, item in settings if isinstance(item, Name)}
            result.Root[key] = Dictionary(
                {one: item for one, item in settings if isinstance(item, (bool, int))} | names
            )
            if isinstance(enforced := entry.get("/Enforce"), Array):
                result.Root[key].Enforce = Array([Name(str(one)) for one in list(enforced) if isinstance(one, Name)])


def _note_losses(document: Document, result: pikepdf.Pdf, losses: Losses, *, is_first: bool) -> None:
    root, loss = document.pdf.Root, losses.of(document)
    kept = _KEPT | (set(result.Root.keys()) if is_first else {"/OutputIntents"} & set(result.Root.keys()))
    names = root.get("/Names")
    kept |= {"/OpenAction"} if _is_view(root.get("/OpenAction")) else set()
    keys = [key for key in sorted(root.keys()) if key not in kept]
    keys += [key for key in sorted(names.keys()) if key not in _KEPT_NAMES] if isinstance(names, Dictionary) else []
    loss.entries |= dict.fromkeys(_LOST.get(key, f"its entry {trees.printable(key[1:])[:40]}") for key in keys)
    form = root.get("/AcroForm")
    if isinstance(form, Dictionary) and "/XFA" in form:
        loss.entries["its XFA form, of which the plain fields stay"] = None
    layers = root.get("/OCProperties")
    if isinstance(layers, Dictionary) and layers.get("/Configs"):
        loss.entries["its alternative settings of layers"] = None
    settings = root.get("/ViewerPreferences")
    if isinstance(settings, Dictionary) and "/PrintPageRange" in settings:
        loss.entries["its choice of pages to print"] = None
    loss.described = not is_first and bool(_described(document.pdf) - _described(result))
    loss.scripts = bool(trees.names(document.pdf, "/JavaScript"))
    loss.tagged = "/StructTreeRoot" in root
    loss.claims |= dict.fromkeys(claims.of(document.pdf))


def _is_view(opening: Any) -> bool:
    """Whether an action at opening only shows a page, which may be another one now."""
    return isinstance(opening, Array) or (
        isinstance(opening, Dictionary) and opening.get("/S") == Name.GoTo and "/Next" not in opening
    )


def _same_intents(documents: Sequence[Document]) -> bool:
    return len({_intents(document.pdf) for document in documents}) == 1


def _intents(pdf: pikepdf.Pdf) -> tuple[tuple[str, str, bytes], ...]:
    listed: Any = pdf.Root.get("/OutputIntents")
    found = [listed[index] for index in range(min(len(listed), _MAX_INTENTS))] if isinstance(listed, Array) else []
    return tuple(
        (str(one.get("/S")), str(one.get("/OutputConditionIdentifier")), _digest(one.get("/DestOutputProfile")))
        for one in found
        if isinstance(one, Dictionary)
    )


def _digest(profile: Any) -> bytes:
    return hashlib.sha256(profile.read_bytes()).digest() if isinstance(profile, Stream) else b""


def _described(pdf: pikepdf.Pdf) -> set[tuple[str, str]]:
    found = {(key, trees.text(pdf.docinfo.get(key))) for key in ("/Author", "/Subject", "/Keywords")}
    return {(key, text) for key, text in found if text}
