"""Forms: what their controls show, and where they go."""

from __future__ import annotations

import re
from typing import Final

from offloop_server.io.http.readable.escaping import code_block, collapsed
from offloop_server.io.http.readable.tree import Element
from offloop_server.io.http.readable.walk import Walk

_BUTTONS: Final = {"submit": "Submit", "reset": "Reset", "button": "", "image": ""}
_UNSEEN: Final = ("hidden", "password", "file", "color", "range")
_INDENTED: Final = re.compile(r"^[ \t]+\S", re.MULTILINE)
_OPTIONS: Final = 40
_FORMS: Final = 3


def form(walk: Walk, element: Element) -> None:
    """A form: its text; a note says where it goes."""
    walk.flush()
    walk.children(element)
    walk.flush()
    walk.setting.forms += 1
    if walk.setting.forms > _FORMS:
        walk.notes.leave_out("further forms")
        return
    names = [one.attr("name") or "" for one in element.find_all(["input", "select", "textarea"])]
    fields = ", ".join(list(dict.fromkeys(name[:40] for name in names if name))[:12])
    method = (element.attr("method") or "get").upper()[:10]
    target = walk.setting.addresses.resolve(element.attr("action") or "") or "this page"
    where = "this page" if target.startswith("#") else target[:200]
    walk.notes.say(f"A form is shown as its text: {method} {where}" + (f" with {fields}." if fields else "."))


def control(walk: Walk, element: Element) -> None:
    """An ``input``: what is in it, or asked for."""
    kind = (element.attr("type") or "text").lower()
    value = element.attr("value")
    if kind in _UNSEEN:
        return
    walk.inline.spaced()
    if kind in ("checkbox", "radio"):
        sign = "x" if element.attr("checked") is not None else " "
        walk.inline.raw(f"[{sign}]" if kind == "checkbox" else f"({sign})")
    elif kind in _BUTTONS:
        walk.inline.text(value or element.attr("alt") or _BUTTONS[kind])
    else:
        walk.inline.text(value or element.attr("placeholder") or "")
    walk.inline.spaced()


def spaced(walk: Walk, element: Element) -> None:
    """A button or label: apart from what is beside it."""
    walk.inline.spaced()
    walk.children(element)
    walk.inline.spaced()


def choice(walk: Walk, element: Element) -> None:
    """A ``select``: its options, which are not one word."""
    options = [one for one in element.find_all("option") if walk.shows(one)]
    marked = any(one.attr("selected") is not None for one in options)
    texts = []
    group = None
    for one in options[:_OPTIONS]:
        if one.parent != group and isinstance(one.parent, Element) and (label := one.parent.attr("label")):
            texts.append(f"{collapsed(label).strip()}:")
        group = one.parent
        text = collapsed(one.attr("label") or one.text).strip()
        chosen = marked and one.attr("selected") is not None and len(options) > 1
        texts.append(f"{text} (selected)" if chosen else text)
    walk.notes.leave_out("further options of a choice", len(options[_OPTIONS:]))
    walk.inline.spaced()
    walk.inline.text(" / ".join(text for text in texts if text).replace(": / ", ": "))
    walk.inline.spaced()


def written(walk: Walk, element: Element) -> None:
    """A ``textarea``: its lines as they are; as code where they are indented."""
    text = (element.text or element.attr("placeholder") or "").strip("\n").rstrip()
    if not text:
        return
    walk.flush()
    if walk.markdown and not walk.cell and _INDENTED.search(text):
        walk.add(code_block(text, ""))
        return
    for number, line in enumerate(text.splitlines()):
        if number:
            walk.inline.line_break()
        walk.inline.text(line)
    walk.flush()
