"""How a page looks: the theme, the paper, and where each of them stands in the cascade.

From weakest to strongest: the theme and the defaults of the paper (as a user's style sheets, below the document) →
the document's own styles → paper settings that the caller changed → the caller's ``css``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree.ElementTree import SubElement

import weasyprint

from offloop.jobs.pdf import Page, Paper, Theme, millimetres, sides
from offloop_workers.pdf.rendering import margins

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_DEFAULT = Page.model_validate({"html": ""})
_SIDES = ("top", "right", "bottom", "left")
_NUMBERS = f'@bottom-center {{ content: counter(page) " / " counter(pages); {margins.LOOKS} }}'
# Each theme is a list of files, the later ones over the earlier.
_THEMES: dict[Theme, tuple[str, ...]] = {
    "plain": (),
    "report": ("theme.css", "report.css"),
    "invoice": ("theme.css", "invoice.css"),
    "compact": ("theme.css", "compact.css"),
}


def user_sheets(theme: Theme | None, *, own: bool) -> list[weasyprint.CSS]:
    """The style sheets below the document's own.

    Args:
        theme: what the caller chose.
        own: the document brings its own looks, so that without a choice only what makes it fit on paper is added.
    """
    chosen = _THEMES[theme] if theme else () if own else ("theme.css",)
    return [_shipped("base.css"), *map(_shipped, chosen), _default_paper()]


def asked_for(page: Page, title: str) -> str:
    """CSS for the settings that differ from the defaults: the caller asked for them, so the document yields."""
    changed = tuple(name for name in Page.model_fields if getattr(page, name) != getattr(_DEFAULT, name))
    outline = "" if page.outline else "* { bookmark-level: none !important }\n"
    return _paper(page, changed, title) + outline


def _paper(page: Page, names: tuple[str, ...], title: str = "") -> str:
    rules = ""
    if {"page_size", "landscape"} & set(names):
        rules += f"size: {_size(page)};"
    if "margin" in names:
        rules += f"margin: {page.margin};"
    for side in _SIDES:
        if length := getattr(page, f"margin_{side}"):
            rules += f"margin-{side}: {length};"
    if "page_numbers" in names:
        rules += _NUMBERS if page.page_numbers else "@bottom-center { content: none }"
    values = {"title": title, "date": (page.created or "")[:10]}
    for edge, band in (("top", page.header), ("bottom", page.footer)):
        if band:
            rules += margins.rules(edge, band, values)
    return f"@page {{ {rules} }}\n" if rules else ""


def _size(page: Page) -> str:
    own = sides(page.page_size)
    if not own:
        return f"{page.page_size}{' landscape' if page.landscape else ''}"
    return " ".join(sorted(own, key=millimetres, reverse=True) if page.landscape else own)


def has_own(root: Element, serves: Callable[[str], bool]) -> bool:
    """Whether the document brings styles of its own: inside it, or as a style sheet that `serves` knows."""
    return any(True for _ in root.iter("style")) or any(
        "stylesheet" in (link.get("rel") or "").lower().split() and serves(link.get("href") or "")
        for link in root.iter("link")
    )


def add_last(root: Element, css: str) -> None:
    """Put a style sheet after all others of the document."""
    if css:
        SubElement(root, "style").text = css


@cache
def _shipped(name: str) -> weasyprint.CSS:
    return weasyprint.CSS(string=Path(__file__).with_name(name).read_text("utf-8"))


@cache
def _default_paper() -> weasyprint.CSS:
    return weasyprint.CSS(string=_paper(_DEFAULT, tuple(Paper.model_fields)))
