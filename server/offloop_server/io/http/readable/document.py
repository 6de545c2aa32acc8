"""A page, from its source to the text that a model reads."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from html.entities import html5
from typing import Final, Literal

from offloop_server.io.http.readable import blocks, code, forms, formulas, media, phrases, tables
from offloop_server.io.http.readable.addresses import Addresses, base_url
from offloop_server.io.http.readable.escaping import collapsed, escaped
from offloop_server.io.http.readable.feeds import feed
from offloop_server.io.http.readable.tree import (
    Document,
    Element,
    MalformedError,
    from_html,
    from_xml,
    is_html,
    refresh,
)
from offloop_server.io.http.readable.walk import Setting, Walk, joined, nothing

To = Literal["markdown", "text"]
Source = Literal["html", "xml"]
MAX_TEXT: Final = 16 << 20
"""Characters of one answer: deep indentation can write more than was read."""
_SPARSE: Final = 200
"""Characters of text below which a page with scripts is one that they build."""

_HANDLERS: Final[dict[str, Callable[[Walk, Element], None]]] = {
    **dict.fromkeys(
        ("script", "style", "template", "head", "title", "noscript", "noframes", "noembed", "datalist", "param",
         "track", "source", "meta", "link", "base", "basefont", "bgsound"), nothing,
    ),
    **dict.fromkeys(
        ("address", "article", "aside", "body", "center", "div", "fieldset", "figcaption", "figure", "footer", "form",
         "header", "hgroup", "html", "legend", "main", "nav", "search", "section", "optgroup", "option", "caption",
         "tr", "tbody", "thead", "tfoot", "dd", "dt", "frameset", "summary"), blocks.block,
    ),
    **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), blocks.heading),
    **dict.fromkeys(("ul", "menu", "dir"), blocks.bullets),
    **dict.fromkeys(("pre", "listing", "xmp", "plaintext"), code.preformatted),
    **dict.fromkeys(("code", "kbd", "samp", "tt"), phrases.code),
    **dict.fromkeys(("sub", "sup"), phrases.script),
    **dict.fromkeys(phrases.MARKS, phrases.marked),
    **dict.fromkeys(media.EMBEDDED, media.embedded),
    **dict.fromkeys(("button", "label", "meter", "output", "progress", "td", "th"), forms.spaced),
    "a": phrases.link, "abbr": phrases.abbreviation, "acronym": phrases.abbreviation, "area": media.area,
    "blockquote": blocks.quote, "br": phrases.line_break, "canvas": media.canvas, "details": blocks.disclosure,
    "dialog": blocks.dialog, "dl": blocks.definitions, "form": forms.form, "hr": blocks.rule, "img": media.picture,
    "image": media.picture, "input": forms.control, "li": blocks.item, "math": formulas.formula, "ol": blocks.ordered,
    "p": blocks.paragraph, "q": phrases.quoted, "ruby": phrases.ruby, "script": formulas.tex_script,
    "select": forms.choice, "svg": media.drawing, "table": tables.table, "textarea": forms.written,
}  # fmt: skip
_HEADER: Final = re.compile(r"^\s*(?:<\?xml[^>]{0,200}\?>)?\s*")
_ENTITY: Final = re.compile(r"&([A-Za-z][A-Za-z0-9]{1,31});")
_XML_ENTITIES: Final = frozenset({"amp", "lt", "gt", "quot", "apos"})
_PAGES: Final = frozenset({"html", "body"})


@dataclass(frozen=True, slots=True)
class Readable:
    """The readable part of a page.

    Attributes:
        text: Markdown or plain text; None where the source is neither a page nor a feed.
        notes: sentences about what it does not have.
        refresh: where the page sends browsers, and after how many seconds; None where it does not.
    """

    text: str | None
    notes: tuple[str, ...] = ()
    refresh: tuple[float, str] | None = None


def readable(source: str, to: To, kind: Source = "html", url: str = "") -> Readable:
    """The readable part of a page.

    Args:
        source: HTML, or XML that may be a page or a feed.
        to: the form of the text.
        kind: which of them.
        url: the final URL of the page.
    """
    document, note = _parsed(source, kind)
    base = _base(document, url)
    setting = Setting(to == "markdown", _HANDLERS, Addresses(url, base))
    if note:
        setting.notes.say(note)
    if kind == "xml" and document.root and document.root.tag.rpartition(":")[2] not in _PAGES:
        text = feed(document, setting)
        return Readable(None if text is None else text[:MAX_TEXT], tuple(setting.notes.all()))
    text = _page(document, setting)
    if len(text) > MAX_TEXT:
        text = text[:MAX_TEXT]
        setting.notes.say(f"The text is longer than {MAX_TEXT >> 20} million characters; the rest is left out.")
    return Readable(text, tuple(setting.notes.all()), refresh(document, base))


def _parsed(source: str, kind: Source) -> tuple[Document, str]:
    """The tree, and a note where it was not read as it is declared."""
    if kind == "html":
        return from_html(source), ""
    try:
        return from_xml(source), ""
    except MalformedError:
        pass
    try:
        return from_xml(_ENTITY.sub(_character, source)), ""
    except MalformedError as error:
        why = f"It is declared as XML and is not well-formed ({str(error)[:100]}); it was read as HTML."
        return from_html(source), why


def _character(entity: re.Match[str]) -> str:
    """A character that HTML names, which its document type would declare; any other name as it is written."""
    name = entity[1]
    return entity[0] if name in _XML_ENTITIES else html5.get(f"{name};", f"&amp;{name};")


def _base(document: Document, url: str) -> str:
    """The URL that addresses are relative to."""
    first = next((href for one in document.find_all("base", limit=20) if (href := one.attr("href")) is not None), "")
    return base_url(url, first)


def _page(document: Document, setting: Setting) -> str:
    walk = Walk(setting)
    walk.children(document)
    text = joined(walk.blocks(), cell=False)
    if len(text) < _SPARSE and (setting.scripts or _has_program(document)):
        setting.notes.say("The source of the page has little text; scripts, which are not run, may build the rest.")
        text = _instead(document, setting, text)
    found = document.find("title")
    title = collapsed(found.text).strip()[:300] if found and is_html(found) else ""
    if not text:
        setting.notes.say("The page has no text." if not title else "The page has no text but its title.")
    shown = escaped(title) if setting.markdown else title
    if not title or re.search(rf"(?<!\w){re.escape(shown)}(?!\w)", text[:1000]):
        return text
    return "\n\n".join(part for part in (f"# {shown}" if setting.markdown else shown, text) if part)


def _has_program(document: Document) -> bool:
    """Whether a script runs from the head of a page; data in a script element is none."""
    kinds = ((one.attr("type") or "").lower() for one in document.find_all("script", limit=50))
    return any(not kind or kind == "module" or "script" in kind for kind in kinds)


def _instead(document: Document, setting: Setting, text: str) -> str:
    """The text, with the page's ``<noscript>`` elements and its description: it is built by scripts."""
    walk = Walk(setting)
    for one in document.find_all("noscript", limit=20):
        walk.flush()
        walk.children(one)
        walk.flush()
    for one in document.find_all("meta", limit=200):
        if (one.attr("name") or one.attr("property") or "").lower() in ("description", "og:description"):
            walk.inline.text(one.attr("content") or "")
            walk.flush(loose=True)
            break
    return "\n\n".join(part for part in (text, joined(walk.blocks(), cell=False)) if part)
