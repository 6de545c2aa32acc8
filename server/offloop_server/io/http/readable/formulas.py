"""Formulas: their TeX where the page has it, else MathML in a line."""

from __future__ import annotations

import re
from typing import Final

from offloop_server.io.http.readable.escaping import collapsed
from offloop_server.io.http.readable.tree import Element, Node, Text
from offloop_server.io.http.readable.walk import Walk

_TEX: Final = ("application/x-tex", "application/x-latex", "latex", "tex", "text/x-tex")
_SKIPPED: Final = ("annotation", "annotation-xml", "mphantom", "none", "mprescripts")
_DISPLAYSTYLE: Final = re.compile(r"^\{\\(?:display|text)style (.*)\}$")
"""The element that MediaWiki writes around each formula."""
_DEPTH: Final = 100
_INVISIBLE: Final = dict.fromkeys(map(ord, "\u2061\u2062\u2063\u2064"))


def formula(walk: Walk, element: Element) -> None:
    """A ``math`` element."""
    tex = next((one.text for one in element.find_all("annotation") if (one.attr("encoding") or "").lower() in _TEX), "")
    tex = _DISPLAYSTYLE.sub(r"\1", collapsed(tex or element.attr("alttext") or "").strip())
    if not tex:
        walk.inline.text(collapsed(_line(element, 0)).strip())
    elif element.attr("display") == "block" and not walk.cell:
        walk.add(f"$${tex}$$")
    else:
        walk.inline.raw(f"${tex}$" if walk.markdown else tex)


def tex_script(walk: Walk, element: Element) -> None:
    """TeX that a script of the page would typeset."""
    kind = (element.attr("type") or "").lower()
    if kind.startswith("math/tex"):
        tex = collapsed(element.text).strip()
        walk.inline.raw(f"$${tex}$$" if "display" in kind else f"${tex}$")
    else:
        walk.setting.scripts = True


def _line(node: Node, depth: int) -> str:
    """A part of a formula in a line."""
    if isinstance(node, Text):
        return node.data.translate(_INVISIBLE)
    if not isinstance(node, Element):
        return ""
    tag = node.tag.rpartition(":")[2]
    if depth > _DEPTH or tag in _SKIPPED:
        return "" if tag in _SKIPPED else node.text
    if tag == "mmultiscripts":
        return _scripted([one for one in node.children if isinstance(one, Element)], depth + 1)
    parts = [one for one in node.children if isinstance(one, Element) or (isinstance(one, Text) and one.data.strip())]
    return _composed(node, tag, [collapsed(_line(one, depth + 1)).strip() for one in parts])


def _scripted(parts: list[Element], depth: int) -> str:
    """A base with pairs of scripts below and above it, and those before it."""
    sides = ["", ""]
    side = low = 0
    for part in parts[1:]:
        if part.tag.rpartition(":")[2] == "mprescripts":
            side, low = 1, 0
            continue
        text = collapsed(_line(part, depth)).strip()
        sides[side] += f"{'^' if low else '_'}{_grouped(text)}" if text else ""
        low = 1 - low
    after, before = sides
    return before + "".join(_line(part, depth) for part in parts[:1]) + after


def _composed(node: Element, tag: str, texts: list[str]) -> str:
    """An element of a formula from what is in it."""
    form = _FORMS.get(tag, "")
    if form and len(texts) >= form.count("{"):
        return form.format(*map(_grouped, texts))
    if tag == "mfenced":
        return f"{node.attr('open') or '('}{', '.join(texts)}{node.attr('close') or ')'}"
    separator, around = _JOINED.get(tag, ("", "{}"))
    return around.format(separator.join(texts))


_FORMS: Final = {
    "mfrac": "{}/{}", "msup": "{}^{}", "msub": "{}_{}", "msubsup": "{}_{}^{}", "mover": "{}^{}", "munder": "{}_{}",
    "munderover": "{}_{}^{}", "mroot": "{1}√{0}",
}  # fmt: skip


_JOINED: Final = {
    "msqrt": ("", "√({})"), "mtable": ("; ", "[{}]"), "mtr": (", ", "{}"), "mtext": (" ", "{}"), "mspace": ("", " "),
}  # fmt: skip


def _grouped(text: str) -> str:
    """A part of a formula, in parentheses unless it is one sign or number."""
    return text if len(text) <= 1 or text.replace(".", "").isalnum() or _fenced(text) else f"({text})"


def _fenced(text: str) -> bool:
    depth = 0
    for at, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if not depth:
            return at == len(text) - 1 and at > 0
    return False
