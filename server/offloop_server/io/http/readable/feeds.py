"""Feeds, RSS and Atom, as Markdown: a heading for each entry."""

from __future__ import annotations

from offloop_server.io.http.readable import tree
from offloop_server.io.http.readable.addresses import destination
from offloop_server.io.http.readable.inline import Mark
from offloop_server.io.http.readable.tree import Document, Element, fragment, from_html
from offloop_server.io.http.readable.walk import Setting, Walk, joined


def feed(document: Document, setting: Setting) -> str | None:
    """A feed as text; None where the document is none."""
    found = tree.feed(document)
    if found is None:
        return None
    walk = Walk(setting)
    _heading(walk, 1, found.title, found.link)
    _html(walk, found.description)
    _line(walk, [found.updated])
    items = document.find_all(["item", "entry"])
    known = len(items) == len(found.entries)
    for place, entry in enumerate(found.entries):
        address = entry.link or (entry.id if (entry.id or "").startswith(("http:", "https:")) else None)
        _heading(walk, 2, entry.title or entry.published or entry.id, address)
        _line(walk, [entry.published or entry.updated, entry.author])
        _html(walk, entry.content or entry.summary)
        if known:
            _enclosures(walk, items[place])
    return joined(walk.blocks(), cell=False)


def _enclosures(walk: Walk, item: Element) -> None:
    """Links to the files of an entry, such as the sound of a podcast; the library's feeds do not have them."""
    for one in item.find_all(["enclosure", "link"]):
        if one.tag == "link" and one.attr("rel") != "enclosure":
            continue
        if url := walk.setting.addresses.resolve(one.attr("url") or one.attr("href") or ""):
            walk.inline.open(Mark("[", f"]({destination(url)})", link=True))
            walk.inline.text(f"File: {one.attr('type') or url}")
            walk.inline.close()
            walk.flush(loose=True)


def _heading(walk: Walk, level: int, title: str | None, link: str | None) -> None:
    walk.flush()
    inner = walk.within(cell=True)
    url = walk.setting.addresses.resolve(link) if link else ""
    if url:
        inner.inline.open(Mark("[", f"]({destination(url)})", link=True))
    inner.inline.text(from_html(title or "").text or url)
    if url:
        inner.inline.close()
    text = joined(inner.blocks(), cell=True).replace("\n", " ")
    walk.add(f"{'#' * level} {text}" if walk.markdown and text else text)


def _line(walk: Walk, parts: list[str | None]) -> None:
    walk.inline.text(", ".join(part.strip() for part in parts if part and part.strip()))
    walk.flush(loose=True)


def _html(walk: Walk, source: str | bytes | None) -> None:
    for node in fragment(source or ""):
        walk.node(node)
    walk.flush(loose=True)
