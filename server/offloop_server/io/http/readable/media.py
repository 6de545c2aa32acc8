"""Pictures, drawings, and what a page embeds, as links."""

from __future__ import annotations

import re
from typing import Final

from offloop_server.io.http.readable.addresses import destination
from offloop_server.io.http.readable.escaping import collapsed, escaped, escaped_label, link_title
from offloop_server.io.http.readable.inline import Mark
from offloop_server.io.http.readable.tree import Element, fragment
from offloop_server.io.http.readable.walk import Walk

_LATE: Final = ("data-src", "data-original", "data-lazy-src", "data-lazy", "data-url", "data-image")
_SETS: Final = ("srcset", "data-srcset", "data-lazy-srcset")
_SIZE: Final = re.compile(r"([0-9]{1,7}(?:\.[0-9]{1,4})?)[wx]$")
_UNDRAWN: Final = frozenset({"defs", "symbol", "title", "desc", "metadata", "style", "script"})
_DOT: Final = re.compile(r"\s*[01](?:px)?\s*$")


def picture(walk: Walk, element: Element) -> None:
    """An ``img``, from where it comes in the end: also where a script would load it later."""
    label = element.attr("alt") or element.attr("title") or element.attr("aria-label") or ""
    if not walk.markdown:
        walk.inline.text(label)
        return
    if any(_DOT.match(element.attr(side) or "") for side in ("width", "height")) and not label.strip():
        walk.notes.leave_out("pictures of one dot")
        return
    source = _source(element)
    url = walk.setting.addresses.resolve(source) if source else ""
    title = collapsed(element.attr("title") or "").strip()
    shown = link_title(title) if url and element.attr("alt") and title not in ("", label) else ""
    text = escaped_label(escaped(collapsed(label).strip()))
    if url or text:
        walk.inline.raw(f"![{text}]({url if url.startswith('data:') else destination(url)}{shown})")


def _source(element: Element) -> str:
    """The address of a picture: its own, one that is loaded later, or the largest of a set."""
    own = (element.attr("src") or "").strip()
    if own and own[:5].lower() != "data:":
        return own
    if late := next((one for name in _LATE if (one := (element.attr(name) or "").strip())), ""):
        return late
    around = element.parent
    sources = [element]
    if isinstance(around, Element) and around.tag == "picture":
        sources += around.find_all("source")
    for source in sources:
        for name in _SETS:
            if found := _largest(source.attr(name) or ""):
                return found
    return own


def _largest(candidates: str) -> str:
    """The address with the largest size of a ``srcset``; addresses may have commas in them."""
    best, largest = "", 0.0
    url = ""
    for word in candidates[:20_000].split():
        if not url:
            url = word.strip(",")
        size = _SIZE.match(word.rstrip(","))
        if url and (word.endswith(",") or size):
            number = float(size[1]) if size and word.strip(",") != url else 1.0
            best, largest = (url, number) if number > largest else (best, largest)
            url = ""
    return best or url


def drawing(walk: Walk, element: Element) -> None:
    """An ``svg``: the text in it; without any it is a drawing, which is no text."""
    if _texts(walk, element):
        return
    label = element.attr("aria-label") or ""
    title = next((node for node in element.children if isinstance(node, Element) and node.tag == "title"), None)
    if element.attr("role") == "img" and (label or title):
        walk.inline.text(label or (title.text if title else ""))
    else:
        walk.notes.leave_out("drawings without text")


def _texts(walk: Walk, element: Element) -> bool:
    """Write the texts in a drawing; returns whether there are any."""
    written = False
    for one in element.children:
        if not isinstance(one, Element) or one.tag in _UNDRAWN or not walk.shows(one):
            continue
        if one.tag in ("text", "foreignObject"):
            walk.inline.spaced()
            walk.children(one)
            walk.inline.spaced()
            written = True
        elif _texts(walk, one):
            written = True
    return written


def canvas(walk: Walk, _element: Element) -> None:
    """A canvas, on which a script draws."""
    walk.notes.leave_out("drawings of scripts")


EMBEDDED: Final = {
    "iframe": "Frame", "frame": "Frame", "video": "Video", "audio": "Audio", "embed": "Embedded file",
    "object": "Embedded file",
}  # fmt: skip


def embedded(walk: Walk, element: Element) -> None:
    """A frame, film, sound or file in the page: a link to it."""
    tag = element.tag
    sources = [element.attr("src") or element.attr("data") or element.attr("data-src") or ""]
    sources += [one.attr("src") or "" for one in element.find_all("source")]
    url = next((url for one in sources if one.strip() and (url := walk.setting.addresses.resolve(one))), "")
    label = element.attr("title") or element.attr("aria-label") or element.attr("name") or ""
    if tag == "iframe" and (source := element.attr("srcdoc")) is not None:
        _inner_page(walk, source)
    elif url and not url.startswith("#"):
        text = f"{EMBEDDED[tag]}: {label}" if label.strip() else EMBEDDED[tag]
        walk.flush()
        walk.inline.open(Mark("[", f"]({destination(url)})", link=True))
        walk.inline.text(text)
        walk.inline.close()
        walk.flush()
    elif tag == "object":
        walk.children(element)
    elif tag != "iframe":
        walk.notes.leave_out("films and sounds without an address")


def _inner_page(walk: Walk, source: str) -> None:
    """A page inside of the page; pages in it again are left out."""
    if walk.setting.inner:
        walk.notes.leave_out("pages in pages in this page")
        return
    walk.setting.inner = True
    walk.flush()
    for node in fragment(source):
        walk.node(node)
    walk.flush()
    walk.setting.inner = False


def area(walk: Walk, element: Element) -> None:
    """A part of a picture that is a link."""
    href = element.attr("href")
    if href is not None and (url := walk.setting.addresses.resolve(href)):
        walk.inline.spaced()
        walk.inline.open(Mark("[", f"]({destination(url)})", link=True))
        walk.inline.text(element.attr("alt") or element.attr("title") or url)
        walk.inline.close()
        walk.inline.spaced()
