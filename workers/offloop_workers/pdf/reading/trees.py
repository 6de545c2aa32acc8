"""Bounded traversal of the trees inside a PDF (names, numbers, outlines), which a hostile file can make cyclic."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name, Object, String

_MAX_NODES = 20_000
_MAX_ENTRIES = 100_000
_MAX_DEPTH = 30
MAX_TEXT = 500
_LEAF = 64
_SURROGATE = re.compile("[\ud800-\udfff]")
_LANGUAGE = re.compile("\x1b[A-Za-z-]{2,12}\x1b")


def entries(root: object, key: str = "/Names") -> Iterator[tuple[Any, Any]]:
    """The pairs of a name tree (``/Names``) or number tree (``/Nums``); cycles and invalid nodes are skipped."""
    waiting, found = [root], 0
    seen: set[tuple[int, int]] = set()
    while waiting and len(seen) < _MAX_NODES:
        node = waiting.pop()
        if not isinstance(node, Dictionary) or (node.is_indirect and node.objgen in seen):
            continue
        seen.add(node.objgen if node.is_indirect else (0, len(seen)))
        pairs, kids = node.get(key), node.get("/Kids")
        if isinstance(pairs, Array):
            for index in range(0, min(len(pairs) - 1, 2 * (_MAX_ENTRIES - found)), 2):
                found += 1
                yield pairs[index], pairs[index + 1]
        if isinstance(kids, Array):
            waiting += reversed([kids[index] for index in range(min(len(kids), _MAX_NODES))])


def names(pdf: pikepdf.Pdf, kind: str) -> dict[bytes, Any]:
    """The entries of one of the document's name trees, such as ``/Dests`` or ``/EmbeddedFiles``."""
    root = pdf.Root.get("/Names")
    tree = root.get(kind) if isinstance(root, Dictionary) else None
    return {bytes(name): value for name, value in entries(tree) if isinstance(name, String)}


def name_tree(pdf: pikepdf.Pdf, found: Mapping[bytes, Any]) -> Object:
    """A name tree with these entries: one root, and leaves of 64."""
    ordered = sorted(found.items())
    leaves = [
        pdf.make_indirect(
            Dictionary(
                Limits=Array([String(part[0][0]), String(part[-1][0])]),
                Names=Array([item for name, value in part for item in (String(name), value)]),
            )
        )
        for part in (ordered[at : at + _LEAF] for at in range(0, len(ordered), _LEAF))
    ]
    return pdf.make_indirect(Dictionary(Kids=Array(leaves)))


@dataclass(slots=True)
class Item:
    """One entry of an outline.

    Attributes:
        title: its text.
        target: a destination (array, string or name), or None.
        uri: a link to the web, or None.
        closed: whether its children are collapsed.
        children: the entries below.
        node: the entry itself.
    """

    title: str
    target: Any = None
    uri: str | None = None
    closed: bool = False
    children: list[Item] = field(default_factory=list)
    node: Any = field(default=None, compare=False, repr=False)


def outline(pdf: pikepdf.Pdf, limit: int = _MAX_NODES) -> list[Item]:
    """The outline, at most `limit` items of it; cycles are cut."""
    root = pdf.Root.get("/Outlines")
    top: list[Item] = []
    waiting = [(root.get("/First"), top, 1)] if isinstance(root, Dictionary) else []
    seen: set[tuple[int, int]] = set()
    while waiting and len(seen) < limit:
        node, siblings, depth = waiting.pop()
        if not isinstance(node, Dictionary) or node.objgen in seen or not node.is_indirect:
            continue
        seen.add(node.objgen)
        item = _item(node)
        siblings.append(item)
        waiting.append((node.get("/Next"), siblings, depth))
        if depth < _MAX_DEPTH:
            waiting.append((node.get("/First"), item.children, depth + 1))
    return top


def _item(node: Object) -> Item:
    target: Any = node.get("/Dest")
    action: Any = node.get("/A")
    uri = None
    if target is None and isinstance(action, Dictionary):
        if action.get("/S") == Name.GoTo:
            target = action.get("/D")
        elif action.get("/S") == Name.URI:
            uri = text(action.get("/URI"))
    count: Any = node.get("/Count")
    closed = isinstance(count, int) and count < 0
    return Item(text(node.get("/Title")) or "", target, uri, closed=closed, node=node)


def page_annotations(page: pikepdf.Page) -> Iterator[Any]:
    """The annotations of a page that are dictionaries."""
    listed: Any = page.obj.get("/Annots")
    for index in range(min(len(listed), _MAX_ENTRIES)) if isinstance(listed, Array) else ():
        if isinstance(one := listed[index], Dictionary):
            yield one


def destination(pdf: pikepdf.Pdf, target: Any, named: Mapping[bytes, Any]) -> Array | None:
    """The explicit destination that a target resolves to, or None."""
    if isinstance(target, String):
        target = named.get(bytes(target))
    elif isinstance(target, Name):
        old = pdf.Root.get("/Dests")
        target = old.get(str(target)) if isinstance(old, Dictionary) else None
    if isinstance(target, Dictionary):
        target = target.get("/D")
    return target if isinstance(target, Array) and len(target) else None


def target_page(target: Array, pages: Sequence[pikepdf.Page]) -> Any:
    """The page object of an explicit destination: named itself, by its index, or by an element of the tags; or None."""
    first: Any = target[0]
    if isinstance(first, int):
        return pages[first].obj if 0 <= first < len(pages) else None
    found = first.get("/Pg", first) if isinstance(first, Dictionary) else None
    return found if isinstance(found, Dictionary) else None


def text(value: object) -> str | None:
    """A string of the file as text of bounded length, without control characters; None for any other object.

    It is in UTF-16 or UTF-8 with a byte-order mark, else in PDFDocEncoding; or in UTF-8 against the standard.
    """
    if not isinstance(value, String):
        return None
    return printable(bytes(value).decode() if is_plain_utf8(value) else str(value))


def name(value: object) -> str:
    """A name of the file without its slash, of bounded length; bytes that are no UTF-8 become U+FFFD."""
    if not isinstance(value, Name):
        return ""
    try:
        return printable(str(value)[1:])
    except UnicodeDecodeError:  # such as a font's name in Latin-1 or GBK
        raw = re.sub(rb"#([0-9a-fA-F]{2})", lambda found: bytes.fromhex(found[1].decode()), value.unparse())
        return printable(raw[1:].decode(errors="replace"))


def readable_keys(node: Dictionary) -> list[str]:
    """The keys of a dictionary that are UTF-8, sorted; the library cannot look up the others."""
    return sorted(key for key, _ in node.items() if not _SURROGATE.search(key))


def is_plain_utf8(value: String) -> bool:
    """Whether a string of the file has other letters than ASCII's, in UTF-8 without a byte-order mark."""
    raw = bytes(value)
    if raw.isascii() or raw.startswith((b"\xef\xbb\xbf", b"\xfe\xff", b"\xff\xfe")):
        return False
    try:
        return bool(raw.decode())
    except UnicodeDecodeError:
        return False


def printable(text: str) -> str:
    """Text of bounded length on one line, without control characters and language codes."""
    plain = _LANGUAGE.sub("", text[: 2 * MAX_TEXT])
    return " ".join("".join(one if one.isprintable() else " " for one in plain).split())[:MAX_TEXT]
