"""The links of a document: those that work for a reader stay, the others become plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from offloop.kinds.context import Context

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

KEPT = frozenset({"http", "https", "mailto", "tel"})
_BLANKS = "".join(map(chr, range(0x21)))


def settle(root: Element, context: Context) -> str:
    """Remove the links a PDF must not or cannot have, and every ``<base>``.

    A ``javascript:`` or ``file:`` link has no place in a document that is passed on, and a relative one leads nowhere
    once the page has left its site, unless the document's ``<base href>`` says where that was. Assets are found by
    their relative names in any case.

    Returns:
        What the document says its links are relative to, or ``""``.
    """
    base = _take_base(root)
    refused = dead = 0
    for element in root.iter():
        if element.tag not in {"a", "area", "{http://www.w3.org/2000/svg}a"}:
            continue
        for attribute in ("href", "{http://www.w3.org/1999/xlink}href"):
            target = (element.get(attribute) or "").strip(_BLANKS)
            if not target or target.startswith("#") or element.get("rel") == "attachment":
                continue
            scheme = _scheme(target)
            if scheme in KEPT:
                continue
            if not scheme and base:
                element.set(attribute, urljoin(base, target))
                continue
            refused, dead = (refused + 1, dead) if scheme else (refused, dead + 1)
            del element.attrib[attribute]
    if refused:
        context.warn(f"Links other than {', '.join(sorted(KEPT))} became plain text: {refused}.")
    if dead:
        context.warn(
            f"Relative links lead nowhere in a PDF and became plain text: {dead}. Write them as https:// links, or in "
            'HTML add <base href="https://…">.'
        )
    return base


def _take_base(root: Element) -> str:
    base = ""
    for parent in list(root.iter()):
        for element in [child for child in parent if child.tag == "base"]:
            href = (element.get("href") or "").strip(_BLANKS)
            if not base and _scheme(href) in {"http", "https"}:
                base = href
            # Kept in the tree with nothing in it: removing it would lose the text that follows it.
            element.attrib.clear()
    return base


def _scheme(target: str) -> str:
    try:
        # Readers ignore line breaks and tabs inside a URL, so "java\nscript:" is one.
        return urlsplit("".join(target.split())).scheme.lower()
    except ValueError:
        return "malformed"
