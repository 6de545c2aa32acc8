"""Drawings inside a page (``<svg>``): what they inherit from it, which the renderer would draw as if they stood alone.

Between the styles and the boxes, each drawing gets the colour and the font of its text, the declarations of the page's
style sheets about its shapes, and copies of the symbols and gradients that it names and another drawing has.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final
from xml.etree.ElementTree import SubElement

import cssselect2  # type: ignore[import-untyped]
import tinycss2  # type: ignore[import-untyped]
from weasyprint.css.media_queries import evaluate_media_query, parse_media_query

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

SVG: Final = "{http://www.w3.org/2000/svg}"
_HREFS: Final = ("href", "{http://www.w3.org/1999/xlink}href")
_MAX_COPIED: Final = 20_000
"""Elements copied from one drawing into others; symbols that name symbols would grow without end."""

# Properties of shapes that the renderer takes from attributes, and that its own cascade of the page does not know.
SHAPES: Final = re.compile(
    r"fill(-.*)?|stroke(-.*)?|stop-.*|color|opacity|marker(-.*)?|text-anchor|dominant-baseline|paint-order|clip-path|"
    r"clip-rule|mask|display|visibility|font(-.*)?|letter-spacing|transform|filter"
)
_REFERENCE = re.compile(r"url\(\s*[\"']?#([^\"')]+)[\"']?\s*\)")
_CURRENT = re.compile("currentcolor", re.IGNORECASE)
_VARIABLE = re.compile(r"var\(\s*(--[\w-]+)\s*(?:,([^()]*))?\)")
_DRAWN_FILTERS: Final = frozenset({"feOffset", "feBlend", "feMergeNode", "feFuncA", "feFuncR", "feFuncG", "feFuncB"})
# Animations have no place on paper: the drawing is shown as it begins.
_NOT_DRAWN: Final = frozenset({"foreignObject", "video", "audio", "iframe", "canvas"})


def settle(root: Element, style_for: Any, sheets: Iterable[str]) -> Counter[str] | None:
    """Give each drawing of a document what it inherits.

    Args:
        root: the document, which is changed.
        style_for: WeasyPrint's computed styles.
        sheets: the text of the document's style sheets, which is read only if there are drawings.

    Returns:
        What is not drawn, by name; None without drawings.
    """
    drawings = list(_outermost(root))
    if not drawings:
        return None
    _apply(root, drawings, "\n".join(sheets), style_for)
    for drawing in drawings:
        _inherit(drawing, style_for)
    missing = _share(drawings, style_for.get_computed_styles())
    return undrawn(element.tag for drawing in drawings for element in drawing.iter()) + missing


def undrawn(tags: Iterable[str]) -> Counter[str]:
    """The elements of drawings that the renderer leaves out, by name."""
    names = (tag.rpartition("}")[2] for tag in tags)
    return Counter(
        name
        for name in names
        if name in _NOT_DRAWN or (name.startswith("fe") and name[2:3].isupper() and name not in _DRAWN_FILTERS)
    )


def _outermost(root: Element) -> Iterator[Element]:
    elements = [root]
    while elements:
        element = elements.pop()
        if element.tag == f"{SVG}svg":
            yield element
        else:
            elements.extend(reversed(element))


def _apply(root: Element, drawings: list[Element], css: str, style_for: Any) -> None:
    """Write the declarations of the page that match a shape into its ``style``, before its own."""
    matcher = _matcher(css)
    around = {element: parent for parent in root.iter() for element in parent}
    inside = {element for drawing in drawings for element in drawing.iter()}
    outside = {ancestor for drawing in drawings for ancestor in _ancestors(drawing, around)}
    declared: dict[Element, str] = {}
    if matcher is not None:
        for wrapper in cssselect2.ElementWrapper.from_html_root(root).iter_subtree():
            element = wrapper.etree_element
            if element not in inside and element not in outside:
                continue
            items = [item for *_, items in matcher.match(wrapper) for item in items]
            items.sort(key=lambda item: bool(item.important))
            texts = [f"{item.lower_name}: {_resolved(item, style_for(element))}" for item in items]
            if texts:
                declared[element] = "; ".join(texts)
                if element in inside:
                    element.set("style", f"{declared[element]}; {element.get('style', '')}")
    for drawing in drawings:
        _pass_paint(drawing, list(_ancestors(drawing, around)), declared)


def _ancestors(element: Element, around: dict[Element, Element]) -> Iterator[Element]:
    while (parent := around.get(element)) is not None:
        yield parent
        element = parent


def _matcher(css: str) -> Any:
    """The rules of style sheets that have declarations about shapes; None without any."""
    matcher, is_empty = cssselect2.Matcher(), True
    for rule in _rules(tinycss2.parse_stylesheet(css, skip_comments=True, skip_whitespace=True)):
        items = tinycss2.parse_blocks_contents(rule.content, skip_comments=True, skip_whitespace=True)
        declarations = [item for item in items if item.type == "declaration" and SHAPES.fullmatch(item.lower_name)]
        if not declarations:
            continue
        with suppress(cssselect2.SelectorError):
            for selector in cssselect2.compile_selector_list(rule.prelude):
                if selector.pseudo_element is None and not selector.never_matches:
                    matcher.add_selector(selector, declarations)
                    is_empty = False
    return None if is_empty else matcher


def _pass_paint(drawing: Element, ancestors: list[Element], declared: dict[Element, str]) -> None:
    """Hand down ``fill`` and ``stroke`` of the elements around a drawing, the nearest first."""
    for name in ("fill", "stroke"):
        for ancestor in ancestors:
            css = f"{declared.get(ancestor, '')}; {ancestor.get('style', '')}"
            values = re.findall(rf"(?:^|;)\s*{name}\s*:\s*([^;!]+)", css)
            if values and drawing.get(name) is None:
                drawing.set(name, values[-1].strip())


def _rules(rules: Iterable[Any]) -> Iterator[Any]:
    """The style rules for print, those within ``@media``, ``@supports`` and ``@layer`` included."""
    for rule in rules:
        if rule.type == "qualified-rule":
            yield rule
        elif (
            rule.type == "at-rule"
            and rule.content
            and rule.lower_at_keyword in {"media", "supports", "layer"}
            and (rule.lower_at_keyword != "media" or is_for_paper(tinycss2.serialize(rule.prelude)))
        ):
            yield from _rules(tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True))


def is_for_paper(media: str) -> bool:
    """Whether the renderer applies rules for a list of media: it knows types of media alone, no other queries."""
    types = parse_media_query(tinycss2.parse_component_value_list(media))
    return types is not None and bool(evaluate_media_query(types, "print"))


def _resolved(declaration: Any, style: Any) -> str:
    text = tinycss2.serialize(declaration.value).strip()

    def value(found: re.Match[str]) -> str:
        try:
            tokens = style[found[1].replace("-", "_")] if style is not None else None
        except KeyError:
            tokens = None
        return tinycss2.serialize(tokens).strip() if tokens else (found[2] or "").strip()

    return _VARIABLE.sub(value, text)


def _inherit(drawing: Element, style_for: Any) -> None:
    """Write the colours and the font that the page gives a drawing into attributes."""
    for element in drawing.iter():
        style = style_for(element)
        if style is not None and (element is drawing or "color" in style.cascaded):
            element.set("color", _css_colour(style["color"]))
        for name in ("fill", "stroke", "stop-color", "flood-color", "lighting-color", "style"):
            if value := element.get(name):
                element.set(name, _CURRENT.sub("currentColor", value))
        if element.tag == f"{SVG}style" and element.text:
            element.text = _CURRENT.sub("currentColor", element.text)
    style = style_for(drawing)
    if style is not None and any(element.tag == f"{SVG}text" for element in drawing.iter()):
        given = {
            "font-family": ", ".join(f'"{family}"' for family in style["font_family"]),
            "font-size": f"{style['font_size']}px",
            "font-weight": str(style["font_weight"]),
            "font-style": style["font_style"],
        }
        for name, value in given.items():
            if drawing.get(name) is None:
                drawing.set(name, value)


def _css_colour(colour: Any) -> str:
    red, green, blue = (max(0, min(255, round(255 * value))) for value in colour.to("srgb").coordinates)
    return f"rgba({red}, {green}, {blue}, {colour.alpha})"


def _share(drawings: list[Element], styles: dict[Any, Any]) -> Counter[str]:
    """Copy what a drawing names and another one has; returns the names that none has."""
    owners = {name: element for drawing in drawings for element in drawing.iter() if (name := element.get("id"))}
    missing: Counter[str] = Counter()
    copied = 0
    for drawing in drawings:
        own = {element.get("id") for element in drawing.iter()}
        missing.update(_of_other_files(drawing))
        wanted = list(_names(drawing))
        container: Element | None = None
        while wanted:
            name = wanted.pop()
            if name in own:
                continue
            own.add(name)
            target = owners.get(name)
            if target is None or copied > _MAX_COPIED:
                missing[f"#{name}"] += 1
                continue
            if container is None:
                container = SubElement(drawing, f"{SVG}defs")
                styles[container, None] = styles[drawing, None]
            copy = deepcopy(target)
            for element in copy.iter():
                styles[element, None] = styles[drawing, None]
                copied += 1
            container.append(copy)
            wanted.extend(_names(copy))
    return missing


def _of_other_files(drawing: Element) -> Iterator[str]:
    """The symbols of other files, which the renderer does not read."""
    for element in drawing.iter(f"{SVG}use"):
        yield from (value for name in _HREFS if (value := element.get(name, "#").strip()[:100])[:1] not in {"", "#"})


def _names(element: Element) -> Iterator[str]:
    """References of the elements: the target of each ``<use>`` and gradient, and of each ``url(#…)``."""
    for child in element.iter():
        for name, value in child.attrib.items():
            if name in _HREFS and child.tag != f"{SVG}a":
                if value.strip().startswith("#"):
                    yield value.strip()[1:]
            elif "url(" in value:
                yield from _REFERENCE.findall(value)
