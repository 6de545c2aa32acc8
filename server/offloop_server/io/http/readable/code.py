"""Preformatted text: as it is, with its language."""

from __future__ import annotations

import re
from typing import Final

from offloop_server.io.http.readable.escaping import code_block, code_span
from offloop_server.io.http.readable.raised import raised
from offloop_server.io.http.readable.tree import CData, Element, Node, Text
from offloop_server.io.http.readable.walk import Walk, is_block, is_hidden

_LANGUAGE: Final = re.compile(
    r"(?:language|lang|highlight-source|highlight|brush|code|src)[-:]([A-Za-z0-9+#._-]{1,30})", re.IGNORECASE
)
_NAMES: Final = frozenset({
    "bash", "c", "c++", "console", "cpp", "css", "diff", "go", "html", "ini", "java", "javascript", "json", "js",
    "kotlin", "lua", "perl", "php", "py", "python", "python3", "r", "ruby", "rust", "scala", "sh", "shell", "sql",
    "swift", "toml", "typescript", "ts", "xml", "yaml",
})  # fmt: skip
_NO_LANGUAGE: Final = frozenset({"default", "none", "text", "plain", "plaintext", "nohighlight", "hljs", "block"})
_NUMBERS: Final = frozenset({
    "gutter", "line-number", "line-numbers", "line_number", "lineno", "linenos", "linenumber", "linenumbers", "linenr",
    "ln", "lnum", "react-syntax-highlighter-line-number",
})  # fmt: skip
"""Classes of line numbers, as highlighters name them."""
_LINES: Final = frozenset({"div", "p", "li", "tr", "ol", "ul", "table", "blockquote", "section"})
_UNSEEN: Final = frozenset({"script", "style", "template", "noscript", "head"})


def code_text(element: Element) -> str:
    """The text of an element, lines as they are."""
    pieces: list[str] = []
    _gather(element, pieces, 0)
    return "".join(pieces)


def _gather(element: Node, pieces: list[str], depth: int) -> None:
    for node in element.children:
        if isinstance(node, (Text, CData)):
            pieces.append(node.data)
        elif isinstance(node, Element) and node.tag not in _UNSEEN and not (is_hidden(node.attrs) or _numbers(node)):
            if node.tag == "br":
                pieces.append("\n")
            elif node.tag in ("sup", "sub") and (text := node.text.strip()):
                pieces.append(raised(text, node.tag))
            elif node.tag == "img":
                pieces.append(node.attr("alt") or "")
            elif depth < 600:  # noqa: PLR2004 -- deeper than any parser of HTML goes
                lines = node.tag in _LINES or is_block(node.attr("style") or "")
                if lines and pieces and not pieces[-1].endswith("\n"):
                    pieces.append("\n")
                _gather(node, pieces, depth + 1)
                if lines and pieces and not pieces[-1].endswith("\n"):
                    pieces.append("\n")


def _numbers(element: Element) -> bool:
    """Whether an element is the number of a line, or a column of them."""
    classes = (element.attr("class") or "").lower().split()
    return not _NUMBERS.isdisjoint(classes) and all(word.isdigit() for word in element.text.split())


def preformatted(walk: Walk, element: Element) -> None:
    """A block of code."""
    text = code_text(element).replace("\r\n", "\n").strip("\n").rstrip()
    if not text.strip():
        return
    links = sum(1 for one in element.find_all("a") if one.attr("href"))
    walk.notes.leave_out("links inside blocks of code", links)
    walk.notes.leave_out("line numbers in code", sum(1 for one in element.find_all("span") if _numbers(one)))
    if not walk.markdown:
        walk.add(text)
    elif walk.cell:
        for line in text.split("\n"):
            walk.add(code_span(line) if line.strip() else "")
    else:
        walk.add(code_block(text, _language(element)))


def _language(element: Element) -> str:
    """The language that classes name: of the block, of the code in it, or of the boxes around it."""
    inner = element.find("code")
    parent = element.parent
    around = [one for one in (parent, getattr(parent, "parent", None)) if isinstance(one, Element)]
    for one in [element, *([inner] if inner else []), *around]:
        for name in ("data-lang", "data-language", "lang" if one is element else "data-lang"):
            if (named := one.attr(name)) and re.fullmatch(r"[A-Za-z0-9+#._-]{1,30}", named):
                return named
        classes = (one.attr("class") or "").replace(": ", ":")
        if found := _LANGUAGE.search(classes):
            return "" if found[1].lower() in _NO_LANGUAGE else found[1]
        if one is not element and one is not inner:
            continue
        if found_name := next((word for word in classes.split() if word.lower() in _NAMES), ""):
            return found_name
    return ""
