"""Style sheets of a page: theme, paper, headers and footers, in the order of the cascade.

From weakest to strongest: the theme and the defaults of the paper (as a user's style sheets, below the document) →
the document's own styles → paper settings that the caller changed → the caller's ``css``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final
from xml.etree.ElementTree import SubElement

import weasyprint

from offloop.jobs.pdf import PLACEHOLDERS, Band, Page, Paper, Theme, millimetres, sides

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_DEFAULT = Page.model_validate({"html": ""})
_SIDES: Final = ("top", "right", "bottom", "left")
_FOLDER: Final = Path(__file__).with_name("themes")
# Each theme is a list of files; later ones override earlier ones.
_THEMES: Final[dict[Theme, tuple[str, ...]]] = {
    "plain": (),
    "report": ("theme.css", "report.css"),
    "invoice": ("theme.css", "invoice.css"),
    "compact": ("theme.css", "compact.css"),
}
_MARGIN_BOX: Final = (
    'font: 8pt "Source Sans 3", sans-serif; color: #6b7280; font-variant-numeric: tabular-nums; white-space: pre-line;'
)
_NUMBERS: Final = f'@bottom-center {{ content: counter(page) " / " counter(pages); {_MARGIN_BOX} }}'
_COUNTERS: Final = {"page": "counter(page)", "pages": "counter(pages)"}
_PLACEHOLDER = re.compile(r"\{(" + "|".join(PLACEHOLDERS) + r")\}")
# Everything but letters and digits is escaped, so that no text can end its string.
_UNSAFE = re.compile(r"[^\w]", re.ASCII)


def user_sheets(theme: Theme | None, *, own: bool) -> list[weasyprint.CSS]:
    """The style sheets below the document's own.

    Args:
        theme: the caller's choice.
        own: the document has styles of its own, so that without a choice only the rules for paper are added.
    """
    chosen = _THEMES[theme] if theme else () if own else ("theme.css",)
    return [_shipped("base.css"), *map(_shipped, chosen), _default_paper()]


def overrides(page: Page, title: str) -> str:
    """CSS for the settings that differ from the defaults; an explicit setting overrides the document."""
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
            rules += _margin_boxes(edge, band, values)
    return f"@page {{ {rules} }}\n" if rules else ""


def _size(page: Page) -> str:
    own = sides(page.page_size)
    if not own:
        return f"{page.page_size}{' landscape' if page.landscape else ''}"
    return " ".join(sorted(own, key=millimetres, reverse=True) if page.landscape else own)


def _margin_boxes(edge: str, band: Band, values: Mapping[str, str]) -> str:
    """A header or footer, as margin boxes of one edge, ``top`` or ``bottom``; the document's own are replaced."""
    boxes = ("left", "center", "right")
    return "".join(f"@{edge}-{box} {{ {_content(getattr(band, box), values)} {_MARGIN_BOX} }}" for box in boxes)


def _content(text: str, values: Mapping[str, str]) -> str:
    if not text:
        return "content: none;"
    # split() alternates: text, name of a placeholder, text, …
    parts = [
        (_COUNTERS.get(part) or _quoted(values.get(part, ""))) if number % 2 else _quoted(part)
        for number, part in enumerate(_PLACEHOLDER.split(text))
    ]
    return f"content: {' '.join(parts)};"


def _quoted(text: str) -> str:
    """Text as a CSS string."""
    return '"' + _UNSAFE.sub(lambda found: f"\\{ord(found[0]):x} ", text.replace("\0", "")) + '"'


def has_own(root: Element, serves: Callable[[str], bool]) -> bool:
    """Whether the document has styles of its own: inline, or as a style sheet that `serves` accepts."""
    return any(True for _ in root.iter("style")) or any(
        "stylesheet" in (link.get("rel") or "").lower().split() and serves(link.get("href") or "")
        for link in root.iter("link")
    )


def add_last(root: Element, *sheets: str) -> None:
    """Add style sheets after all others of the document.

    Each is an element of its own, so that its ``@import`` and ``@namespace`` stand at a beginning, where CSS has them.
    """
    for css in filter(None, sheets):
        SubElement(root, "style").text = css


def load() -> None:
    """Parse the style sheets of every theme; the library does not change them."""
    for theme in _THEMES:
        user_sheets(theme, own=True)


@cache
def _shipped(name: str) -> weasyprint.CSS:
    return weasyprint.CSS(string=(_FOLDER / name).read_text("utf-8"))


@cache
def _default_paper() -> weasyprint.CSS:
    return weasyprint.CSS(string=_paper(_DEFAULT, tuple(Paper.model_fields)))
