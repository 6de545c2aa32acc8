"""Fonts and pictures in the resources of pages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name

from offloop.jobs.documents import FontUse
from offloop_workers.pdf.reading import trees
from offloop_workers.pdf.reading.visible import inherited

_MAX_FONTS = 1_000
_STANDARD = re.compile(
    r"(?:Helvetica|Arial|Times|TimesNewRoman|Courier|CourierNew|Symbol|ZapfDingbats)(?:PS)?(?:MT)?(?:[-,].*)?$"
)
_MAX_NODES = 50_000
_MAX_DEPTH = 10
NOT_DRAWN = frozenset({"FreeText", "Stamp", "Line", "Polygon", "PolyLine", "Caret"})
"""Annotations that PDFium draws only where they bring their appearance along."""
_HIDDEN = 2
_FILES = ("/FontFile", "/FontFile2", "/FontFile3")


def used(pdf: pikepdf.Pdf) -> tuple[list[FontUse], int]:
    """The fonts, sorted by name, and the number of distinct pictures."""
    fonts: dict[tuple[int, int], FontUse] = {}
    images: set[tuple[int, int]] = set()
    for kind, node in _walk(pdf.pages):
        if kind == "/Font" and len(fonts) < _MAX_FONTS:
            fonts.setdefault(node.objgen if node.is_indirect else (0, -len(fonts) - 1), _font(node))
        elif kind == "/XObject" and node.get("/Subtype") == Name.Image:
            images.add(node.objgen)
    return sorted(set(fonts.values()), key=lambda font: font.name), len(images)


def drawn(page: pikepdf.Page) -> Iterator[pikepdf.Stream]:
    """The forms and pictures that a page itself may draw."""
    group = _group(page, "/XObject")
    for _, node in list(group.items())[:_MAX_FONTS] if group is not None else ():
        if isinstance(node, pikepdf.Stream):
            yield node


def has_fonts(page: pikepdf.Page) -> bool:
    """Whether a page may draw text itself."""
    group = _group(page, "/Font")
    return group is not None and len(group) > 0


def has(page: pikepdf.Page, category: str, name: str) -> bool:
    """Whether the resources of a page have an entry, such as ``/F1`` of the category ``/Font``."""
    group = _group(page, category)
    return group is not None and name in group


def substituted(pages: Iterable[pikepdf.Page]) -> list[str]:
    """The fonts of pages that are not in the file, and that readers do not bring along."""
    found = {_font(node) for kind, node in _walk(pages) if kind == "/Font"}
    return sorted({font.name for font in found if not font.embedded and not _STANDARD.match(font.name)})


def without_look(pages: Iterable[pikepdf.Page]) -> list[str]:
    """The types of the annotations of pages that PDFium does not draw, since they lack an appearance."""
    found = {
        trees.name(note.get("/Subtype"))
        for page in pages
        for note in trees.page_annotations(page)
        if "/AP" not in note and not _HIDDEN & _flags(note)
    }
    return sorted(found & NOT_DRAWN)


def _flags(note: Any) -> int:
    flags: Any = note.get("/F")
    return flags if isinstance(flags, int) else 0


def _group(page: pikepdf.Page, kind: str) -> Any:
    resources: Any = inherited(page, "/Resources")
    group = resources.get(kind) if isinstance(resources, Dictionary) else None
    return group if isinstance(group, Dictionary) else None


def _walk(pages: Iterable[pikepdf.Page]) -> Iterator[tuple[str, Any]]:
    """The objects in the resources of pages and of their forms, each once, with their category."""
    visited: set[tuple[int, int]] = set()
    for page in pages:
        waiting: list[tuple[Any, int]] = [(page.get_resources(), 0)]
        while waiting and len(visited) < _MAX_NODES:
            resources, depth = waiting.pop()
            if not isinstance(resources, Dictionary) or depth > _MAX_DEPTH:
                continue
            for kind in ("/Font", "/XObject", "/Pattern"):
                group: Any = resources.get(kind)
                for _, found in group.items() if isinstance(group, Dictionary) else ():
                    node: Any = found
                    if not hasattr(node, "objgen") or not hasattr(node, "get") or node.objgen in visited:
                        continue
                    if node.is_indirect:
                        visited.add(node.objgen)
                    if isinstance(node, (Dictionary, pikepdf.Stream)):
                        yield kind, node
                        waiting.append((node.get("/Resources"), depth + 1))


def _font(font: Any) -> FontUse:
    kind = trees.name(font.get("/Subtype"))[:40]
    below = font.get("/DescendantFonts")
    holder = below[0] if isinstance(below, Array) and len(below) else font
    descriptor = holder.get("/FontDescriptor") if isinstance(holder, Dictionary) else None
    embedded = kind == "Type3" or (isinstance(descriptor, Dictionary) and any(file in descriptor for file in _FILES))
    name = font.get("/BaseFont")
    plain = trees.name(name)[:100].split("+", 1)[-1] if isinstance(name, Name) else kind
    return FontUse(name=plain, type=kind, embedded=embedded)


def hidden_layers(pdf: pikepdf.Pdf) -> str:
    """The first ten names of layers that are switched off when the document is opened; empty for none."""
    properties = pdf.Root.get("/OCProperties")
    default = properties.get("/D") if isinstance(properties, Dictionary) else None
    if not isinstance(properties, Dictionary) or not isinstance(default, Dictionary):
        return ""
    off = default.get("/OFF")
    groups = list(off)[:_MAX_FONTS] if isinstance(off, Array) else []
    if default.get("/BaseState") == Name.OFF:
        listed, shown = properties.get("/OCGs"), default.get("/ON")
        on = {one.objgen for one in shown if isinstance(one, Dictionary)} if isinstance(shown, Array) else set()
        every = [one for one in listed if isinstance(one, Dictionary)] if isinstance(listed, Array) else []
        groups = [one for one in every if one.objgen not in on]
    names = [trees.text(one.get("/Name")) or "unnamed" for one in groups if isinstance(one, Dictionary)]
    return ", ".join(repr(name[:60]) for name in names[:10]) + (f" and {len(names) - 10} more" if names[10:] else "")


def has_xfa(pdf: pikepdf.Pdf) -> bool:
    """Whether the form is one of XFA, which only some viewers show."""
    form = pdf.Root.get("/AcroForm")
    return isinstance(form, Dictionary) and "/XFA" in form
