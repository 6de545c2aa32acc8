"""Link policy: links that work in a PDF stay, all others become plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from offloop.kinds.context import Context

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

KEPT = frozenset({"http", "https", "mailto", "tel"})
_BLANKS = "".join(map(chr, range(0x21)))


def settle(root: Element, context: Context) -> str:
    """Remove dangerous and dead links, and neutralise every ``<base>``.

    A ``javascript:`` or ``file:`` link is dangerous in a document that is passed on. A relative one is dead outside its
    site, unless the document's ``<base href>`` makes it absolute. Assets are always found by their relative names.

    Returns:
        The base URL of the document's links, or ``""``.
    """
    base = _remove_base(root)
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


def _remove_base(root: Element) -> str:
    base = ""
    for parent in list(root.iter()):
        for element in [child for child in parent if child.tag == "base"]:
            href = (element.get("href") or "").strip(_BLANKS)
            if not base and _scheme(href) in {"http", "https"}:
                base = href
            # Emptied rather than removed: removal would drop the text that follows the element.
            element.attrib.clear()
    return base


def _scheme(target: str) -> str:
    try:
        # Viewers ignore line breaks and tabs inside a URL, so "java\nscript:" is a scheme.
        return urlsplit("".join(target.split())).scheme.lower()
    except ValueError:
        return "malformed"
