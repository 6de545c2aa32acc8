"""How a page looks: the theme, the paper, and where each of them stands in the cascade.

From weakest to strongest: the theme and the defaults of the paper (as a user's style sheets, below the document) →
the document's own styles → paper settings that the caller changed → the caller's ``css``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import SubElement

import weasyprint

from offloop.jobs.pdf import Page

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

OPTIONS: MappingProxyType[str, Any] = MappingProxyType({"presentational_hints": True})
_DEFAULT = Page.model_validate({"html": ""})
_SIDES = ("top", "right", "bottom", "left")
_NUMBERS = """
    @bottom-center { content: counter(page) " / " counter(pages); font: 8pt "Source Sans 3", sans-serif;
                     color: #6b7280; font-variant-numeric: tabular-nums; }
"""


def user_sheets(*, plain: bool) -> list[weasyprint.CSS]:
    """The style sheets below the document's own.

    Args:
        plain: the document brings its own looks, so that only what makes it fit on paper is added.
    """
    return [_shipped("base.css"), *([] if plain else [_shipped("theme.css")]), _default_paper()]


def asked_for(page: Page) -> str:
    """CSS for the paper settings that differ from the defaults: the caller asked for them, so the document yields."""
    changed = tuple(name for name in Page.model_fields if getattr(page, name) != getattr(_DEFAULT, name))
    return _paper(page, changed)


def _paper(page: Page, names: tuple[str, ...]) -> str:
    rules = ""
    if {"page_size", "landscape"} & set(names):
        rules += f"size: {page.page_size}{' landscape' if page.landscape else ''};"
    if "margin" in names:
        rules += f"margin: {page.margin};"
    for side in _SIDES:
        if length := getattr(page, f"margin_{side}"):
            rules += f"margin-{side}: {length};"
    if "page_numbers" in names:
        rules += _NUMBERS if page.page_numbers else "@bottom-center { content: none }"
    return f"@page {{ {rules} }}\n" if rules else ""


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
    return weasyprint.CSS(string=_paper(_DEFAULT, tuple(Page.model_fields)))
