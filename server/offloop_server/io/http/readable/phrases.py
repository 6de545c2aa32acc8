"""Inline elements: emphasis, links, code, sub- and superscripts, annotations."""

from __future__ import annotations

from typing import Final

from offloop_server.io.http.readable.addresses import SCRIPTS, destination, scheme
from offloop_server.io.http.readable.code import code_text
from offloop_server.io.http.readable.escaping import code_span, collapsed, link_title
from offloop_server.io.http.readable.inline import Mark
from offloop_server.io.http.readable.raised import raised
from offloop_server.io.http.readable.tree import Element, Text
from offloop_server.io.http.readable.walk import RAISED, Walk

MARKS: Final = {
    **dict.fromkeys(("b", "strong"), ("**", "**")),
    **dict.fromkeys(("i", "em", "cite", "dfn", "var"), ("*", "*")),
    **dict.fromkeys(("del", "s", "strike"), ("~~", "~~")),
    "ins": ("<ins>", "</ins>"),
    "mark": ("<mark>", "</mark>"),
}
_PERMALINKS: Final = frozenset({"¶", "#", "§", "🔗", "\uf0c1", "🔗\ufe0e"})


def marked(walk: Walk, element: Element) -> None:
    """Emphasis, deletions, insertions."""
    walk.inline.open(Mark(*MARKS[element.tag.rpartition(":")[2]]))
    walk.children(element)
    walk.inline.close()


def script(walk: Walk, element: Element) -> None:
    """``sub`` and ``sup``, also by style: never on the line, since 10<sup>6</sup> is not 106."""
    styled = RAISED.search(element.attr("style") or "")
    tag = {"super": "sup", "sub": "sub"}[styled[1].lower()] if styled else element.tag.rpartition(":")[2]
    only = [node for node in element.children if not (isinstance(node, Text) and not node.data.strip())]
    link = len(only) == 1 and isinstance(only[0], Element) and only[0].tag == "a" and only[0].attr("href")
    if walk.markdown and not link:
        walk.inline.open(Mark(f"<{tag}>", f"</{tag}>"))
        walk.children(element)
        walk.inline.close()
    elif walk.markdown:
        walk.children(element)
    elif text := collapsed(element.text).strip():
        walk.inline.raw(raised(text, tag))


def link(walk: Walk, element: Element) -> None:
    """A link, or an anchor, which is its content."""
    href = element.attr("href")
    label = collapsed(element.text).strip()
    if href and href[:1] == "#" and label in _PERMALINKS:
        return  # the link of a heading to itself, seen under the mouse only
    if href is None or not walk.markdown:
        walk.children(element)
        return
    url = walk.setting.addresses.resolve(href)
    if not url:
        if scheme(href) in SCRIPTS:
            walk.notes.leave_out("links that run scripts")
        elif href.strip():
            walk.notes.leave_out("links without a usable address")
        walk.children(element)
        return
    title = collapsed(element.attr("title") or "").strip()
    shown = link_title(title) if title and title.casefold() not in label.casefold() else ""
    walk.inline.open(Mark("[", f"]({destination(url)}{shown})", link=True))
    walk.children(element)
    if not walk.inline.close():
        _bare(walk, url, title or element.attr("aria-label") or _drawn(element))


def _bare(walk: Walk, url: str, label: str) -> None:
    """A link without content: its name for screen readers, or its address."""
    if label.strip():
        walk.inline.open(Mark("[", f"]({destination(url)})", link=True))
        walk.inline.text(label)
        walk.inline.close()
    elif url.startswith(("http:", "https:")):
        walk.inline.spaced()
        walk.inline.raw(f"<{url}>")


def _drawn(element: Element) -> str:
    title = element.find("title")
    return title.text if title else ""


def code(walk: Walk, element: Element) -> None:
    """Code in a line; links in it are links of code."""
    if not walk.markdown:
        walk.inline.text(code_text(element))
        return
    if not element.find("a", href=True) and not element.find("br"):
        _span(walk, code_text(element))
        return
    for node in element.children:
        if isinstance(node, Text):
            _span(walk, node.data)
        elif isinstance(node, Element) and walk.shows(node):
            if node.tag == "br":
                walk.inline.line_break()
            elif node.tag == "a" and (url := walk.setting.addresses.resolve(node.attr("href") or "")):
                walk.inline.open(Mark("[", f"]({destination(url)})", link=True))
                _span(walk, code_text(node))
                walk.inline.close()
            else:
                code(walk, node)


def _span(walk: Walk, text: str) -> None:
    text = collapsed(text)
    if text[:1] == " ":
        walk.inline.spaced()
    if shown := text.strip():
        walk.inline.raw(code_span(shown))
    if text[-1:] == " ":
        walk.inline.spaced()


def quoted(walk: Walk, element: Element) -> None:
    """Quotation marks, as browsers set them."""
    walk.inline.raw("“")
    walk.children(element)
    walk.inline.raw("”")


def abbreviation(walk: Walk, element: Element) -> None:
    """An abbreviation; the first time with its meaning."""
    walk.children(element)
    meaning = collapsed(element.attr("title") or "").strip()
    if meaning and meaning not in walk.setting.explained and meaning.casefold() != element.text.strip().casefold():
        walk.setting.explained.add(meaning)
        walk.inline.text(f" ({meaning})")


def ruby(walk: Walk, element: Element) -> None:
    """Characters with their pronunciation, in parentheses."""
    before = ""
    for node in element.children:
        tag = node.tag if isinstance(node, Element) else ""
        if tag in ("rt", "rtc") and before != "rp":
            walk.inline.text("(")
            walk.children(node)
            walk.inline.text(")")
        else:
            walk.node(node)
        if tag or (isinstance(node, Text) and node.data.strip()):
            before = tag


def line_break(walk: Walk, _element: Element) -> None:
    """Break the line; an empty line ends the paragraph."""
    if walk.inline.broken and not walk.cell:
        walk.flush(loose=True)
    else:
        walk.inline.line_break()
