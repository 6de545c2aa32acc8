"""Sanitising: removal of scripts, actions, XFA forms and multimedia."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name, Stream, String, sanitize

from offloop_workers.pdf.reading import trees

# Actions that run something, leave the document or send data; web links are removed only on request.
ACTIVE = frozenset(
    {
        "/JavaScript",
        "/Launch",
        "/SubmitForm",
        "/ImportData",
        "/GoToR",
        "/GoToE",
        "/Rendition",
        "/Movie",
        "/Sound",
        "/RichMediaExecute",
        "/Trans",
    }
)
# URI schemes that a viewer runs, or reads from its own machine, in what looks like a web link.
_ACTIVE_SCHEMES = {"javascript": "/JavaScript", "vbscript": "/JavaScript", "data": "/Launch", "file": "/Launch"}
_SCHEME = re.compile(r"[\x00-\x20]*([A-Za-z][A-Za-z0-9+.\-\t\r\n]*):")
_HOLDERS = ("/A", "/PA", "/OpenAction", "/Next")
_MULTIMEDIA = frozenset({"/RichMedia", "/Movie", "/Sound", "/Screen", "/3D"})


def sanitise(pdf: pikepdf.Pdf, *, links: bool, attachments: bool) -> Counter[str]:
    """Remove scripts, actions, XFA forms and multimedia from every object of the file, reachable or not.

    Args:
        pdf: changed in place.
        links: remove links to the web as well.
        attachments: remove embedded files as well.

    Returns:
        The removed items, counted by type.
    """
    targets = ACTIVE | {"/URI"} if links else ACTIVE
    removed: Counter[str] = Counter()
    for one in pdf.objects:
        for node in _inside(one):
            removed.update(_scrub(node, targets))
    names = pdf.Root.get("/Names")
    if isinstance(names, Dictionary) and "/JavaScript" in names:
        removed["/JavaScript"] += len(trees.names(pdf, "/JavaScript"))
        del names["/JavaScript"]
    form = pdf.Root.get("/AcroForm")
    if isinstance(form, Dictionary) and "/XFA" in form:
        del form["/XFA"]
        removed["/XFA"] += 1
    kinds = _MULTIMEDIA | {"/FileAttachment"} if attachments else _MULTIMEDIA
    for page in pdf.pages:
        removed.update(_without(page, kinds))
    if attachments:
        removed["/EmbeddedFile"] += len(trees.names(pdf, "/EmbeddedFiles"))
        sanitize.remove_attachments(pdf)
    return +removed


def active(pdf: pikepdf.Pdf) -> set[str]:
    """The types of the actions in a document, ``/URI`` and ``/GoTo`` among them."""
    found: set[str] = set()
    for one in pdf.objects:
        for node in _inside(one):
            found |= {_type(action) for _, _, actions in _slots(node) for action in actions}
    names = pdf.Root.get("/Names")
    if isinstance(names, Dictionary) and "/JavaScript" in names:
        found.add("/JavaScript")
    return found


def _inside(one: Any) -> Iterator[Any]:
    """An object and all direct objects inside it; indirect ones are visited by themselves."""
    waiting = [one]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, Array):
            values: list[Any] = list(node)
        elif isinstance(node, (Dictionary, Stream)):
            values = [value for _, value in node.items()]
        else:
            continue
        waiting += [value for value in values if isinstance(value, (Array, Dictionary)) and not value.is_indirect]


def _scrub(node: Any, targets: frozenset[str]) -> Iterator[str]:
    for holder, key, actions in _slots(node):
        if found := [kind for action in actions if (kind := _type(action)) in targets]:
            del holder[key]
            yield found[0]


def _slots(node: Any) -> list[tuple[Any, str, list[Any]]]:
    """The places where a dictionary has actions: the holder, the key, and the actions."""
    if not isinstance(node, (Dictionary, Stream)):
        return []
    found = []
    extra = node.get("/AA")
    keys = [(node, key) for key in _HOLDERS if key in node]
    keys += [(extra, key) for key, _ in extra.items() if key.isascii()] if isinstance(extra, Dictionary) else []
    for holder, key in keys:
        value = holder.get(key)
        listed = list(value) if isinstance(value, Array) and key == "/Next" else [value]
        actions = [one for one in listed if isinstance(one, Dictionary) and isinstance(one.get("/S"), Name)]
        if actions:
            found.append((holder, key, actions))
    return found


def _type(action: Any) -> str:
    """The type of an action; a URI action with an active scheme counts as what it does."""
    name, uri = str(action.get("/S")), action.get("/URI")
    scheme = _SCHEME.match(str(uri)) if name == "/URI" and isinstance(uri, String) else None
    return _ACTIVE_SCHEMES.get(re.sub(r"[\t\r\n]", "", scheme[1]).lower(), name) if scheme else name


def _without(page: pikepdf.Page, kinds: frozenset[str]) -> list[str]:
    notes = list(trees.page_annotations(page))
    removed = [kind for note in notes if (kind := str(note.get("/Subtype"))) in kinds]
    if removed:
        page.obj.Annots = Array([note for note in notes if str(note.get("/Subtype")) not in kinds])
    return removed
