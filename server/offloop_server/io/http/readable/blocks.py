"""Block elements: paragraphs, headings, quotes, lists, disclosures."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from offloop_server.io.http.readable.inline import Mark
from offloop_server.io.http.readable.tree import Element, Node
from offloop_server.io.http.readable.walk import MAX_INDENTED, Block, Walk, indented, joined

_CLOSING: Final = re.compile(r"(?<![^ ])#+$")
"""Signs at the end of a heading that Markdown takes for its end."""


def block(walk: Walk, element: Element) -> None:
    """A box without a form of its own."""
    walk.flush()
    walk.children(element)
    walk.flush()


def paragraph(walk: Walk, element: Element) -> None:
    """A paragraph."""
    walk.flush()
    walk.children(element)
    walk.flush(loose=True)


def one_line(walk: Walk, element: Node) -> str:
    """The content of an element in one line."""
    inner = walk.within(cell=True)
    inner.children(element)
    text = joined(inner.blocks(), cell=True)
    return re.sub(r"\s*\n\s*", " ", text).strip()


def heading(walk: Walk, element: Element) -> None:
    """A heading; in a cell it is bold text."""
    walk.flush()
    if walk.cell or not walk.markdown:
        walk.inline.open(Mark("**", "**"))
        walk.children(element)
        walk.inline.close()
        walk.flush()
    elif text := one_line(walk, element):
        text = _CLOSING.sub(r"\\\g<0>", text)
        walk.add(f"{'#' * int(element.tag[-1])} {text}")


def dialog(walk: Walk, element: Element) -> None:
    """A dialog, if it is open."""
    if element.attr("open") is None:
        walk.notes.leave_out("characters that the page hides", len(element.text.strip()))
    else:
        block(walk, element)


def quote(walk: Walk, element: Element) -> None:
    """A block of quoted text."""
    walk.flush()
    if walk.cell or walk.indented >= MAX_INDENTED or not walk.markdown:
        walk.children(element)
        walk.flush()
        return
    inner = walk.within(indented=True)
    inner.children(element)
    if blocks := inner.blocks():
        walk.add(indented(joined(blocks, cell=False), "> ", "> "))


def rule(walk: Walk, _element: Element) -> None:
    """A rule between blocks."""
    walk.add("" if walk.cell else "---")


def disclosure(walk: Walk, element: Element) -> None:
    """Details: open, with the summary first, wherever it stands."""
    walk.flush()
    summary = next((one for one in _elements(element) if one.tag == "summary"), None)
    if summary:
        walk.inline.open(Mark("**", "**"))
        walk.children(summary)
        walk.inline.close()
        walk.flush(loose=True)
    for node in element.children:
        if node != summary:
            walk.node(node)
    walk.flush()


def _elements(element: Node) -> Iterator[Element]:
    return (node for node in element.children if isinstance(node, Element))


def bullets(walk: Walk, element: Element) -> None:
    """A list without an order."""
    _listed(walk, element, lambda _item: "- ")


def ordered(walk: Walk, element: Element) -> None:
    """A list with an order: numbers as they are seen, from any start, downwards, or letters."""
    items = sum(1 for one in _elements(element) if one.tag == "li")
    down = element.attr("reversed") is not None
    start = _number(element.attr("start"))
    counter = start if start is not None else (items if down else 1)
    form = element.attr("type") or "1"

    def marker(item: Element) -> str:
        nonlocal counter
        value = _number(item.attr("value"))
        number = counter if value is None else value
        counter = number + (-1 if down else 1)
        label = _label(number, item.attr("type") or form)
        # Only digits are markers of Markdown: others stand in an item without an order.
        return f"{label}. " if label.isdigit() and len(label) < 10 else f"- {label}. "  # noqa: PLR2004

    _listed(walk, element, marker)


def item(walk: Walk, element: Element) -> None:
    """An item outside of any list."""
    walk.flush()
    walk.add(_item(walk, [element], "- ")[0], "list")


def _listed(walk: Walk, element: Element, marker: Callable[[Element], str]) -> None:
    walk.flush()
    found: list[tuple[str, bool]] = []
    for node in element.children:
        if isinstance(node, Element) and node.tag == "li":
            if walk.shows(node):
                found.append(_item(walk, [node], marker(node)))
        elif isinstance(node, Element) and node.tag in ("ul", "ol"):
            found.append(_item(walk, [node], "  " if found else "- ", whole=True))
        else:
            inner = walk.within()
            inner.node(node)
            found += [(one.text, True) for one in inner.blocks()]
    found = [one for one in found if one[0]]
    walk.add(("\n\n" if any(loose for _, loose in found) else "\n").join(text for text, _ in found), "list")


def _item(walk: Walk, nodes: list[Element], marker: str, *, whole: bool = False) -> tuple[str, bool]:
    """An item with its marker, and whether it is loose: whether it has an empty line."""
    deep = walk.indented >= MAX_INDENTED
    if deep:
        walk.notes.say(f"Lists and quotes more than {MAX_INDENTED} deep are not indented further.")
    inner = walk.within(indented=True)
    for node in nodes:
        if whole:
            inner.node(node)
        else:
            inner.children(node)
    text = joined(inner.blocks(), cell=walk.cell, tight=True)
    rest = "" if deep or walk.cell else " " * len(marker.removesuffix(" ") if marker[0] == " " else marker)
    if marker.startswith("- ") and len(marker) > len("- "):
        rest = rest[:2]
    shown = indented(text, marker, rest or "") if text else ""
    return shown, "\n\n" in shown


def _number(text: str | None) -> int | None:
    found = re.match(r"\s*([+-]?\d{1,9})", text or "")
    return int(found[1]) if found else None


def _label(number: int, form: str) -> str:
    """A number as its list shows it."""
    if form in ("a", "A") and number > 0:
        letters = ""
        left = number
        while left:
            left, digit = divmod(left - 1, 26)
            letters = chr(ord("a") + digit) + letters
        return letters if form == "a" else letters.upper()
    if form in ("i", "I") and 0 < number < 4000:  # noqa: PLR2004 -- as far as Roman numbers go
        roman = ""
        for value, sign in _ROMAN:
            roman += sign * (number // value)
            number %= value
        return roman if form == "i" else roman.upper()
    return str(number)


_ROMAN = (
    (1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"),
    (9, "ix"), (5, "v"), (4, "iv"), (1, "i"),
)  # fmt: skip


def definitions(walk: Walk, element: Element) -> None:
    """A list of terms: each an item, its definitions within it."""
    walk.flush()
    entries: list[tuple[str, bool]] = []
    terms: list[str] = []
    bodies: list[Block] = []

    def end() -> None:
        if terms or bodies:
            entries.append(_entry(walk, terms, bodies))
        terms.clear()
        bodies.clear()

    for one in _groups(element):
        tag = one.tag if isinstance(one, Element) else ""
        if isinstance(one, Element) and not walk.shows(one):
            continue
        if tag == "dt":
            if bodies:
                end()
            if text := one_line(walk, one):
                terms.append(text)
        else:
            inner = walk.within(indented=True)
            inner.children(one) if tag == "dd" else inner.node(one)
            bodies += inner.blocks()
    end()
    walk.add(("\n\n" if any(loose for _, loose in entries) else "\n").join(text for text, _ in entries), "list")


def _entry(walk: Walk, terms: list[str], bodies: list[Block]) -> tuple[str, bool]:
    """Terms and what they mean as an item, and whether it is loose."""
    loose = not walk.cell and (len(bodies) > 1 or any("\n\n" in body.text for body in bodies))
    line = "  \n" if walk.markdown and not walk.cell else "\n"
    head = line.join(terms)
    if loose:
        text = joined([*([Block(head)] if head else []), *bodies], cell=False)
    else:
        text = line.join([*([head] if head else []), *(body.text for body in bodies)])
    plain = walk.cell or walk.indented >= MAX_INDENTED or not walk.markdown
    return text if plain else indented(text, "- ", "  "), loose


def _groups(element: Element) -> Iterator[Node]:
    """Terms and definitions, also those that a div groups, and what stands between them."""
    for one in element.children:
        if isinstance(one, Element) and one.tag == "div":
            yield from one.children
        else:
            yield one
